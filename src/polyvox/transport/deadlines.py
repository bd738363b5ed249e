"""Deadlines and the interrupt around any transport.

``exchange`` sends a request and watches over the answer until the block is left. One ``Watch`` per
exchange does it, without a task and without a timer for each piece: it marks when somebody begins
to wait, and one lazy timer looks at that mark now and then.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import suppress
from math import inf
from time import monotonic
from types import TracebackType
from typing import Any

from msgspec.structs import replace

from polyvox.errors import AbortedError, Phase, PolyvoxError, ProtocolError, RequestTimeoutError
from polyvox.http import HttpRequest, HttpResponse, Timeouts, Transport
from polyvox.model import Call
from polyvox.waiting import soon


class exchange:  # noqa: N801
    """Send a request, and give its answer with the deadlines and the interrupt kept.

    Entering the block and reading the body raise ``RequestTimeoutError`` with the phase whose time
    is up, ``AbortedError`` when ``call.interrupt`` is set, and whatever the transport raises.
    ``timeouts.connect`` goes to the transport in place of the request's own. The time a reader
    takes between two pieces counts towards ``total`` and ``call.deadline`` only. When the block is
    left, the connection is closed, or free again if the body was over.

        async with exchange(transport, request, timeouts=Timeouts(), call=call) as response:
            async for piece in response.body:
                ...
    """

    __slots__ = ("_call", "_request", "_response", "_timeouts", "_transport", "_watch")

    def __init__(
        self, transport: Transport, request: HttpRequest, *, timeouts: Timeouts, call: Call
    ) -> None:
        self._transport = transport
        self._request = request
        self._timeouts = timeouts
        self._call = call

    async def __aenter__(self) -> HttpResponse:
        request = replace(self._request, connect_timeout=self._timeouts.connect)
        watch = self._watch = Watch(self._timeouts, self._call)
        try:
            with watch:
                response = await self._transport.send(request)
        except BaseException:
            watch.close()
            raise
        self._response = _WatchedResponse(response, watch)
        return self._response

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._response.aclose()
        finally:
            self._watch.close()


async def read_all(body: AsyncIterable[bytes], limit_bytes: int) -> bytes:
    """The whole body. Raises ``ProtocolError`` as soon as it is longer than ``limit_bytes``."""
    whole = bytearray()
    async for piece in body:
        whole += piece
        if len(whole) > limit_bytes:
            raise ProtocolError(f"the answer is longer than {limit_bytes} bytes")
    return bytes(whole)


class Watch:
    """Ends our waiting when its time is up or the interrupt is set. ``with watch:`` goes around an await.

    Waiting is ended as ``asyncio.timeout`` does it: cancel the waiting task, and turn the
    ``CancelledError`` into the reason when it comes out of the block. A task is only ever cancelled
    while it is inside such a block, whichever task that is; when somebody else cancels it at the
    same time, the count of cancellations tells, and theirs wins.
    """

    __slots__ = (
        "_armed",
        "_call",
        "_cancellations",
        "_ends",
        "_first_byte_at",
        "_idle",
        "_loop",
        "_pause",
        "_since",
        "_stopped",
        "_task",
        "_timeouts",
        "_timer",
        "_unlisten",
        "_verdict",
    )

    def __init__(self, timeouts: Timeouts, call: Call) -> None:
        now = monotonic()
        self._timeouts = timeouts
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._since = now
        self._first_byte_at = now + _or_ever(timeouts.first_byte)
        self._pause = _or_ever(timeouts.idle)
        self._idle = inf  # until the first byte is there
        self._ends = min(now + _or_ever(timeouts.total), _or_ever(call.deadline))
        self._task: asyncio.Task[object] | None = None  # whoever waits just now
        self._cancellations = 0  # how many that task had before
        self._verdict: PolyvoxError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed = False
        self._stopped = False
        self._unlisten = call.interrupt.listen(self._interrupted) if call.interrupt else None

    def __enter__(self) -> None:
        now = self._since = monotonic()
        if self._stopped or now >= self._ends:
            raise self._verdict or self._judge(now)
        if not self._armed:
            self._arm(now)
        task = self._task = asyncio.current_task(self._loop)
        if task is not None:
            self._cancellations = task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._verdict is None or task is None:
            return
        if task.uncancel() <= self._cancellations and kind is not None:
            raise self._verdict from None

    def first_byte(self) -> None:
        """The first piece of the body is there; from now on the pauses between pieces count."""
        self._first_byte_at = inf
        self._idle = self._pause

    def close(self) -> None:
        """Stop watching."""
        self._disarm()
        if self._unlisten is not None:
            self._unlisten()

    def _interrupted(self) -> None:
        """In whatever thread sets the interrupt."""
        self._stopped = True
        soon(self._loop, self._look)

    def _look(self) -> None:
        """In the loop: end the waiting if there is a reason to, else look again when there may be one."""
        self._disarm()
        if self._task is None or self._verdict is not None:
            return  # nobody waits; whoever comes next is told, or arms the timer again
        now = monotonic()
        if self._stopped or now >= self._next_deadline():
            self._verdict = self._judge(now)
            self._stopped = True
            self._task.cancel()
        else:
            self._arm(now)

    def _arm(self, now: float) -> None:
        """One timer for the next deadline. Deadlines only move away, so it need not follow them.

        Not even at the first byte: it is early enough for the first pause, should it begin just now.
        """
        self._armed = True
        delay = min(self._next_deadline() - now, self._pause)
        if delay < inf:
            self._timer = self._loop.call_later(delay, self._look)

    def _disarm(self) -> None:
        self._armed = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next_deadline(self) -> float:
        return min(self._first_byte_at, self._since + self._idle, self._ends)

    def _judge(self, now: float) -> PolyvoxError:
        interrupt = self._call.interrupt
        if interrupt is not None and interrupt.is_set:
            return AbortedError(interrupt.reason or "interrupted")
        if now >= self._ends:
            return _too_late("total", self._timeouts.total)
        if now >= self._first_byte_at:
            return _too_late("first_byte", self._timeouts.first_byte)
        return _too_late("idle", self._timeouts.idle)


class _WatchedResponse:
    """The transport's response, with a body that is watched."""

    def __init__(self, response: HttpResponse, watch: Watch) -> None:
        self._response = response
        self.body: AsyncGenerator[bytes] = _WatchedBody(response.body, watch)

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def aclose(self) -> None:
        # The socket first: a reader in another task ends by that, and its generator can't be closed.
        await self._response.aclose()
        with suppress(RuntimeError):
            await self.body.aclose()


