"""Giving up closes the socket at once, in every state an exchange can be in."""

import asyncio
import gc
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from polyvox.errors import AbortedError, NetworkError
from polyvox.http import HttpRequest, Timeouts, Transport
from polyvox.model import Call, Interrupt
from polyvox.transport import exchange
from waiting import soon, turns, until

from .conftest import AnyTransport, Certificate, MakeTransport, trusting
from .raw_server import Peer, RawServer, answering, open_sockets, silent

HUGE = 64 * 2**20
PATIENT = Timeouts(connect=None, first_byte=None, idle=None)

sees_sockets = pytest.mark.skipif(sys.platform != "linux", reason="counts sockets in /proc")


def get(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {})


def post(url: str, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest("POST", url, {"content-type": "application/json"}, body)


@dataclass
class Scene:
    """A request that gets stuck: how to know that it is there, and that its socket was closed."""

    transport: Transport
    request: HttpRequest
    stuck: Callable[[], Awaitable[object]]
    closed: Callable[[], Awaitable[object]]
    pieces: list[bytes] = field(default_factory=list)
    first_piece: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self, call: Call) -> None:
        async with exchange(self.transport, self.request, timeouts=PATIENT, call=call) as response:
            async for piece in response.body:
                self.pieces.append(piece)
                self.first_piece.set()


# --------------------------------------------------------------------------------- the states


