"""A gateway before a provider of each dialect, other people's clients, and the matrix of both."""

from collections.abc import Callable, Iterator

import pytest

from .peers import CLIENTS, Peer, missing
from .table import drawn
from .upstreams import Upstreams, upstreams


@pytest.fixture(scope="session")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstreams]:
    """The gateway."""
    with upstreams(tmp_path_factory.mktemp("clients")) as served:
        yield served


@pytest.fixture
def novel() -> str:
    """With what the names of providers begin that say more than anybody knows yet; see ``novel``."""
    return "novel"


@pytest.fixture(scope="session")
def peers() -> Iterator[Callable[[str], Peer]]:
    """``peers("anthropic")`` is that client."""
    started: dict[str, Peer] = {}

    def find(client: str) -> Peer:
        if client not in started:
            if (why := missing(client)) is not None:
                pytest.skip(why)
            started[client] = Peer(client)
        return started[client]

    yield find
    for peer in started.values():
        peer.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The matrix, where it was tested."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    found = [dict(report.user_properties) for report in reports if report.when == "call"]
    rows = {told["client"]: told["seen"] for told in found if "seen" in told}
    if rows:
        for line in drawn({client: rows[client] for client in CLIENTS if client in rows}):
            terminalreporter.write_line(line)
