"""A Redis of the tests' own, on a free port of the loopback, which keeps nothing.

A folder's ``conftest.py`` takes the fixtures: ``from redis_server import *``.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Self

import pytest

__all__ = ["RedisServer", "redis_server", "redis_url", "start_redis"]

PROGRAM = "redis-server"
MISSING = f"{PROGRAM} is not installed; on Debian: apt install redis-server"


class RedisServer:
    """The program, while the context lasts. It can be stopped and started again at the same port."""

    def __init__(self) -> None:
        self.port = _free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="polyvox-redis-")
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._process = subprocess.Popen(
            [PROGRAM, *options, "--dir", self._folder.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if "eady to accept connections" in line:
                return
        raise RuntimeError(f"{PROGRAM} did not start:\n{''.join(said)}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def flush(self) -> None:
        """Forget everything."""
        self.do("FLUSHALL")

    def do(self, command: str) -> None:
        """Have it carry out a command that answers OK."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as wire:
            wire.sendall(f"{command}\r\n".encode())
            assert wire.recv(64) == b"+OK\r\n"

    def __enter__(self) -> Self:
        try:
            self.start()
        except RuntimeError:  # somebody took the port meanwhile
            self.stop()
            self.port = _free_port()
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def start_redis() -> RedisServer:
    """One that is not started yet. Without the program the test is skipped, but fails in CI."""
    if shutil.which(PROGRAM) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return RedisServer()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One for all tests of this process."""
    with start_redis() as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Where an empty Redis is."""
    redis_server.flush()
    return redis_server.url
