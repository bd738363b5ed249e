"""Each phase has its deadline, and only who waits on the network is held to it."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress

import pytest

from polyvox.errors import AbortedError, NetworkError, ProtocolError, RequestTimeoutError
from polyvox.http import HttpRequest, HttpResponse, Timeouts, Transport
from polyvox.model import Call, Interrupt
from polyvox.transport import exchange, read_all
from waiting import soon, turns

from .raw_server import Peer, RawServer, answering, silent

TINY = 0.05
NEVER = Timeouts(connect=None, first_byte=None, idle=None)


def get(url: str) -> HttpRequest:
    return HttpRequest("GET", url, {})


async def head_only(peer: Peer) -> None:
    await peer.request()
    peer.begin_chunked()


async def one_piece(peer: Peer) -> None:
    await head_only(peer)
    peer.chunk(b"first")


async def read(
    transport: Transport, url: str, timeouts: Timeouts, call: Call | None = None
) -> list[bytes]:
    """What came before the error that this raises, as its ``pieces``."""
    pieces: list[bytes] = []
    try:
        async with exchange(
            transport, get(url), timeouts=timeouts, call=call or Call()
        ) as response:
            async for piece in response.body:
                pieces.append(piece)  # noqa: PERF401
    except Exception as error:
        error.add_note(repr(pieces))
        raise
    return pieces


# -------------------------------------------------------------------------- over a real socket


@pytest.mark.parametrize(
    ("script", "timeouts", "phase"),
    [
        (silent, Timeouts(first_byte=TINY), "first_byte"),
        (head_only, Timeouts(first_byte=TINY), "first_byte"),
        (one_piece, Timeouts(idle=TINY), "idle"),
        (silent, Timeouts(total=TINY), "total"),
        (head_only, Timeouts(total=TINY), "total"),
        (one_piece, Timeouts(total=TINY), "total"),
    ],
)
async def test_a_phase_has_its_deadline_and_the_socket_is_closed(
    transport: Transport, script: Callable[[Peer], Awaitable[None]], timeouts: Timeouts, phase: str
):
    async with RawServer(script) as server:
        with pytest.raises(RequestTimeoutError) as caught:
            await soon(read(transport, server.url(), timeouts))
        assert caught.value.phase == phase
        assert caught.value.retryable
        for peer in server.peers:
            await soon(peer.gone.wait())


async def test_the_deadline_of_the_call_counts_like_total(transport: Transport):
    async with RawServer(one_piece) as server:
        with pytest.raises(RequestTimeoutError) as caught:
            await soon(read(transport, server.url(), NEVER, Call.timeout(TINY)))
        assert caught.value.phase == "total"


async def test_connecting_has_its_own_deadline(transport: Transport):
    with socket.socket() as listener, socket.socket() as one, socket.socket() as two:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (one, two):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        url = "http://{}:{}/".format(*listener.getsockname())
        with pytest.raises(RequestTimeoutError) as caught:
            await soon(read(transport, url, Timeouts(connect=TINY)))
        assert caught.value.phase == "connect"


async def test_a_tls_handshake_belongs_to_connecting(transport: Transport):
    async with RawServer(silent) as server:
        url = server.url().replace("http:", "https:")
        with pytest.raises(RequestTimeoutError) as caught:
            await soon(read(transport, url, Timeouts(connect=TINY)))
        assert caught.value.phase == "connect"
        for peer in server.peers:
            await soon(peer.gone.wait())


async def test_waiting_for_a_free_connection_belongs_to_connecting(
    transport_class: Callable[..., Transport],
):
    transport = transport_class(max_connections=1)
    async with RawServer(head_only) as server, transport:  # type: ignore[attr-defined]
        holder = await transport.send(get(server.url()))
        with pytest.raises(RequestTimeoutError) as caught:
            await soon(read(transport, server.url(), Timeouts(connect=TINY)))
        assert caught.value.phase == "connect"
        await holder.aclose()


async def test_an_answer_within_its_deadlines_is_whole(transport: Transport):
    async with RawServer(answering) as server:
        timeouts = Timeouts(connect=30, first_byte=30, idle=30, total=60)
        call = Call.timeout(60, Interrupt())
        assert await soon(read(transport, server.url(), timeouts, call)) == [b"ok"]


async def test_an_interrupt_that_is_set_already_sends_nothing(transport: Transport):
    interrupt = Interrupt()
    interrupt.set("too late")
    async with RawServer(answering) as server:
        with pytest.raises(AbortedError, match="too late"):
            await soon(read(transport, server.url(), NEVER, Call(interrupt=interrupt)))
        assert server.peers == []


async def test_a_deadline_that_has_passed_already_sends_nothing(transport: Transport):
    async with RawServer(answering) as server:
        with pytest.raises(RequestTimeoutError):
            await soon(read(transport, server.url(), NEVER, Call(deadline=time.monotonic())))
        assert server.peers == []


# ------------------------------------------------------------------- all of it at once, or not


def asked(transport: Transport, url: str, body: bytes = b"{}", call: Call | None = None):
    request = HttpRequest("POST", url, {}, body)
    return exchange(transport, request, timeouts=Timeouts(), call=call or Call())


async def test_an_answer_that_came_with_its_head_is_had_without_waiting(transport: Transport):
    interrupt = Interrupt()
    async with RawServer(answering) as server:
        for _ in range(3):
            asking = asked(transport, server.url(), call=Call(interrupt=interrupt))
            response = await soon(asking.__aenter__())
            assert (response.status, response.rest()) == (200, b"ok")
            assert response.rest() == b""
            assert [piece async for piece in response.body] == []
            await response.__aexit__(None, None, None)
            assert not interrupt._listeners
        assert len(server.peers) == 1


async def test_an_answer_of_nothing_is_there_with_its_head(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.answer(b"")

    async with RawServer(script) as server, asked(transport, server.url()) as response:
        assert response.rest() == b""


async def test_reading_what_came_with_its_head_is_bounded_too(transport: Transport):
    async with RawServer(answering) as server, asked(transport, server.url()) as response:
        with pytest.raises(ProtocolError, match="1 bytes"):
            await read_all(response.body, 1)


@pytest.mark.parametrize("cut", ["deadline", "interrupt"])
async def test_an_answer_that_is_there_when_the_call_is_to_end_is_not_had(
    transport: Transport, cut: str
):
    interrupt = Interrupt()
    call = Call(interrupt=interrupt)
    async with (
        RawServer(answering) as server,
        asked(transport, server.url(), call=call) as response,
    ):
        if cut == "interrupt":
            interrupt.set()
        else:
            response._watch.hurry(-1.0)
        assert response.rest() is None
        with pytest.raises(AbortedError if cut == "interrupt" else RequestTimeoutError):
            await read_all(response.body, 100)


async def test_an_answer_that_was_begun_and_then_had_leaves_the_loop_no_generator(
    transport: Transport,
):
    """Ending that would be a task for each call."""
    left: list[object] = []
    hooks = sys.get_asyncgen_hooks()
    async with RawServer(answering) as server:
        async with asked(transport, server.url()):
            pass  # whatever the transport keeps for as long as the loop runs
        sys.set_asyncgen_hooks(finalizer=left.append)
        try:
            async with asked(transport, server.url()) as response:
                assert await soon(anext(response.body)) == b"ok"
                assert await soon(read_all(response.body, 100)) == b""
            del response
            gc.collect()
        finally:
            sys.set_asyncgen_hooks(*hooks)
    assert left == []


async def test_what_is_still_to_come_is_waited_for(transport: Transport):
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await one_piece(peer)
        await go_on.wait()
        peer.chunk(b", second")
        peer.chunk(b"")

    async with RawServer(script) as server, asked(transport, server.url()) as response:
        assert response.rest() is None
        go_on.set()
        assert await soon(read_all(response.body, 100)) == b"first, second"


async def test_an_answer_that_was_cut_is_not_all_of_it(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.begin(b"content-length: 10")
        peer.send(b"cut")
        peer.hang_up()

    async with RawServer(script) as server, asked(transport, server.url()) as response:
        await turns()
        assert response.rest() is None
        with pytest.raises(NetworkError):
            await soon(read_all(response.body, 100))
        assert response.rest() is None


async def test_a_request_that_is_answered_before_it_was_sent_is_not_sent_on(transport: Transport):
    async def script(peer: Peer) -> None:
        await peer.head()
        peer.answer(b"enough")
        await peer.gone.wait()

    async with RawServer(script) as server:
        async with asked(transport, server.url(), bytes(32 << 20)) as response:
            assert response.rest() == b"enough"
        await soon((await server.peer()).gone.wait())


# --------------------------------------------------------------- over a transport of one's own


class Scripted:
    """A transport without network: a body out of the test's own generator."""

    def __init__(self, pieces: Callable[[], AsyncGenerator[bytes]]) -> None:
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.body = pieces()
        self.closed = False
        self.request: HttpRequest | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.request = request
        return self

    async def aclose(self) -> None:
        self.closed = True


