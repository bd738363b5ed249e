"""One call over WebSockets: what it tells is numbered, and kept until somebody has read it.

The call is asked by a task of its own, which waits when too much is unread: so a slow reader slows
the model down, and nothing grows. A connection takes the messages one by one. When it is lost, the
call ends with it, unless it is to be resumed: then another connection may take over from where the
first one came.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Literal, TypeAlias

from msgspec.structs import replace

from polyvox.assembly import failed
from polyvox.errors import AbortedError, BadRequestError, NotFoundError, PolyvoxError, ServerError
from polyvox.events import Done, Event, Failed, Nested, Start
from polyvox.gateway.asking.asking import Asked, Asking
from polyvox.gateway.asking.dialects import Turnstile
from polyvox.gateway.live import wire
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.following import Follower
from polyvox.gateway.live.outbox import Outbox
from polyvox.gateway.web.ids import new_id
from polyvox.messages import Message, user
from polyvox.usage import ZERO_USAGE

__all__ = ["Line"]

_Phase: TypeAlias = Literal["waiting", "asking", "told"]
"""Whether it waits for its turn, is being asked, or has told its last event."""

_STEERED = "the caller said something"
_log = logging.getLogger(__name__)


class Line:
    """A call, from ``start`` on.

    Args:
        asking: whom it is asked of.
        turnstile: lets so many calls in at once.
        asked: what is asked.
        approvals: where runs of agents wait.
        follower: who follows the run, if an agent is asked.
        nested: whether nested events are told.
        resumable: whether what was sent is kept.
        room: how many bytes may be unread, or kept.
    """

    def __init__(
        self,
        asking: Asking,
        turnstile: Turnstile,
        asked: Asked,
        approvals: Approvals,
        follower: Follower | None,
        *,
        nested: bool,
        resumable: bool,
        room: int,
    ) -> None:
        self.asked = asked
        self.id = asked.id
        self.resumable = resumable
        self.over = False
        self.outbox: Outbox | None = None
        self.name = ""
        self._asking = asking
        self._turnstile = turnstile
        self._approvals = approvals
        self._follower = follower
        self._nested = nested
        self._kept: dict[int, str] = {}
        self._oldest = self._next = 1
        self._seq = 0
        self._bytes = self._unread = 0
        self._most = room
        self._room = asyncio.Event()
        self._steered: list[str] = []
        self._cut: str | None = None
        self._phase: _Phase = "waiting"
        self._dropped = False
        self._usage = ZERO_USAGE
        self._task: asyncio.Task[None] | None = None

    # ------------------------------------------------------------------------------ its connection

    @property
    def busy(self) -> bool:
        """Whether there is more to tell under its name."""
        return not self.over or self._unread > 0

    def start(self) -> "asyncio.Task[None]":
        """Begin to ask. The task ends when all was told, or the line was dropped."""
        self._task = asyncio.create_task(self._run())
        return self._task

    def attach(self, outbox: Outbox, name: str, after: int = 0) -> None:
        """From now on this connection is told, under this name, what comes after that message.

        Raises ``BadRequestError`` when that is not kept any more, or was never sent.
        """
        if not self._oldest - 1 <= after <= self._seq:
            raise BadRequestError(
                f"message {after} is not kept: there are {self._oldest} to {self._seq}",
                hint="Too much has come meanwhile. Ask again.",
            )
        self.outbox, self.name = outbox, name
        self._next = after + 1
        self._unread = sum(len(self._kept[seq]) for seq in range(self._next, self._seq + 1))
        self._tidy()
        outbox.wake(self)

    def detach(self, outbox: Outbox) -> bool:
        """A connection is gone; whether it was the one that is told."""
        if self.outbox is not outbox:
            return False
        self.outbox = None
        if not self.resumable and self.asked.wishes.detach:
            self._forget_all()
        return True

    def drop(self) -> "asyncio.Task[None] | None":
        """Nobody wants it any more: end it at once. The task that ends."""
        self._dropped = True
        if self._task is not None:
            self._task.cancel()
        return self._task

    def take(self, outbox: Outbox) -> str | None:
        """The next message for this connection, if it is still the one that is told."""
        text = self._kept.get(self._next) if self.outbox is outbox else None
        if text is None:
            return None
        self._next += 1
        self._unread -= len(text)
        self._tidy()
        return wire.with_id(self.name, text)

    # ------------------------------------------------------------------------------ what is said

    def interrupt(self, reason: str) -> None:
        """End the call; what has arrived is told. Nothing happens to one that has ended."""
        self._steered.clear()
        self._end_round(reason)

    def steer(self, text: str) -> None:
        """Say something into the call: an agent reads it in its next turn; a model is interrupted, and
        asked to go on with what it had said and with this.

        Raises ``BadRequestError`` when nobody would read it.
        """
        follower = self._follower
        if self._steered:
            self._steered.append(text)
            return
        if self.over or self._cut is not None or (follower is not None and follower.over):
            raise BadRequestError("the call is over: nobody would read this", hint="Start another.")
        if follower is not None:
            follower.steer(user(text))
            return
        if self._phase == "waiting":
            self.asked = _with(self.asked, [*self.asked.request.messages, user(text)])
            return
        if self.asked.wishes.prompt is not None:
            raise BadRequestError(
                "a call that is made of a template can't be steered",
                hint="Interrupt it, and start another with what it had said.",
            )
        self._steered.append(text)
        self._end_round(_STEERED)

    def _end_round(self, reason: str) -> None:
        self._cut = reason
        self._room.set()
        if self._phase == "told" or self._task is None:
            return
        try:
            self._asking.calls.interrupt(self.asked.id, self.asked.access, reason)
        except NotFoundError:  # it is not asked yet
            self._task.cancel()

    # ------------------------------------------------------------------------------ the call

    async def _run(self) -> None:
        try:
            await self._turnstile.enter()
            try:
                await self._rounds()
            finally:
                self._turnstile.leave()
        except PolyvoxError as error:
            await self._tell(failed(error))
        except asyncio.CancelledError:
            if self._cut is None or self._dropped:
                raise
            _uncancel()
            await self._tell(failed(AbortedError(self._cut)))
        finally:
            follower = self._follower
            if follower is not None and not follower.begun:
                self._approvals.put_back(follower.going_on)
        self._close()

    async def _rounds(self) -> None:
        """Ask, and ask again with what was said into the answer."""
        while True:
            self._phase = "asking"
            last = await self._round()
            if not self._steered:
                return
            self.asked = _going_on(self.asked, last, self._steered)
            self._steered, self._cut = [], None

    async def _round(self) -> Done | Failed:
        """Ask once. The last event."""
        last: Done | Failed | None = None
        begun = False
        try:
            with self._followed():
                async with aclosing(self._events()) as events:
                    async for event in events:
                        begun = begun or isinstance(event, Start)
                        if isinstance(event, (Done, Failed)):
                            last, self._phase = event, "told"
                        if self._nested or not isinstance(event, Nested):
                            await self._tell(event)
        except asyncio.CancelledError:
            if self._cut is None or self._dropped or last is not None:
                raise
            _uncancel()
        if last is None:
            last, self._phase = failed(AbortedError(self._cut or "interrupted")), "told"
            await self._tell(last)
        if begun:
            self._usage += last.message.usage
        return last

    async def _events(self) -> AsyncGenerator[Event]:
        """The answer; what is wrong with the gateway itself is told as well."""
        try:
            async with aclosing(self._asking.events(self.asked)) as events:
                async for event in events:
                    yield event
        except Exception:  # noqa: BLE001 - told to the caller, and logged
            _log.exception("the call %s broke off", self.asked.id)
            yield failed(ServerError("the gateway failed in this call"))

    def _followed(self) -> AbstractContextManager[None]:
        if self._follower is None:
            return nullcontext()
        return self._approvals.followers.followed(self.asked.id, self._follower)

    # ------------------------------------------------------------------------------ what is told

    async def _tell(self, event: Event) -> None:
        """Keep an event for the connection, as soon as there is room."""
        while self._unread >= self._most and self._cut is None and not self._unheard:
            self._room.clear()
            await self._room.wait()
        self._put(wire.event(self._seq + 1, event))

    def _close(self) -> None:
        if self._follower is not None and self._follower.approval is not None:
            self._put(wire.approval(self._seq + 1, self._follower.approval))
        self.over = True
        self._put(wire.closed(self._seq + 1, self._usage))

    @property
    def _unheard(self) -> bool:
        """Whether it goes on though nobody will ever read what it tells."""
        return self.outbox is None and not self.resumable and self.asked.wishes.detach

    def _put(self, text: str) -> None:
        self._seq += 1
        if self._unheard:
            self._forget_all()
            return
        self._kept[self._seq] = text
        self._bytes += len(text)
        self._unread += len(text)
        if self.outbox is not None:
            self.outbox.wake(self)

    def _tidy(self) -> None:
        """Forget what was sent and need not be kept; let the call go on if there is room."""
        most = self._most if self.resumable else 0
        while self._bytes > most and self._oldest < self._next:
            self._bytes -= len(self._kept.pop(self._oldest))
            self._oldest += 1
        if self._unread < self._most:
            self._room.set()

    def _forget_all(self) -> None:
        self._kept.clear()
        self._oldest = self._next = self._seq + 1
        self._bytes = self._unread = 0
        self._room.set()


def _going_on(asked: Asked, last: Done | Failed, said: list[str]) -> Asked:
    """What is asked next: the same, with the answer so far and what was said into it.

    A conversation that the gateway keeps has the answer already.
    """
    messages = [user(text) for text in said]
    before = [] if asked.wishes.context else [*asked.request.messages, last.message]
    return replace(_with(asked, [*before, *messages]), id=new_id("call"))


def _with(asked: Asked, messages: list[Message]) -> Asked:
    return replace(asked, request=replace(asked.request, messages=messages))


def _uncancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()
