"""How much of a head is taken, and how long somebody may do nothing, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.inside import listening
from polyvox.gateway.serving.bounded_http import BoundedHttp

LONG = 60  # nobody waits so long, unless something hangs


class Impatient(BoundedHttp):
    arrive_seconds = 0.05
    leave_seconds = 0.05


class Served:
    """A server, and what its application saw."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def connect(self, limit: int = 1 << 20) -> tuple[asyncio.StreamReader, Any]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=limit)

    async def told(self, *pieces: bytes) -> bytes:
        """All that comes back until the other side hangs up."""
        reader, writer = await self.connect()
        async with asyncio.timeout(LONG):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                told = await reader.read()
            except ConnectionError:
                told = b""
        writer.close()
        return told


@asynccontextmanager
async def serving(
    app: Callable[..., Awaitable[None]], http: type[BoundedHttp] = BoundedHttp
) -> AsyncIterator[Served]:
    async with listening(app, http=http) as port:
        yield Served(port)


class Recorder:
    """Answers with what it saw; ``scopes`` has all of it."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


HEADS = {
    "a header that is too long": [
        b"GET / HTTP/1.1\r\nhost: x\r\na: " + b"a" * 70_000 + b"\r\n\r\n"
    ],
    "a header without an end": [b"GET / HTTP/1.1\r\nhost: x\r\na: "] + [b"a" * 16_000] * 20,
    "headers without an end": [b"GET / HTTP/1.1\r\nhost: x\r\n"] + [b"a: bcdefgh\r\n" * 1_000] * 20,
    "too many headers": [b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 100 + b"\r\n"],
    "an address that is too long": [b"GET /" + b"a" * 65_000 + b" HTTP/1.1\r\nhost: xyz\r\n" * 80],
    "an address without an end": [b"GET /"] + [b"a" * 16_000] * 20,
}


@pytest.mark.parametrize("head", HEADS)
async def test_a_head_over_the_bounds_is_refused_and_reaches_nobody(head: str) -> None:
    app = Recorder()
    async with serving(app) as served:
        told = await served.told(*HEADS[head])
    assert app.scopes == []
    if told:  # else what was still being sent has met the closed connection
        assert told.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 ")), told
        assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["message"]


async def test_the_refusal_of_a_head_is_431_in_json() -> None:
    async with serving(Recorder()) as served:
        told = await served.told(HEADS["too many headers"][0])
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close" in head
    assert "100 headers" in json.loads(body)["error"]["message"]


async def test_a_head_within_the_bounds_is_taken() -> None:
    app = Recorder()
    async with serving(app) as served:
        fields = b"".join(b"x-%d: %s\r\n" % (n, b"v" * 600) for n in range(97))
        head = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + fields + b"\r\n"
        told = await served.told(*(head[at : at + 7_000] for at in range(0, len(head), 7_000)))
    assert told.startswith(b"HTTP/1.1 200")
    assert len(app.scopes[0]["headers"]) == 99


async def test_what_is_no_http_is_told_so_in_json() -> None:
    async with serving(Recorder()) as served:
        told = await served.told(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 400 ")
    assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["type"] == "invalid_request_error"


async def test_what_comes_behind_a_body_is_no_header() -> None:
    app = Recorder()
    body = b"2\r\n{}\r\n0\r\nauthorization: Bearer sneaked\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    async with serving(app) as served:
        told = await served.told(head + body)
    assert told.startswith(b"HTTP/1.1 200")
    assert b"authorization" not in dict(app.scopes[0]["headers"])


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\na", b"\r\n"],
    ids=["nothing", "a line", "a header", "an empty line"],
)
async def test_whoever_does_not_finish_a_head_is_hung_up_on(sent: bytes) -> None:
    app = Recorder()
    async with serving(app, Impatient) as served:
        assert await served.told(sent) == b""
    assert app.scopes == []


async def test_on_a_connection_that_was_used_it_is_the_same() -> None:
    async with serving(Recorder(), Impatient) as served:
        told = await served.told(b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET /again HT")
    assert told.count(b"HTTP/1.1 200") == 1


class Forgetful(BoundedHttp):
    """Keeps no connection for long that is not used."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.timeout_keep_alive = 0.05  # type: ignore[assignment]


