"""A gateway asked byte by byte, or as plainly as the standard library does it."""

import json
import socket
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import msgspec

SECONDS = 60.0
"""Nothing here takes so long, unless it hangs."""


class Told(msgspec.Struct):
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    method: str,
    path: str,
    body: object = None,
    *,
    key: str = "",
    headers: dict[str, str] | None = None,
) -> Told:
    """Ask; a body that is neither bytes nor None goes as JSON."""
    place = urlsplit(url)
    assert place.hostname is not None
    connection = HTTPConnection(place.hostname, place.port, timeout=SECONDS)
    given = dict(headers or {})
    if key:
        given.setdefault("authorization", f"Bearer {key}")
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if data is not None:
        given.setdefault("content-type", "application/json")
    try:
        connection.request(method, path, data, given)
        return _told(connection.getresponse())
    finally:
        connection.close()


def _told(answer: HTTPResponse) -> Told:
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Told(answer.status, headers, answer.read())


def exchange(url: str, *pieces: bytes, half: bool = False) -> bytes:
    """What comes back for these bytes until the other side hangs up; ``half``: we do first."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), SECONDS) as connection:
        told = bytearray()
        try:
            for piece in pieces:
                connection.sendall(piece)
            if half:
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 16):
                told += data
        except TimeoutError:
            raise
        except OSError:  # it hung up before it had read all
            pass
        return bytes(told)


def statuses(told: bytes) -> list[int]:
    """The statuses in what came back."""
    lines = told.split(b"HTTP/1.1 ")[1:]
    return [int(line[:3]) for line in lines]