async def stuck() -> AsyncGenerator[bytes]:
    yield b"first"
    await asyncio.Event().wait()


async def endless() -> AsyncGenerator[bytes]:
    while True:
        yield b"piece"


def watched(transport: Transport, timeouts: Timeouts = NEVER, call: Call | None = None):
    return exchange(transport, get("http://a.test/"), timeouts=timeouts, call=call or Call())


async def test_a_transport_that_gave_all_of_it_is_not_closed():
    class AtOnce(Scripted):
        def whole(self) -> bytes:
            return b"all"

    transport = AtOnce(stuck)
    async with watched(transport) as response:
        assert await read_all(response.body, 100) == b"all"
        await response.aclose()
        assert await read_all(response.body, 100) == b""
    assert not transport.closed


async def test_any_transport_gets_deadlines_and_is_closed():
    transport = Scripted(stuck)
    with pytest.raises(RequestTimeoutError) as caught:
        await soon(read(transport, "http://a.test/", Timeouts(idle=TINY)))
    assert caught.value.phase == "idle"
    assert caught.value.__notes__ == ["[b'first']"]
    assert transport.closed


async def test_each_of_many_calls_keeps_its_own_deadline():
    """Also those that came later and are due earlier, or after others are over."""
    never = asyncio.create_task(read(Scripted(stuck), "http://a.test/", NEVER))
    late = asyncio.create_task(read(Scripted(stuck), "http://a.test/", Timeouts(idle=600)))
    await turns()
    for seconds in (3 * TINY, TINY, 2 * TINY):
        async with watched(Scripted(endless), Timeouts(idle=TINY / 2)) as response:
            await anext(response.body)
        with pytest.raises(RequestTimeoutError, match=f"{seconds:g} s"):
            await soon(read(Scripted(stuck), "http://a.test/", Timeouts(idle=seconds)))
    several = [read(Scripted(stuck), "http://a.test/", Timeouts(idle=n * TINY)) for n in (3, 1, 2)]
    failures = await soon(asyncio.gather(*several, return_exceptions=True))
    assert [type(failure) for failure in failures] == [RequestTimeoutError] * 3
    assert not late.done()
    assert not never.done()
    for task in (late, never):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_body_is_drained_for_so_long_and_no_longer():
    transport = Scripted(stuck)
    async with watched(transport) as response:
        await soon(response.drain(TINY))
    assert transport.closed


