"""Every client against a provider of every dialect, through the gateway."""

from typing import Any

import pytest

from .peers import CLIENTS, Peer
from .table import ACTS
from .upstreams import ANSWERED, CITIES, DIALECTS, POOR, SAID, SECONDS, Upstreams


class Cell:
    """A client that asks a provider of a dialect."""

    def __init__(self, peer: Peer, behind: Upstreams, dialect: str) -> None:
        self.behind = behind
        self._peer = peer
        self._dialect = dialect

    def do(self, act: str, model: str, *, key: str = "", **more: Any) -> dict[str, Any]:
        name = model if "/" in model else f"up-{self._dialect}/{model}"
        key = key or self.behind.key
        return self._peer.act(act, url=self.behind.url, key=key, model=name, **more)


def whole(cell: Cell) -> None:
    told = cell.do("whole", "words")
    assert told["text"] == SAID
    assert told["input"] > 0
    assert told["output"] == 4


def stream(cell: Cell) -> None:
    told = cell.do("stream", "words")
    assert "".join(told["pieces"]) == SAID
    assert len(told["pieces"]) == 4
    assert told["input"] > 0
    assert told["output"] == 4


def tools(cell: Cell, act: str = "tools") -> None:
    told = cell.do(act, "tools")
    assert [(name, arguments) for _, name, arguments in told["calls"]] == [
        ("weather", {"city": city}) for city in CITIES
    ]
    assert len({call_id for call_id, _, _ in told["calls"]}) == len(CITIES)
    assert told["text"] == ANSWERED


def tools_streamed(cell: Cell) -> None:
    tools(cell, "tools_streamed")


def errors(cell: Cell) -> None:
    for stream in (False, True):
        denied = cell.do("error", "words", key="pv-nobody00-wrong", stream=stream)
        assert denied["status"] == 401, denied
        unknown = cell.do("error", "no/such", stream=stream)
        assert unknown["status"] == 404, unknown
        assert "no/such" in unknown["text"]
        poor = cell.do("error", "words", key=POOR, stream=stream)
        assert poor["status"] == 402, poor
        assert "budget" in poor["text"]
        busy = cell.do("error", "busy", stream=stream)
        assert busy["status"] == 429, busy
        assert "no room" in busy["text"]
        assert busy["retry_after"] in (str(SECONDS), "not kept"), busy


def breaks(cell: Cell) -> None:
    told = cell.do("breaks", "breaks")
    assert "".join(told["pieces"]) == "It rains"
    assert "the power is out" in told["raised"]


DONE = {each.__name__: each for each in (whole, stream, tools, tools_streamed, errors, breaks)}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_client_works_with_a_provider_of_every_dialect(
    client: str, behind: Upstreams, peers, subtests: pytest.Subtests, record_property
) -> None:
    peer, seen = peers(client), dict.fromkeys(DIALECTS, "")
    for dialect in DIALECTS:
        for act, letter in ACTS.items():
            with subtests.test(dialect=dialect, act=act):
                DONE[act](Cell(peer, behind, dialect))
                seen[dialect] += letter
    record_property("client", client)
    record_property("seen", seen)
