"""Gateways of a small application, as processes of their own."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SRC = HERE.parents[2] / "src"
ON_BOTH_LOOPS = ("test_leaving.py", "test_stopping_connections.py")


class Served:
    """A process that serves. What happens in it leaves marks in ``folder``."""

    def __init__(self, folder: Path, *, mode: str, workers: int, **serving: object) -> None:
        self.folder = folder
        self._release = folder / "release"
        os.mkfifo(self._release)
        os.mkfifo(folder / "marks")
        # Open for both, so that it neither waits for a writer nor ends with one.
        self._marks = os.fdopen(os.open(folder / "marks", os.O_RDWR), "r", buffering=1)
        arguments = [str(folder), mode, str(workers), json.dumps(serving)]
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "served.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(SRC)},
        )
        self.first_line = self.process.stdout.readline().strip()

    @property
    def port(self) -> int:
        return int(self.first_line)

    def get(self, path: str) -> "Answer":
        return Answer(self.port, path)

    def release(self) -> None:
        """Let what is held at /hold go on."""
        self._release.write_bytes(b"go")

    def marked(self, what: str) -> bool:
        return (self.folder / what).exists()

    def wait_for(self, *what: str) -> None:
        """Until one of these marks is there: each is told on the pipe "marks" too, so that nobody polls."""
        while not any(map(self.marked, what)):
            assert self._marks.readline(), f"the pipe ended before {what!r} was told"

    def wait_until_it_drains(self, mark: str = "held") -> None:
        """Until the worker does that left this mark."""
        self.wait_for(f"draining-{(self.folder / mark).read_text()}")

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        return self.process.wait(30)

    def close(self) -> None:
        with self.process:
            self.process.kill()
        self._marks.close()


class Answer:
    """A request over a socket of its own; what comes is read as it is wanted."""

    def __init__(self, port: int, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._connection.request("GET", path, headers={"connection": "close"})
        self._response = self._connection.getresponse()
        self.headers = self._response.headers
        self.status = self._response.status

    def line(self) -> bytes:
        return self._response.readline()

    def rest(self) -> dict[str, object]:
        return json.loads(self._response.read())

    def close(self) -> None:
        self._response.close()
        self._connection.close()


Start = Callable[..., Served]


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops that a worker may have, where they differ: in how they tell of an end."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ON_BOTH_LOOPS and find_spec("uvloop") is not None:
        loops["uvloop"] = import_module("uvloop").new_event_loop
    return loops


@pytest.fixture(params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Served] = []

    def starter(mode: str = "", workers: int = 1, **serving: object) -> Served:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(Served(folder, mode=mode, workers=workers, **serving))
        return started[-1]

    yield starter
    for each in started:
        each.close()