async def test_a_body_that_is_over_is_drained_at_once():
    async def over() -> AsyncGenerator[bytes]:
        yield b"first"
        yield b"second"

    async with watched(Scripted(over)) as response:
        assert await anext(response.body) == b"first"
        await response.drain(600.0)
        assert [piece async for piece in response.body] == []


async def test_the_connect_deadline_is_handed_to_the_transport():
    transport = Scripted(endless)
    request = HttpRequest("GET", "http://a.test/", {}, connect_timeout=1.0)
    async with exchange(transport, request, timeouts=Timeouts(connect=7.0), call=Call()):
        assert transport.request is not None
        assert transport.request.connect_timeout == 7.0
        assert request.connect_timeout == 1.0


async def test_a_reader_may_take_its_time_between_two_pieces():
    release = asyncio.Event()

    async def two_pieces() -> AsyncGenerator[bytes]:
        yield b"first"
        await release.wait()
        yield b"second"

    timeouts = Timeouts(first_byte=TINY, idle=TINY)
    async with watched(Scripted(two_pieces), timeouts) as response:
        assert await anext(response.body) == b"first"
        # Busy for longer than the deadline; then the next piece is a few turns of the loop away.
        await asyncio.to_thread(time.sleep, TINY * 3)
        releasing = asyncio.create_task(turns())
        releasing.add_done_callback(lambda _: release.set())
        assert await anext(response.body) == b"second"


