"""A stage: several asked side by side, and whoever fails or is late is left out, and named.

A member is cut off when its time is over, or the stage's, or the call's, whether or not it keeps to
the deadline that it was given. Leaving a stage leaves no task behind.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from polyvox.composite.branches import end_all, interruption, is_left, on_interrupt, unfinished
from polyvox.composite.inbox import Inbox, Line
from polyvox.composite.members import Seat
from polyvox.composite.nodes import Timeline, note, status_of
from polyvox.errors import (
    AbortedError,
    PolyvoxError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import Done, Event, Failed, Nested, Warned
from polyvox.messages import AssistantMessage, Image
from polyvox.model import Call
from polyvox.request import Request
from polyvox.trace import NodeStatus, TraceNode

__all__ = ["Answer", "Ask", "Stage", "says_something", "soonest"]

Ask: TypeAlias = tuple[Seat, Request]


class Answer(msgspec.Struct, kw_only=True):
    """What became of a seat: a message, or the error because of which it is left out."""

    seat: Seat
    node: TraceNode
    message: AssistantMessage | None = None
    error: PolyvoxError | None = None

    @property
    def text(self) -> str:
        """What it said."""
        return "" if self.message is None else self.message.text


def soonest(deadline: float | None, seconds: float | None) -> float | None:
    """The earlier of a deadline and so many seconds from now."""
    if seconds is None:
        return deadline
    due = time.monotonic() + seconds
    return due if deadline is None else min(deadline, due)


class Stage:
    """Several asked at the same time; afterwards ``answers`` has what came of each, in their order.

    Args:
        label: the stage's name, in the path of its events and in the trace.
        kind: what each answer is: "proposal", "opinion", "review".
        timeline: since when the trace counts.
        quorum: how many must answer.
        timeout: seconds after which the answers that are there have to do.
        parent: the kind of the stage's own node.
    """

    def __init__(
        self,
        label: str,
        kind: str,
        timeline: Timeline,
        *,
        quorum: int = 1,
        timeout: float | None = None,
        parent: str = "stage",
    ) -> None:
        self.node = TraceNode(kind=parent, label=label, started=timeline.now())
        self.answers: list[Answer] = []
        self._kind = kind
        self._timeline = timeline
        self._quorum = quorum
        self._timeout = timeout
        self._inbox: Inbox[asyncio.Task[None]] = Inbox()

    @property
    def good(self) -> list[Answer]:
        """The answers that there are."""
        return [answer for answer in self.answers if answer.message is not None]

    async def events(self, asks: Sequence[Ask], call: Call) -> AsyncGenerator[Event]:
        """Ask all, and pass on what they tell. Raises ``PolyvoxError`` when too few have answered."""
        self.answers = [self._unasked(seat) for seat, _ in asks]
        self.node.children = [answer.node for answer in self.answers]
        deadline = soonest(call.deadline, self._timeout)
        # No asyncio.TaskGroup: in a generator it makes an exception group of its reader's leaving.
        tasks = {
            asyncio.create_task(self._asked(answer, request, call, deadline)): answer
            for answer, (_, request) in zip(self.answers, asks, strict=True)
        }
        for task in tasks:
            task.add_done_callback(self._inbox.note)
        forget = on_interrupt(call, tasks)
        try:
            for warning in _alike(asks):
                yield warning
            left = len(tasks)
            while left and self._quorum <= left + len(self.good):
                item = await self._inbox.get()
                if isinstance(item, Nested):
                    yield item
                    continue
                left -= 1
                if not item.cancelled():
                    item.result()  # raises what is no failure of a model, but of the program
                if (error := tasks[item].error) is not None:
                    text = f"{tasks[item].seat.label} was left out: {error.text}"
                    yield Warned(text, self.node.label)
        finally:
            forget()
            await end_all(tasks)
            self.node.seconds = self._timeline.now() - self.node.started
            self._judge(call)
        if self.node.status != "ok":
            raise self._too_few(call)

    def _unasked(self, seat: Seat) -> Answer:
        node = TraceNode(
            kind=self._kind,
            model=seat.member.asked.name,
            label=seat.label,
            started=self._timeline.now(),
        )
        return Answer(seat=seat, node=node)

    async def _asked(
        self, answer: Answer, request: Request, call: Call, deadline: float | None
    ) -> None:
        """Ask one, and enter what became of it."""
        member, inner = answer.seat.member, call.child()
        inner.deadline = soonest(deadline, member.timeout)
        request = _told_apart(answer.seat, request, inner)
        seconds = None if inner.deadline is None else inner.deadline - time.monotonic()
        limit = asyncio.timeout(seconds)
        line = Line(self._inbox, self.node.label, answer.seat.label)
        try:
            async with limit, aclosing(member.asked.stream(request, inner)) as events:
                async for event in events:
                    if isinstance(event, (Done, Failed)):
                        _enter(answer, event)
                    await line.tell(event)
                    if is_left():  # and the member goes on all the same
                        raise asyncio.CancelledError
        except TimeoutError:
            if not limit.expired():
                raise
            if answer.message is None and answer.error is None:
                answer.error = RequestTimeoutError(f"it was not done after {seconds or 0:.3g} s")
        except PolyvoxError as error:
            answer.error = error
        finally:
            if answer.message is None and answer.error is None:
                answer.error = unfinished(inner)
            note(answer.node, inner, answer.message, answer.error)
            answer.node.seconds = self._timeline.now() - answer.node.started

    def _judge(self, call: Call) -> None:
        """How the stage went, and a reason for those that were not even begun."""
        for answer in self.answers:
            if answer.message is None and answer.error is None:
                answer.error = AbortedError("it was not asked")
                answer.node.status, answer.node.error = "left_out", answer.error.text
        if interruption(call):
            self.node.status = "aborted"
        elif len(self.good) < self._quorum:
            errors = [answer.error for answer in self.answers if answer.error is not None]
            self.node.status = _common_status(errors)

    def _too_few(self, call: Call) -> PolyvoxError:
        """Why the stage has failed, with the reason of each."""
        if (stopped := interruption(call)) is not None:
            return stopped
        lost = [(each.seat.label, each.error) for each in self.answers if each.error is not None]
        reasons = "; ".join(f"{label}: {error.text}" for label, error in lost)
        count, wanted, good = len(self.answers), self._quorum, len(self.good)
        said = (
            f"only {good} of {count} answered and {wanted} must"
            if good
            else f"none of {count} answered"
        )
        kinds = {type(error) for _, error in lost}
        kind = kinds.pop() if len(kinds) == 1 else ServerError
        hints = {error.hint for _, error in lost}
        hint = hints.pop() if len(hints) == 1 else None
        error = kind(f"{self.node.label}: {said}. {reasons}", hint=hint)
        waits = _waits([each for _, each in lost])
        error.retryable = len(waits) >= wanted - good
        if error.retryable:
            error.retry_after = waits[wanted - good - 1] or None
        error.attempts = list(call.attempts)
        self.node.error = error.text
        return error


def _waits(errors: Sequence[PolyvoxError]) -> list[float]:
    """After how many seconds each may answer who may at all; also who was only not waited for."""
    may = [each for each in errors if each.retryable or isinstance(each, AbortedError)]
    return sorted(each.retry_after or 0.0 for each in may)


def _told_apart(seat: Seat, request: Request, call: Call) -> Request:
    """The request of a sample: what gives the same answer to all, a seed or a cache, must not to this."""
    if not seat.sample:
        return request
    if request.seed is None:
        call.caching = "skip"
        return request
    return replace(request, seed=request.seed + seat.sample)


def _alike(asks: Sequence[Ask]) -> list[Warned]:
    """A warning for each member whose samples will not differ by much."""
    text = "samples at temperature 0 are much the same"
    return [
        Warned(f"{seat.member.name}: {text}", "temperature")
        for seat, request in asks
        if seat.sample == 1 and request.temperature == 0
    ]


def _enter(answer: Answer, last: Done | Failed) -> None:
    if isinstance(last, Failed):
        answer.error = last.error
    elif says_something(last.message):
        answer.message = last.message
        return
    else:
        answer.error = ProtocolError(f"it said nothing ({last.message.stop_reason})")
    answer.error.message = last.message


def says_something(message: AssistantMessage) -> bool:
    """Whether there is more to an answer than its reasoning."""
    pictures = any(isinstance(block, Image) for block in message.content)
    return bool(message.text or message.tool_calls or pictures)


def _common_status(errors: Sequence[PolyvoxError]) -> NodeStatus:
    statuses: list[NodeStatus] = [status_of(error) for error in errors]
    return statuses[0] if len(set(statuses)) == 1 else "error"
