"""Cancels, and how long it takes until the server sees that its reader has gone.

Run as ``python -S -c "from bench.hanging_up import main; main(NAME, STATE, TIMES)"``. The server is
a thread with blocking sockets beside the reader's event loop: both have the same clock, and what
the kernel knows it knows at once.
"""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, TypeAlias

from bench import contenders
from bench.answers import make_answer

Note: TypeAlias = Callable[[], None]
"""Called when a request has come whole, and again when its reader has gone."""

HTTP2 = "in an HTTP/2 stream"

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_ANSWER = make_answer("openai", "text", 1)
_END_OF_BODY = b"}"
_AT_REST = 0.01
"""Seconds in which a reader comes to wait for what does not come."""
_PATIENCE = 10.0


def lacking() -> str:
    """Why there is no server of HTTP/2; empty if there is one."""
    missing = [] if find_spec("h2") else ["the package h2"]
    missing += [] if shutil.which("openssl") else ["the command openssl"]
    return f"cancelled {HTTP2}: not measured without {' and '.join(missing)}." if missing else ""


def main(name: str, state: str, times: int) -> None:
    """Print, as JSON, the milliseconds of so many cancels."""
    print(json.dumps(asyncio.run(_cancels(name, state, times))))


async def _cancels(name: str, state: str, times: int) -> list[float]:
    loop = asyncio.get_running_loop()
    noted: asyncio.Queue[float] = asyncio.Queue()

    def note() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for this
            loop.call_soon_threadsafe(noted.put_nowait, perf_counter())

    with _serving(state, note) as url:
        async with contenders.load(name).connect(url) as read:
            # The first one makes what later ones find made.
            took = [await _cancelled(read, state, noted) for _ in range(times + 1)]
    return took[1:]


async def _cancelled(
    read: Callable[..., Awaitable[int]], state: str, noted: asyncio.Queue[float]
) -> float:
    begun = asyncio.Event()
    async with asyncio.timeout(_PATIENCE):
        reading = asyncio.ensure_future(read("why?", lambda seen: begun.set()))
        await noted.get()
        if state != _WAITING:
            await begun.wait()
        await asyncio.sleep(_AT_REST)
        began = perf_counter()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        return (await noted.get() - began) * 1e3


@contextmanager
def _serving(state: str, note: Note) -> Generator[str]:
    """The address of a server that goes no further with its answers than this state."""
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        tls = _trusted(Path(folder)) if state == HTTP2 else None
        answer = partial(STATES[state], note)
        threading.Thread(target=_serve, args=(listener, tls, answer), daemon=True).start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            with suppress(OSError):  # not every system lets a listener be shut down
                listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept


def _serve(
    listener: socket.socket, tls: ssl.SSLContext | None, answer: Callable[[socket.socket], None]
) -> None:
    with suppress(OSError):  # the listener is closed
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with tls.wrap_socket(connection, server_side=True) if tls else connection as plain:
                answer(plain)


def _http1(begins: bool, note: Note, connection: socket.socket) -> None:
    received = b""
    while not received.endswith(_END_OF_BODY):
        if not (more := connection.recv(65536)):
            return
        received += more
    note()
    if begins:
        connection.sendall(_HEAD + _ANSWER.head + _ANSWER.pieces[0])
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    note()


def _http2(note: Note, connection: socket.socket) -> None:
    """Every request is a stream of one connection, which outlives them."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import StreamEnded, StreamReset

    server = H2Connection(H2Configuration(client_side=False))
    server.initiate_connection()
    connection.sendall(server.data_to_send())
    while received := connection.recv(65536):
        for event in server.receive_data(received):
            if isinstance(event, StreamReset):
                note()
            elif isinstance(event, StreamEnded):
                note()
                head = [(":status", "200"), ("content-type", "text/event-stream")]
                server.send_headers(event.stream_id, head)
                server.send_data(event.stream_id, _unframed(_ANSWER.pieces[0]))
        connection.sendall(server.data_to_send())


def _unframed(chunk: bytes) -> bytes:
    """Without the framing of HTTP/1.1's chunked encoding."""
    return chunk.partition(b"\r\n")[2].removesuffix(b"\r\n")


def _trusted(folder: Path) -> ssl.SSLContext:
    """What a server needs for HTTP/2; whoever reads the environment after this trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    os.environ["SSL_CERT_FILE"] = str(certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    tls.set_alpn_protocols(["h2"])
    return tls


_WAITING = "waiting for the head"
STATES: dict[str, Callable[[Note, Any], None]] = {
    _WAITING: partial(_http1, False),
    "in the body": partial(_http1, True),
    HTTP2: _http2,
}
"""How far an answer goes before it is cancelled."""