@pytest.mark.parametrize("cut", ["total", "deadline", "interrupt"])
async def test_a_body_that_never_makes_us_wait_is_ended_too(cut: str):
    interrupt = Interrupt()
    call = Call.timeout(TINY if cut == "deadline" else None, interrupt)
    timeouts = Timeouts(total=TINY if cut == "total" else None)

    async def reading() -> None:
        async with watched(Scripted(endless), timeouts, call) as response:
            async for _ in response.body:
                if cut == "interrupt":
                    interrupt.set()

    with pytest.raises(AbortedError if cut == "interrupt" else RequestTimeoutError):
        await reading()


async def test_whoever_does_not_wait_is_not_cancelled():
    """The interrupt comes while the reader is busy elsewhere: its own awaits are left alone."""
    interrupt = Interrupt()
    async with watched(Scripted(endless), call=Call(interrupt=interrupt)) as response:
        await anext(response.body)
        interrupt.set()
        await turns()
        with pytest.raises(AbortedError):
            await anext(response.body)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_no_trace_of_our_cancellation_is_left_on_the_task():
    async def reading() -> int:
        with suppress(RequestTimeoutError):
            await read(Scripted(stuck), "http://a.test/", Timeouts(idle=TINY))
        task = asyncio.current_task()
        assert task is not None
        async with asyncio.timeout(None), asyncio.TaskGroup() as group:
            group.create_task(turns())
        return task.cancelling()

    assert await soon(asyncio.create_task(reading())) == 0


@pytest.mark.parametrize("first", ["theirs", "ours"])
async def test_a_real_cancellation_at_the_same_time_wins(first: str):
    interrupt = Interrupt()
    task = asyncio.create_task(
        read(Scripted(stuck), "http://a.test/", NEVER, Call(interrupt=interrupt))
    )
    await turns()
    if first == "theirs":
        # Ours is in the loop's queue behind theirs, which the task has not seen yet.
        interrupt.set()
        task.cancel()
    else:
        interrupt.set()
        asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert task.cancelled()


async def test_a_timeout_of_the_callers_own_stays_a_timeout():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(TINY):
            await read(Scripted(stuck), "http://a.test/", NEVER)


async def test_a_task_that_was_cancelled_before_can_still_be_timed_out():
    """Someone may ask a model while cleaning up after a cancellation."""

    async def clean_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with pytest.raises(RequestTimeoutError):
                await read(Scripted(stuck), "http://a.test/", Timeouts(idle=TINY))

    task = asyncio.create_task(clean_up())
    await turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)


async def test_different_tasks_may_pull_one_after_another():
    async with watched(Scripted(stuck), Timeouts(idle=TINY)) as response:
        assert await asyncio.create_task(response.body.__anext__()) == b"first"
        with pytest.raises(RequestTimeoutError):
            await soon(asyncio.create_task(response.body.__anext__()))


async def test_a_transport_that_turns_cancellation_into_its_own_error_does_not_hide_the_reason():
    async def wrapping() -> AsyncGenerator[bytes]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise OSError("cancelled inside") from None
        yield b""

    with pytest.raises(RequestTimeoutError):
        await soon(read(Scripted(wrapping), "http://a.test/", Timeouts(first_byte=TINY)))


def test_an_interrupt_after_the_loop_was_closed_does_no_harm():
    interrupt = Interrupt()
    loop = asyncio.new_event_loop()
    leaving = watched(Scripted(stuck), call=Call(interrupt=interrupt))
    response = loop.run_until_complete(leaving.__aenter__())
    assert loop.run_until_complete(anext(response.body)) == b"first"
    loop.close()
    interrupt.set()
    assert interrupt.is_set
    # Put away what nobody can await any more.
    with suppress(RuntimeError, StopIteration):
        response.body.aclose().send(None)


async def test_leaving_takes_the_listener_off_the_interrupt():
    interrupt = Interrupt()
    async with watched(Scripted(endless), call=Call(interrupt=interrupt)) as response:
        await anext(response.body)
        assert interrupt._listeners
    assert not interrupt._listeners


async def test_reading_all_is_bounded():
    async def three() -> AsyncGenerator[bytes]:
        for _ in range(3):
            yield b"abc"

    assert await read_all(three(), 9) == b"abcabcabc"
    with pytest.raises(ProtocolError, match="8 bytes"):
        await read_all(three(), 8)