async def test_a_connection_that_is_not_used_again_is_closed() -> None:
    async with serving(Recorder(), Forgetful) as served:
        told = await served.told(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert told.endswith(b"ok")


@pytest.mark.parametrize("is_unread", [False, True])
async def test_a_connection_with_an_unanswered_request_is_used(is_unread: bool) -> None:
    """However long ago the answer to the one before was."""
    made: list[BoundedHttp] = []

    class Made(BoundedHttp):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            made.append(self)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/again":
            if not is_unread:
                await receive()
            made[0]._quiet_since = -1e9
            made[0]._look()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async with serving(app, Made) as served:
        reader, writer = await served.connect()
        async with asyncio.timeout(LONG):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            await reader.readuntil(b"ok")
            head = b"POST /again HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            writer.write(head + b"content-length: 2\r\n\r\n" + b"{}" * (not is_unread))
            assert (await reader.read()).endswith(b"ok")
        writer.close()


async def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = scope["path"].encode()
        await asyncio.sleep(0)
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    request = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"
    last = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    async with serving(app) as served:
        told = await served.told(b"".join(request % n for n in range(5)) + last)
    paths = [part.partition(b"HTTP/1.1")[0] for part in told.split(b"\r\n\r\n")[1:]]
    assert paths == [b"/0", b"/1", b"/2", b"/3", b"/4", b"/last"]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/a%20b?c=%20d", "/a b", b"c=%20d"),
        (b"/a?", "/a", b""),
        (b"http://x/a?b", "/a", b"b"),
        (b"/a#b", "/a", b""),
        (b"//a//b?a?b", "//a//b", b"a?b"),
        (b"/%C3%A4%ff%00%2e%2E%2f%", "/\xe4\ufffd\0../%", b""),
    ],
)
async def test_the_address_is_told_apart_into_path_and_query(
    target: bytes, path: str, query: bytes
) -> None:
    app = Recorder()
    async with serving(app) as served:
        await served.told(b"GET %b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n" % target)
    assert (app.scopes[0]["path"], app.scopes[0]["query_string"]) == (path, query)


async def test_a_body_that_stops_coming_ends_the_request() -> None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] == "http.request":
            assert message["more_body"]
        heard.set_result(message["type"])

    async with serving(app, Impatient) as served:
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n"
        assert await served.told(head, b"some") == b""
        async with asyncio.timeout(LONG):
            assert await heard == "http.disconnect"


async def test_a_reader_who_takes_nothing_is_let_go_of() -> None:
    """Nothing else ends a ``send`` to somebody who neither reads nor leaves."""
    let_go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        gone = asyncio.ensure_future(receive())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        assert gone.result()["type"] == "http.disconnect"
        let_go.set()

    async with serving(app, Impatient) as served:
        _, writer = await served.connect(limit=1)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(LONG):
            await let_go.wait()
        writer.close()


async def test_the_rest_of_an_answer_that_nobody_takes_is_thrown_away() -> None:
    """Also when the application has long finished with it."""
    lost = asyncio.Event()

    class Told(Impatient):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"20000000"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * 20_000_000})

    async with serving(app, Told) as served:
        _, writer = await served.connect(limit=1)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(LONG):
            await lost.wait()
        writer.close()


class _Pipe:
    """A connection of which some is taken at times."""

    def __init__(self, *waiting: int) -> None:
        self.waiting = list(waiting)
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.waiting.pop(0)

    def get_extra_info(self, name: str) -> None:
        return None

    def abort(self) -> None:
        self.aborted = True


async def test_a_slow_reader_is_no_dead_one() -> None:
    rung: list[tuple[Any, ...]] = []

    class Loop:
        def call_later(self, seconds: float, call: Any, *given: Any) -> Any:
            rung.append((call, *given))
            return asyncio.get_running_loop().call_later(0, lambda: None)

    protocol = BoundedHttp.__new__(BoundedHttp)
    protocol.loop, protocol.transport, protocol._leaving = Loop(), _Pipe(9, 8, 8, 8), None  # type: ignore[assignment]
    protocol._leave()
    for alive in (True, False):
        call, *given = rung.pop()
        call(*given)
        assert protocol.transport.aborted is not alive  # type: ignore[attr-defined]


async def test_a_body_that_goes_on_behind_its_refusal_is_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})

    async with serving(app) as served:
        reader, writer = await served.connect()
        head = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head)
        async with asyncio.timeout(LONG):
            assert (await reader.readline()).startswith(b"HTTP/1.1 401")
            with pytest.raises(ConnectionError):
                await _send_for_ever(writer)
        writer.close()


async def _send_for_ever(writer: Any) -> None:
    while True:
        writer.write(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)