class _WatchedBody(AsyncGenerator[bytes]):
    """A body that is watched while somebody waits for a piece.

    A class, because what a generator costs around each piece is more than most transports take.
    """

    __slots__ = ("_body", "_is_first", "_pull", "_watch")

    def __init__(self, body: AsyncGenerator[bytes], watch: Watch) -> None:
        self._body = body
        self._pull = body.__anext__
        self._watch = watch
        self._is_first = True

    async def __anext__(self) -> bytes:
        with self._watch:
            piece = await self._pull()
        if self._is_first:
            self._is_first = False
            self._watch.first_byte()
        return piece

    async def asend(self, value: None, /) -> bytes:
        return await self.__anext__()

    async def athrow(self, *error: Any) -> bytes:
        return await self._body.athrow(*error)

    async def aclose(self) -> None:
        await self._body.aclose()


def _or_ever(seconds: float | None) -> float:
    return inf if seconds is None else seconds


def _too_late(phase: Phase, seconds: float | None) -> RequestTimeoutError:
    match phase:
        case "first_byte":
            text = f"nothing of the answer came within {seconds:g} s"
        case "idle":
            text = f"the answer stalled: nothing came for {seconds:g} s"
        case _:
            text = "the time for the whole call is up"
    return RequestTimeoutError(text, phase=phase)
