"""``polyvox tool serve`` as a program: its end, and what is wrong before it begins."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Run

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def shop(tmp_path: Path) -> None:
    source = "import polyvox\n@polyvox.tool\ndef price(item: str) -> float:\n    return 0.5\n"
    (tmp_path / "shop.py").write_text(source + "def rates() -> str:\n    return 'none'\n")


def test_a_server_over_stdio_ends_with_its_client(run: Run):
    done = run("tool", "serve", "shop.py", "shop:rates", stdin="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_tools_print_when_they_are_imported_is_no_message_of_the_server(
    run: Run, tmp_path: Path
):
    with (tmp_path / "shop.py").open("a") as source:
        source.write("print('loading')\n")
    done = run("tool", "serve", "shop.py", stdin="")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "loading\n")


def test_a_server_over_http_says_where_and_ends_with_ctrl_c(start: Start):
    server = start("tool", "serve", "--http", "--port", "0", "shop")
    assert server.stdout is not None
    assert server.stdout.readline().startswith("Serving at http://127.0.0.1:")
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=30) == 130


@pytest.mark.parametrize(
    ("places", "told"),
    [
        (["nothing_here"], "there is no module 'nothing_here'"),
        (["shop:nothing"], "nothing"),
        (["shop.py", "shop:price"], "two tools are called 'price'"),
    ],
)
def test_what_can_not_be_served_is_told(run: Run, places: list[str], told: str):
    done = run("tool", "serve", *places)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stdout == ""
