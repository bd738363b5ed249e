"""The whole gateway as a process: what becomes of calls, and of their records, when it is stopped."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[3] / "src"
KEY = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
CONFIG = """
[gateway]
port = 0
data = "data"
admin_key = "{key}"
server = "{server}"
drain_seconds = {drain}
reload_seconds = 3600
[providers.lab]
dialect = "openai-chat"
base_url = "{url}/v1"
key = "lab-key"
[aliases]
{aliases}
"""


class Upstream:
    """A provider that says the first half of an answer, and the rest when it is let."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.release = threading.Event()
        self.left = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(1 << 16)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            )
            connection.sendall(_chunk(content="first"))
            threading.Thread(target=self._watch, args=(connection,), daemon=True).start()
            self.release.wait()
            try:
                connection.sendall(
                    _chunk(content=" last") + _chunk(finish="stop") + b"data: [DONE]\n\n"
                )
                # A close alone would wait for the one who reads in ``_watch``.
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                self.left.set()

    def _watch(self, connection: socket.socket) -> None:
        try:
            if not connection.recv(1):
                self.left.set()
        except OSError:
            self.left.set()

    def close(self) -> None:
        self.release.set()
        self._socket.close()


def _chunk(content: str = "", finish: str | None = None) -> bytes:
    delta = {"content": content} if content else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n".encode()


class Gateway:
    """A gateway that serves, with its own folder."""

    def __init__(self, folder: Path, upstream: Upstream, server: str, drain: float) -> None:
        self.folder = folder
        self._open: list[HTTPResponse | HTTPConnection] = []
        self._settings = {"server": server, "drain": drain, "url": upstream.url, "key": KEY}
        self.configure('one = "lab/m"')
        self.process = subprocess.Popen(
            [sys.executable, "-m", "polyvox.cli", "serve", "--json", "--log", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={"PYTHONPATH": str(SRC), "HOME": str(folder), "PATH": "/usr/bin:/bin"},
        )
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self.port = int(json.loads(line)["url"].rpartition(":")[2])

    def configure(self, aliases: str) -> None:
        text = CONFIG.format(aliases=aliases, **self._settings)
        (self.folder / "polyvox.toml").write_text(text)

    def ask(self, model: str = "one") -> HTTPResponse:
        messages = [{"role": "user", "content": "Hi."}]
        body = json.dumps({"model": model, "messages": messages, "stream": True})
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        self._open += [answer, connection]
        return answer

    def status(self, model: str) -> int:
        answer = self.ask(model)
        answer.read()
        return answer.status

    def close(self) -> None:
        for each in self._open:
            each.close()
        with self.process as process:
            process.kill()

    def logged(self, words: str) -> dict[str, object]:
        """The next line of the log with these words."""
        for line in self.process.stderr:
            if words in line:
                return json.loads(line)
        raise AssertionError(f"the log ended without {words!r}")

    def recorded(self) -> list[tuple[object, ...]]:
        """What the database holds of calls."""
        with sqlite3.connect(self.folder / "data" / "gateway.db") as database:
            return database.execute("SELECT status, partial FROM calls").fetchall()


Begin = Callable[..., Gateway]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def begin(tmp_path: Path, upstream: Upstream) -> Iterator[Begin]:
    begun: list[Gateway] = []

    def beginner(server: str, drain: float = 30) -> Gateway:
        begun.append(Gateway(tmp_path, upstream, server, drain))
        return begun[-1]

    yield beginner
    for each in begun:
        each.close()


def first_content(answer: HTTPResponse) -> None:
    while b"first" not in (line := answer.readline()):
        assert line, "the stream ended before its first content"


def test_a_call_in_flight_is_answered_in_full_and_is_in_the_database_when_it_ends(
    begin: Begin, upstream: Upstream, server: str
):
    gateway = begin(server)
    answer = gateway.ask()
    first_content(answer)
    gateway.process.send_signal(signal.SIGTERM)
    upstream.release.set()
    rest = answer.read()
    assert b" last" in rest
    assert b"[DONE]" in rest
    assert gateway.process.wait(60) == 0
    assert gateway.recorded() == [("ok", 0)]


def test_a_call_that_takes_too_long_ends_with_an_error_and_its_part_is_accounted(
    begin: Begin, upstream: Upstream, server: str
):
    gateway = begin(server, drain=0.2)
    answer = gateway.ask()
    first_content(answer)
    gateway.process.send_signal(signal.SIGTERM)
    rest = answer.read()
    assert b"error" in rest
    assert gateway.process.wait(60) == 0
    assert upstream.left.wait(60)
    assert gateway.recorded() == [("aborted", 1)]


def test_a_new_configuration_is_taken_and_a_wrong_one_is_refused(begin: Begin, upstream: Upstream):
    upstream.release.set()
    gateway = begin("uvicorn")
    assert gateway.status("two") == 404
    gateway.configure("two = 7")
    gateway.process.send_signal(signal.SIGHUP)
    line = gateway.logged("refused")
    assert "aliases" in str(line["text"])
    assert gateway.status("one") == 200
    gateway.configure('two = "lab/m"')
    gateway.process.send_signal(signal.SIGHUP)
    gateway.logged("read anew")
    assert gateway.status("two") == 200
    assert gateway.status("one") == 404
