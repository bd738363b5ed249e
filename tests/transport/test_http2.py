"""HTTP/2, which only the native transport speaks: one connection, many streams."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("h2")

from polyvox.errors import AbortedError, NetworkError
from polyvox.http import HttpRequest, Timeouts, Transport
from polyvox.model import Call, Interrupt
from polyvox.transport import exchange, read_all
from polyvox.transport.native import NativeTransport
from waiting import soon, turns, until

from .conftest import Certificate, needs_wheel, trusting
from .http2_server import Http2Server, Stream

pytestmark = needs_wheel

MIB = 2**20
PATIENT = Timeouts(connect=None, first_byte=None, idle=None)


@pytest.fixture
async def transport(certificate: Certificate) -> AsyncIterator[Transport]:
    async with trusting(NativeTransport, certificate) as transport:
        yield transport


def post(url: str, body: bytes = b"{}") -> HttpRequest:
    headers = {"content-type": "application/json", "authorization": "Bearer k"}
    return HttpRequest("POST", url, headers, body)


async def body_of(transport: Transport, request: HttpRequest) -> bytes:
    response = await transport.send(request)
    try:
        return await read_all(response.body, 64 * MIB)
    finally:
        await response.aclose()


async def answering(stream: Stream) -> None:
    await stream.whole.wait()
    stream.begin(("x-limit", "1"), ("x-limit", "2"))
    stream.send(b"ok", end=True)


async def silent(stream: Stream) -> None:
    await stream.whole.wait()


async def begin_answer(stream: Stream) -> None:
    await stream.whole.wait()
    stream.begin()
    stream.send(b"first")


async def test_the_request_goes_out_as_it_is(transport: Transport, certificate: Certificate):
    async with Http2Server(answering, certificate) as server:
        response = await soon(transport.send(post(server.url("/v1/a%2Fb?x=%20"), b'{"a": 1}')))
        assert response.status == 200
        assert response.headers["x-limit"] == "1, 2"
        assert await soon(read_all(response.body, 10)) == b"ok"
        sent = server.streams[0]
    assert bytes(sent.body) == b'{"a": 1}'
    assert sent.headers[":path"] == "/v1/a%2Fb?x=%20"
    assert sent.headers[":authority"] == f"127.0.0.1:{server.port}"
    assert sent.headers["authorization"] == "Bearer k"
    assert "host" not in sent.headers


async def test_many_requests_share_a_connection(transport: Transport, certificate: Certificate):
    together = asyncio.Event()

    async def all_at_once(stream: Stream) -> None:
        if len(server.streams) == 50:
            together.set()
        await together.wait()
        await answering(stream)

    async with Http2Server(all_at_once, certificate) as server:
        asking = (body_of(transport, post(server.url())) for _ in range(50))
        assert await soon(asyncio.gather(*asking)) == [b"ok"] * 50
        assert len(server.connections) == 1


async def test_no_more_streams_are_opened_than_the_server_allows(
    transport: Transport, certificate: Certificate
):
    together = asyncio.Event()

    async def all_at_once(stream: Stream) -> None:
        if len(server.streams) == 10:
            together.set()
        await together.wait()
        await answering(stream)

    async with Http2Server(all_at_once, certificate, most_streams=3) as server:
        asking = (body_of(transport, post(server.url())) for _ in range(10))
        assert await soon(asyncio.gather(*asking)) == [b"ok"] * 10
        assert [len(connection.streams) for connection in server.connections] == [3, 3, 3, 1]


@pytest.mark.parametrize("size", [MIB, 5 * MIB])
async def test_long_prompts_and_answers_arrive_whole(
    transport: Transport, certificate: Certificate, size: int
):
    async def echo(stream: Stream) -> None:
        await stream.whole.wait()
        stream.begin()
        rest = memoryview(bytes(stream.body))
        while rest:
            step = min(len(rest), stream.room(), 16_384)
            if step:
                stream.send(bytes(rest[:step]), end=step == len(rest))
                rest = rest[step:]
            await asyncio.sleep(0)

    prompt = bytes(range(256)) * (size // 256)
    async with Http2Server(echo, certificate) as server:
        assert await soon(body_of(transport, post(server.url(), prompt))) == prompt


async def test_a_compressed_body_arrives_decompressed(
    transport: Transport, certificate: Certificate
):
    async def script(stream: Stream) -> None:
        await stream.whole.wait()
        stream.begin(("content-encoding", "gzip"))
        stream.send(gzip.compress(b"data: 1\n\n"), end=True)

    async with Http2Server(script, certificate) as server:
        assert await soon(body_of(transport, post(server.url()))) == b"data: 1\n\n"


@pytest.mark.parametrize("script", [silent, begin_answer])
@pytest.mark.parametrize("way", ["interrupt", "cancel"])
async def test_giving_up_resets_the_stream_and_no_other(
    transport: Transport, certificate: Certificate, script: object, way: str
):
    """Sent at once: the server stops writing, and computing, what nobody will read."""

    async def by_path(stream: Stream) -> None:
        await (answering if stream.headers[":path"] == "/other" else script)(stream)  # type: ignore[operator]

    async with Http2Server(by_path, certificate) as server:
        interrupt = Interrupt()
        begun = asyncio.Event()

        async def play() -> None:
            call = Call(interrupt=interrupt)
            async with exchange(
                transport, post(server.url()), timeouts=PATIENT, call=call
            ) as response:
                async for _ in response.body:
                    begun.set()

        playing = asyncio.create_task(play())
        stream = await soon(server.stream())
        await soon(stream.whole.wait() if script is silent else begun.wait())
        if way == "interrupt":
            interrupt.set()
        else:
            playing.cancel()
        with pytest.raises((AbortedError, asyncio.CancelledError)):
            await soon(playing)
        await soon(stream.reset.wait())
        assert stream.error_code == 8  # CANCEL, RFC 9113, section 7
        assert await soon(body_of(transport, post(server.url("/other")))) == b"ok"
        assert len(server.connections) == 1
        assert not server.connections[0].gone.is_set()


async def test_a_stream_that_nobody_reads_stops_its_server_and_no_other(
    transport: Transport, certificate: Certificate
):
    sent: list[int] = []

    async def flood(stream: Stream) -> None:
        await stream.whole.wait()
        if stream.headers[":path"] == "/other":
            return await answering(stream)
        stream.begin()
        while not stream.reset.is_set():
            if step := min(stream.room(), 16_384):
                stream.send(bytes(step))
                sent.append(step)
            await asyncio.sleep(0)
        return None

    async with Http2Server(flood, certificate) as server:
        response = await soon(transport.send(post(server.url())))
        stream = server.streams[0]
        await until(lambda: stream.room() == 0)
        for _ in range(20):
            assert await soon(body_of(transport, post(server.url("/other")))) == b"ok"
        assert sum(sent) < 2 * MIB
        await response.aclose()
        await soon(stream.reset.wait())


async def test_a_stream_that_the_server_gives_up_breaks_off(
    transport: Transport, certificate: Certificate
):
    async def script(stream: Stream) -> None:
        await begin_answer(stream)
        await go_on.wait()
        stream.give_up()

    go_on = asyncio.Event()
    async with Http2Server(script, certificate) as server:
        response = await soon(transport.send(post(server.url())))
        assert await soon(anext(response.body)) == b"first"
        go_on.set()
        with pytest.raises(NetworkError, match="broke off") as caught:
            await soon(anext(response.body))
        assert caught.value.retryable


async def test_a_connection_that_closes_unanswered_is_no_reason_to_send_twice(
    transport: Transport, certificate: Certificate
):
    async def script(stream: Stream) -> None:
        await stream.whole.wait()
        if len(server.streams) == 1:
            stream.connection.transport.abort()
            return
        await answering(stream)

    async with Http2Server(script, certificate) as server:
        with pytest.raises(NetworkError) as caught:
            await soon(body_of(transport, post(server.url())))
        assert caught.value.retryable
        assert len(server.streams) == 1
        assert await soon(body_of(transport, post(server.url()))) == b"ok"
        assert len(server.connections) == 2


async def test_closing_the_transport_closes_the_connection_at_once(certificate: Certificate):
    async with (
        Http2Server(begin_answer, certificate) as server,
        trusting(NativeTransport, certificate) as transport,
    ):
        response = await soon(transport.send(post(server.url())))
        assert await soon(anext(response.body)) == b"first"
        reading = asyncio.ensure_future(anext(response.body))
        await turns()
        await transport.aclose()
        with pytest.raises(NetworkError):
            await soon(reading)
        await soon(server.connections[0].gone.wait())
