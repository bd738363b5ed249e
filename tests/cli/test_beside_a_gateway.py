"""Commands beside a gateway's configuration: whoever only asks needs an address and a key, and no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Run
from .gateway_process import Gateway, gateway

WRONG = '[gateway]\nadmin_kee = "${NOT_SET}"\nworkers = 0\n'


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.mark.parametrize(
    "command",
    [
        "keys list",
        "keys create ci",
        "usage",
        "budget",
        "contexts list",
        "templates list",
        "batch list",
        "log",
        "ask -m simulated/echo --no-log hi",
        "models simulated",
    ],
)
def test_what_is_wrong_with_the_gateway_there_is_no_concern_of_theirs(
    run: Run, served: Gateway, tmp_path: Path, command: str
) -> None:
    (tmp_path / "polyvox.toml").write_text(WRONG)
    done = run(*command.split(), env=served.env)
    assert done.returncode in (0, 1), done.stderr  # 1: there is none yet
    assert "polyvox.toml" not in done.stderr


def test_who_checks_the_file_is_told_all_the_same(run: Run, tmp_path: Path) -> None:
    (tmp_path / "polyvox.toml").write_text(WRONG)
    done = run("config", "check")
    assert (done.returncode, "did you mean 'admin_key'?" in done.stderr) == (1, True)
