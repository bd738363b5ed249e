"""What arrives: bodies of every make, and what becomes of them when the connection breaks."""

import asyncio
import gzip
import threading
import zlib

import pytest

from polyvox.errors import ConfigurationError, NetworkError, ProtocolError
from polyvox.http import HttpRequest, Transport
from polyvox.transport import AiohttpTransport, read_all
from waiting import soon, turns

from .conftest import MakeTransport
from .raw_server import Peer, RawServer, answering

MIB = 2**20


def get(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {})


def post(url: str, body: bytes = b"{}", **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, {"content-type": "application/json", **headers}, body)


async def body_of(transport: Transport, request: HttpRequest) -> bytes:
    response = await transport.send(request)
    try:
        return await read_all(response.body, 64 * MIB)
    finally:
        await response.aclose()


async def test_what_a_url_may_not_hold_is_encoded(transport: Transport):
    async with RawServer(answering) as server:
        await body_of(transport, get(server.url("/a b/\u00e9?x=\r\nhost: evil")))
        assert server.paths == ["/a%20b/%C3%A9?x=host:+evil"]


async def test_the_request_goes_out_as_it_is(transport: Transport):
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.answer()

    async with RawServer(script) as server:
        path = "/v1/models/a%2Fb:c%3Ad/%7Ee:generate?alt=sse&x=%20"
        request = post(server.url(path), b'{"a": 1}', authorization="Bearer k")
        assert await soon(body_of(transport, request)) == b"ok"
    head, body = seen[0].split(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    assert line == f"POST {path} HTTP/1.1"
    assert body == b'{"a": 1}'
    fields = dict(header.lower().split(": ", 1) for header in headers)
    assert fields["content-type"] == "application/json"
    assert fields["content-length"] == "8"
    assert fields["authorization"] == "bearer k"
    assert "gzip" in fields["accept-encoding"]
    assert "cookie" not in fields


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, 5 * MIB])
async def test_a_prompt_of_any_size_arrives_whole(transport: Transport, size: int):
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request()).partition(b"\r\n\r\n")[2])
        peer.answer()

    prompt = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    async with RawServer(script) as server:
        assert await soon(body_of(transport, post(server.url(), prompt))) == b"ok"
    assert seen == [prompt]


@pytest.mark.parametrize("status", [204, 301, 307, 400, 404, 429, 500, 503])
async def test_every_status_is_an_answer(transport: Transport, status: int):
    async def script(peer: Peer) -> None:
        await peer.request()
        length = b"" if status == 204 else b"content-length: 2\r\n"
        location = b"location: http://127.0.0.1:9/elsewhere\r\n"
        peer.send(b"HTTP/1.1 %d Words\r\n" % status, length, location, b"\r\n")
        peer.send(b"" if status == 204 else b"no")

    async with RawServer(script) as server:
        response = await soon(transport.send(post(server.url())))
        assert response.status == status
        expected = b"" if status == 204 else b"no"
        assert await soon(read_all(response.body, 10)) == expected