@asynccontextmanager
async def queued(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    async with RawServer(begin_answer) as server, make(max_connections=1) as transport:
        holder = await transport.send(get(server.url("/holder")))

        async def place_is_free() -> None:
            await holder.aclose()
            following = await transport.send(get(server.url("/following")))
            await following.aclose()
            assert server.paths == ["/holder", "/following"]

        yield Scene(transport, get(server.url("/queued")), turns, place_is_free)


@asynccontextmanager
async def connecting(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    async with make() as transport, AsyncExitStack() as stack:
        # When the queue of a listener is full, the kernel drops what would open a connection.
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _n in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        before = open_sockets()
        host, port = listener.getsockname()
        yield Scene(
            transport,
            post(f"http://{host}:{port}/"),
            stuck=lambda: until(lambda: open_sockets() == before + 1),
            closed=lambda: until(lambda: open_sockets() == before),
        )


@asynccontextmanager
async def shaking_hands(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    async with RawServer(silent) as server, make() as transport:

        async def hello_came() -> None:
            await (await server.peer()).take(100)

        request = post(server.url().replace("http:", "https:"))
        yield Scene(transport, request, hello_came, lambda: gone(server))


@asynccontextmanager
async def opening_a_tunnel(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    async with RawServer(silent) as proxy, make() as transport:

        async def connect_came() -> None:
            assert (await (await proxy.peer()).head()).startswith(b"CONNECT ")

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HTTPS_PROXY", proxy.url())
            yield Scene(transport, post("https://model.test/"), connect_came, lambda: gone(proxy))


@asynccontextmanager
async def shaking_hands_in_a_tunnel(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    hello = asyncio.Event()

    async def tunnel(peer: Peer) -> None:
        await peer.head()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await peer.take(100)
        hello.set()

    async with RawServer(tunnel) as proxy, make() as transport:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HTTPS_PROXY", proxy.url())
            yield Scene(transport, post("https://model.test/"), hello.wait, lambda: gone(proxy))


@asynccontextmanager
async def sending(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    """A long prompt to a server that does not take it."""
    async with RawServer(silent, reading=False) as server, make() as transport:
        before = open_sockets()

        async def connected_and_full() -> None:
            await server.peer()
            await turns(200)
            assert open_sockets() == before + 2

        yield Scene(
            transport,
            post(server.url(), bytes(HUGE)),
            connected_and_full,
            closed=lambda: until(lambda: open_sockets() == before + 1),  # the server's end
        )


@asynccontextmanager
async def waiting_for_the_head(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    async with RawServer(silent) as server, make() as transport:

        async def request_came() -> None:
            await (await server.peer()).request()

        yield Scene(transport, post(server.url()), request_came, lambda: gone(server))


@asynccontextmanager
async def in_the_body(make: MakeTransport, _: Certificate) -> AsyncIterator[Scene]:
    async with RawServer(begin_answer) as server, make() as transport:
        scene = Scene(transport, post(server.url()), silence, lambda: gone(server))
        scene.stuck = scene.first_piece.wait
        yield scene


@asynccontextmanager
async def in_the_body_over_tls(
    make: MakeTransport, certificate: Certificate
) -> AsyncIterator[Scene]:
    """From a server that says no goodbye, for which TLS would wait."""

    async def begin_and_stall(peer: Peer) -> None:
        await begin_answer(peer)
        peer.transport.pause_reading()

    async with (
        RawServer(begin_and_stall, tls=certificate.server) as server,
        trusting(make, certificate) as transport,
    ):
        before = open_sockets()
        scene = Scene(transport, post(server.url()), silence, silence)
        scene.stuck = scene.first_piece.wait
        scene.closed = lambda: until(lambda: open_sockets() == before + 1)  # the server's end
        yield scene


async def begin_answer(peer: Peer) -> None:
    await peer.request()
    peer.begin_chunked()
    peer.chunk(b"first")


async def silence() -> None:
    raise AssertionError("replaced by the scene")


async def gone(server: RawServer) -> None:
    await (await server.peer()).gone.wait()


STATES = [
    queued,
    pytest.param(connecting, marks=sees_sockets),
    shaking_hands,
    opening_a_tunnel,
    shaking_hands_in_a_tunnel,
    pytest.param(sending, marks=sees_sockets),
    waiting_for_the_head,
    in_the_body,
    pytest.param(in_the_body_over_tls, marks=sees_sockets),
]
State = Callable[[MakeTransport, Certificate], AbstractAsyncContextManager[Scene]]
in_every_state = pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)


# ------------------------------------------------------------------------------------ the ends


@in_every_state
async def test_an_interrupt_closes_the_socket(
    state: State, transport_class: MakeTransport, certificate: Certificate
):
    async with state(transport_class, certificate) as scene:
        interrupt = Interrupt()
        playing = asyncio.create_task(scene.play(Call(interrupt=interrupt)))
        await soon(scene.stuck())
        interrupt.set("enough")
        with pytest.raises(AbortedError, match="enough"):
            await soon(playing)
        await soon(scene.closed())


@in_every_state
async def test_an_interrupt_from_another_thread_closes_the_socket(
    state: State, transport_class: MakeTransport, certificate: Certificate
):
    asyncio.get_running_loop().set_debug(True)  # refuses callbacks from the wrong thread
    async with state(transport_class, certificate) as scene:
        interrupt = Interrupt()
        playing = asyncio.create_task(scene.play(Call(interrupt=interrupt)))
        await soon(scene.stuck())
        thread = threading.Thread(target=interrupt.set)
        thread.start()
        with pytest.raises(AbortedError):
            await soon(playing)
        thread.join()
        await soon(scene.closed())


@in_every_state
async def test_cancelling_the_task_closes_the_socket(
    state: State, transport_class: MakeTransport, certificate: Certificate
):
    async with state(transport_class, certificate) as scene:
        playing = asyncio.create_task(scene.play(Call()))
        await soon(scene.stuck())
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(playing)
        assert playing.cancelled()
        await soon(scene.closed())


@in_every_state
async def test_without_an_exchange_cancelling_closes_the_socket_too(
    state: State, transport_class: MakeTransport, certificate: Certificate
):
    async def play(scene: Scene) -> None:
        response = await scene.transport.send(scene.request)
        try:
            async for _ in response.body:
                scene.first_piece.set()
        finally:
            await response.aclose()

    async with state(transport_class, certificate) as scene:
        playing = asyncio.create_task(play(scene))
        await soon(scene.stuck())
        playing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(playing)
        await soon(scene.closed())


@pytest.mark.parametrize("state", STATES[-2:])
@pytest.mark.parametrize("way", ["the response", "the body", "another task"])
async def test_closing_in_the_body_closes_the_socket(
    state: State, way: str, transport_class: MakeTransport, certificate: Certificate
):
    async with state(transport_class, certificate) as scene:
        response = await scene.transport.send(scene.request)
        assert await anext(response.body) == b"first"
        if way == "the body":
            await response.body.aclose()
        elif way == "the response":
            await response.aclose()
        else:
            reading = asyncio.ensure_future(anext(response.body))
            await turns()
            await response.aclose()
            with pytest.raises(NetworkError):
                await soon(reading)
        await soon(scene.closed())


@pytest.mark.parametrize("state", STATES[-2:])
@pytest.mark.parametrize("read", [0, 1], ids=["unread", "begun"])
async def test_leaving_the_block_closes_the_socket(
    state: State, read: int, transport_class: MakeTransport, certificate: Certificate
):
    async with state(transport_class, certificate) as scene:
        async with exchange(
            scene.transport, scene.request, timeouts=PATIENT, call=Call()
        ) as response:
            for _ in range(read):
                assert await anext(response.body) == b"first"
        await soon(scene.closed())


async def test_reading_on_after_closing_is_an_error_and_no_end(transport: Transport):
    async with RawServer(begin_answer) as server:
        response = await transport.send(get(server.url()))
        await response.aclose()
        with pytest.raises(NetworkError):
            await anext(response.body)


@pytest.mark.parametrize("state", [queued, waiting_for_the_head, in_the_body])
async def test_closing_the_transport_ends_what_is_under_way(
    state: State, transport_class: MakeTransport, certificate: Certificate
):
    async with state(transport_class, certificate) as scene:
        playing = asyncio.create_task(scene.play(Call()))
        await soon(scene.stuck())
        assert isinstance(scene.transport, AnyTransport)
        await scene.transport.aclose()
        with pytest.raises(NetworkError):
            await soon(playing)


async def test_after_closing_the_transport_nothing_is_sent(transport_class: MakeTransport):
    async with RawServer(answering) as server:
        transport = transport_class()
        await transport.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await transport.send(get(server.url()))
        assert server.peers == []


@sees_sockets
async def test_two_hundred_abandoned_streams_leave_nothing_behind(
    transport_class: MakeTransport,
):
    async with RawServer(begin_answer) as server:
        sockets = open_sockets()
        tasks = asyncio.all_tasks()

        async def abandon(transport: Transport, way: int) -> None:
            url = server.url()
            call = Call(interrupt=Interrupt())
            async with exchange(transport, get(url), timeouts=PATIENT, call=call) as response:
                await anext(response.body)
                match way % 3:
                    case 0:
                        raise ZeroDivisionError
                    case 1:
                        call.interrupt.set()  # type: ignore[union-attr]
                        await anext(response.body)
                    case _:
                        asyncio.current_task().cancel()  # type: ignore[union-attr]
                        await anext(response.body)

        async with transport_class() as transport:
            ends = await asyncio.gather(
                *(abandon(transport, way) for way in range(200)), return_exceptions=True
            )
            kinds = {type(end) for end in ends}
            assert kinds == {ZeroDivisionError, AbortedError, asyncio.CancelledError}
            for number in range(200):
                await soon((await server.peer(number)).gone.wait())
            await turns()
            assert open_sockets() == sockets
            left = {t for t in asyncio.all_tasks() - tasks if "Peer" not in repr(t)}
            assert not left
        gc.collect()