async def test_header_names_are_lower_case_and_repetitions_are_joined(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.answer(
            b"", b"X-Request-ID: Abc", b"X-Limit: 1", b"x-limit: 2", b"X-Long: " + b"a" * 30_000
        )

    async with RawServer(script) as server:
        response = await soon(transport.send(get(server.url())))
        assert response.headers["x-request-id"] == "Abc"
        assert response.headers["x-limit"] == "1, 2"
        assert len(response.headers["x-long"]) == 30_000
        assert all(name == name.lower() for name in response.headers)
        await response.aclose()


async def test_pieces_come_when_they_come(transport: Transport):
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.begin_chunked()
        for number in range(3):
            peer.chunk(b"data: %d\n\n" % number)
            await go_on.wait()
            go_on.clear()
        peer.chunk(b"")

    async with RawServer(script) as server:
        response = await soon(transport.send(get(server.url())))
        pieces: list[bytes] = []
        async for piece in response.body:
            pieces.append(piece)
            go_on.set()
        assert pieces == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_compressed_bodies_arrive_decompressed_piece_by_piece(
    transport: Transport, coding: str
):
    first_is_read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.begin_chunked(b"content-encoding: " + coding.encode())
        squeeze = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
        peer.chunk(squeeze.compress(b"data: 1\n\n") + squeeze.flush(zlib.Z_SYNC_FLUSH))
        await first_is_read.wait()
        peer.chunk(squeeze.compress(b"data: 2\n\n") + squeeze.flush())
        peer.chunk(b"")

    async with RawServer(script) as server:
        response = await soon(transport.send(get(server.url())))
        assert await soon(anext(response.body)) == b"data: 1\n\n"
        first_is_read.set()
        assert await soon(read_all(response.body, 100)) == b"data: 2\n\n"


async def test_a_long_answer_without_line_ends_arrives_whole(transport: Transport):
    line = b"data: " + b"x" * (8 * MIB)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.answer(gzip.compress(line), b"content-encoding: gzip")
        await peer.request()
        peer.answer(line)

    async with RawServer(script) as server:
        assert await soon(body_of(transport, get(server.url()))) == line
        assert await soon(body_of(transport, get(server.url()))) == line


# ---------------------------------------------------------------------------------- keep-alive


async def test_a_connection_is_used_again_when_its_body_is_over(transport: Transport):
    async with RawServer(answering) as server:
        for _ in range(5):
            assert await soon(body_of(transport, post(server.url()))) == b"ok"
        assert len(server.paths) == 5
        assert len(server.peers) == 1


async def test_a_connection_is_used_again_when_its_body_was_over_but_not_read(
    transport: Transport,
):
    async with RawServer(answering) as server:
        for _ in range(3):
            response = await soon(transport.send(post(server.url())))
            await turns()
            await response.aclose()
        assert len(server.peers) == 1


async def test_no_cookies_are_kept(transport: Transport):
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        for _ in range(2):
            seen.append(await peer.request())
            peer.answer(b"ok", b"set-cookie: a=b")

    async with RawServer(script) as server:
        for _ in range(2):
            assert await soon(body_of(transport, get(server.url()))) == b"ok"
    assert b"cookie" not in seen[1].lower()


def test_an_idle_connection_closed_while_the_loop_stood_still_is_not_used(
    transport_class: MakeTransport,
):
    """A program that works between two calls keeps its loop busy, and servers don't wait."""
    hung_up = threading.Event()
    port: list[int] = []
    listening = threading.Event()
    finish = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.answer()
        while len(server.peers) == 1 and not asked.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        peer.hang_up()
        await peer.gone.wait()
        hung_up.set()

    asked = threading.Event()

    async def serve() -> None:
        async with server:
            port.append(server.port)
            listening.set()
            await finish.wait()

    server = RawServer(script)
    server_loop = asyncio.new_event_loop()
    thread = threading.Thread(target=server_loop.run_until_complete, args=(serve(),))
    thread.start()
    assert listening.wait(30)

    async def ask_work_ask() -> None:
        request = post(f"http://127.0.0.1:{port[0]}/")
        async with transport_class() as transport:
            assert await body_of(transport, request) == b"ok"
            asked.set()
            assert hung_up.wait(30)  # keeps the loop busy: that is the point
            assert await body_of(transport, request) == b"ok"

    asyncio.run(ask_work_ask())
    server_loop.call_soon_threadsafe(finish.set)
    thread.join()
    server_loop.close()
    assert len(server.peers) == 2


async def test_a_post_whose_connection_closes_unanswered_is_not_sent_twice(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.answer()
        await peer.request()
        peer.hang_up()

    async with RawServer(script) as server:
        assert await soon(body_of(transport, post(server.url("/1")))) == b"ok"
        with pytest.raises(NetworkError, match="before it answered") as caught:
            await soon(body_of(transport, post(server.url("/2"))))
        assert caught.value.retryable
        assert "processed is not known" in str(caught.value)
        assert server.paths == ["/1", "/2"]


# -------------------------------------------------------------------------------- broken things


@pytest.mark.parametrize("end", ["closed", "reset"])
@pytest.mark.parametrize("framing", ["chunked", "length", "gzip"])
@pytest.mark.parametrize("reader", ["prompt", "late"])
async def test_a_body_cut_short_is_an_error_after_all_that_came(
    transport: Transport, end: str, framing: str, reader: str
):
    read_first = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if framing == "length":
            peer.begin(b"content-length: 1000")
            peer.send(b"one two")
        elif framing == "chunked":
            peer.begin_chunked()
            peer.chunk(b"one two")
        else:
            peer.begin_chunked(b"content-encoding: gzip")
            squeeze = zlib.compressobj(wbits=31)
            peer.chunk(squeeze.compress(b"one two") + squeeze.flush(zlib.Z_SYNC_FLUSH))
        await read_first.wait()
        peer.hang_up() if end == "closed" else peer.reset()

    async with RawServer(script) as server:
        response = await soon(transport.send(post(server.url())))
        pieces: list[bytes] = []
        if reader == "late":
            # Everything is there before the first look: the data and the break.
            await turns()
            read_first.set()
            await soon((await server.peer()).gone.wait())
            await turns()

        async def read() -> None:
            async for piece in response.body:
                pieces.append(piece)
                read_first.set()

        with pytest.raises(NetworkError, match="broke off") as caught:
            await soon(read())
        assert caught.value.retryable
        assert b"".join(pieces) == b"one two"


async def test_a_body_without_a_length_ends_with_the_connection(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        peer.hang_up()

    async with RawServer(script) as server:
        assert await soon(body_of(transport, get(server.url()))) == b"all of it"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (b"transfer-encoding: chunked", b"zz\r\nnot a chunk\r\n"),
        (b"content-encoding: gzip\r\ncontent-length: 9", b"not gzip!"),
    ],
)
async def test_a_body_that_breaks_its_coding_is_an_error(
    transport: Transport, headers: bytes, body: bytes
):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.begin(headers)
        await turns(3)
        peer.send(body)

    async with RawServer(script) as server:
        with pytest.raises((NetworkError, ProtocolError)):
            await soon(body_of(transport, get(server.url())))


@pytest.mark.parametrize(
    "garbage",
    [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x16"],
)
async def test_a_head_that_is_no_http_is_a_protocol_error(transport: Transport, garbage: bytes):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(garbage)

    async with RawServer(script) as server:
        with pytest.raises(ProtocolError, match="did not answer in HTTP"):
            await soon(transport.send(post(server.url())))


@pytest.mark.parametrize("end", ["closed", "reset"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\ncontent-"])
async def test_a_connection_that_ends_before_the_head_is_a_network_error(
    transport: Transport, end: str, sent: bytes
):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(sent)
        peer.hang_up() if end == "closed" else peer.reset()

    async with RawServer(script) as server:
        with pytest.raises(NetworkError) as caught:
            await soon(transport.send(post(server.url())))
        assert caught.value.retryable


async def test_an_early_refusal_of_a_long_prompt_is_an_answer(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nlong")
        await peer.gone.wait()

    async with RawServer(script) as server:
        response = await soon(transport.send(post(server.url(), bytes(32 * MIB))))
        assert response.status == 413
        assert await soon(read_all(response.body, 10)) == b"long"
        await response.aclose()
        await soon((await server.peer()).gone.wait())


async def test_a_refused_connection_says_so(transport: Transport):
    async with RawServer(answering) as server:
        url = server.url()
    with pytest.raises(
        NetworkError, match=r"can't connect to 127\.0\.0\.1:\d+: .*refused"
    ) as caught:
        await soon(transport.send(get(url)))
    assert caught.value.retryable
    assert "Is the server running" in str(caught.value)


async def test_an_unknown_host_is_named(transport: Transport, monkeypatch: pytest.MonkeyPatch):
    import socket

    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", nobody)  # which is not whom the native one asks
    name = "api.opnai.test" if isinstance(transport, AiohttpTransport) else f"{'x' * 64}.test"
    with pytest.raises(NetworkError, match=rf"the host name {name} can't be resolved") as caught:
        await soon(transport.send(get(f"http://{name}/v1")))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "url", ["ftp://a.test/", "a.test/v1", "http:///v1", "https://", "http://a.test:x/", ""]
)
async def test_an_address_that_is_none_is_a_configuration_error(transport: Transport, url: str):
    with pytest.raises(ConfigurationError):
        await soon(transport.send(get(url)))


async def test_a_key_with_a_line_break_is_refused_and_not_shown(transport: Transport):
    async with RawServer(answering) as server:
        with pytest.raises(ConfigurationError, match="line break in the key") as caught:
            await soon(transport.send(post(server.url(), authorization="Bearer secret\nx")))
    assert "secret" not in str(caught.value)
