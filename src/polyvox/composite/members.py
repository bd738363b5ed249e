"""Members asked side by side: whoever fails or is late is left out, and named.

A member is cut off when its time is over, or the stage's, or the call's, whether or not it keeps to
the deadline that it was given. Leaving a stage leaves no task behind.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeAlias

import msgspec
from msgspec.structs import replace

from polyvox.composite.branches import end_all, interruption, on_interrupt, unfinished
from polyvox.composite.nodes import Timeline, note, status_of
from polyvox.composite.prompts import merged_system
from polyvox.errors import (
    AbortedError,
    ConfigurationError,
    PolyvoxError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import Done, Event, Failed, Nested, Warned
from polyvox.messages import AssistantMessage, Image, Thinking, ToolMessage
from polyvox.model import Call, Model, checked_model
from polyvox.request import Request
from polyvox.trace import NodeStatus, TraceNode

__all__ = [
    "PRODUCER",
    "Answer",
    "Ask",
    "Member",
    "Seat",
    "Stage",
    "as_members",
    "check_quorum",
    "check_seconds",
    "nested",
    "request_for",
    "says_something",
    "seats",
    "soonest",
]

PRODUCER = "composite"
"""Whose the summary at the beginning of a reply is: nobody's whom it could be sent to."""

_MOST_WAITING = 256
"""So many events wait for a slow reader; then the members wait."""

_FIXED = {"messages", "model", "system", "tools", "tool_choice", "parallel_tool_calls", "stream"}
_SETTINGS = [name for name in Request.__struct_fields__ if name not in _FIXED]


class Member(msgspec.Struct, frozen=True):
    """A model with a seat, or several: asked ``samples`` times, each answer counts.

    ``label`` is what events and traces call it, its name by default; other models never see either.
    ``settings`` replace fields of the request, such as ``{"temperature": 0.9}``. Without ``tools``
    it is not given those of the request. ``timeout`` is in seconds. ``system`` are instructions for
    this member, after those of the request.

    Raises ``ConfigurationError`` for a wrong argument.
    """

    model: Model
    label: str = ""
    samples: int = 1
    settings: dict[str, Any] = {}
    tools: bool = False
    timeout: float | None = None
    system: str = ""

    def __post_init__(self) -> None:
        checked_model(self.model, "a member")
        if self.samples < 1:
            raise ConfigurationError(f"samples is {self.samples}; give 1 or more")
        check_seconds(self.timeout)
        for name in self.settings:
            if name not in _SETTINGS:
                near = get_close_matches(name, _SETTINGS, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"There are {_SETTINGS}."
                raise ConfigurationError(f"a member has no setting {name!r}", hint=hint)

    @property
    def name(self) -> str:
        """What it is called by in events and traces."""
        return self.label or self.model.name


class Seat(NamedTuple):
    """One answer that is asked for, and a label that no other one of its stage has."""

    member: Member
    label: str


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


def as_members(models: Iterable[Member | Model], where: str) -> list[Member]:
    """Members, made of bare models where need be. Raises ``ConfigurationError`` if there are none."""
    if isinstance(models, str):
        raise ConfigurationError(f"{where} is a string; give a list of models")
    members = [
        each if isinstance(each, Member) else Member(checked_model(each, where)) for each in models
    ]
    if not members:
        raise ConfigurationError(f"{where} is empty; give one model or more")
    return members


def seats(members: Iterable[Member]) -> list[Seat]:
    """A seat for each answer, in the members' order."""
    taken: dict[str, int] = {}
    found: list[Seat] = []
    for member in members:
        for _ in range(member.samples):
            count = taken[member.name] = taken.get(member.name, 0) + 1
            found.append(Seat(member, f"{member.name} #{count}" if count > 1 else member.name))
    return found


def check_quorum(quorum: int, places: int) -> int:
    """The quorum itself. Raises ``ConfigurationError`` for one that can't be reached."""
    if not 1 <= quorum <= places:
        raise ConfigurationError(f"quorum is {quorum}; of {places} answers, give 1 to {places}")
    return quorum


def check_seconds(timeout: float | None) -> float | None:
    """The timeout itself. Raises ``ConfigurationError`` for one that nobody can keep."""
    if timeout is not None and not timeout > 0:
        raise ConfigurationError(f"timeout is {timeout}; give seconds, or None")
    return timeout


def request_for(member: Member, request: Request) -> Request:
    """The request as this member is to see it; the caller's stays as it is.

    A conversation in which tools were called keeps their definitions, since some providers refuse it
    without: but none may be called.
    """
    changes: dict[str, Any] = dict(member.settings)
    changes["messages"] = [_without_summary(message) for message in request.messages]
    if member.system:
        changes["system"] = merged_system(request.system, member.system)
    if request.tools and not member.tools:
        if any(isinstance(message, ToolMessage) for message in request.messages):
            changes["tool_choice"] = "none"
        else:
            changes.update(tools=[], tool_choice=None, parallel_tool_calls=None)
    return replace(request, **changes)


def _without_summary(message: Any) -> Any:
    """The message without what a composite has put before its reply."""
    if not isinstance(message, AssistantMessage):
        return message
    content = [
        block
        for block in message.content
        if not (isinstance(block, Thinking) and block.producer == PRODUCER)
    ]
    return message if len(content) == len(message.content) else replace(message, content=content)


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
        self._inbox: asyncio.Queue[Nested | asyncio.Task[None]] = asyncio.Queue()
        self._room = asyncio.Semaphore(_MOST_WAITING)

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
            task.add_done_callback(self._inbox.put_nowait)
        forget = on_interrupt(call, tasks)
        try:
            left = len(tasks)
            while left and self._quorum <= left + len(self.good):
                item = await self._inbox.get()
                if isinstance(item, Nested):
                    self._room.release()
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
            model=seat.member.model.name,
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
        seconds = None if inner.deadline is None else inner.deadline - time.monotonic()
        limit = asyncio.timeout(seconds)
        try:
            async with limit, aclosing(member.model.stream(request, inner)) as events:
                async for event in events:
                    _enter(answer, event)
                    await self._room.acquire()
                    self._inbox.put_nowait(nested(event, self.node.label, answer.seat.label))
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
        error = kind(f"{self.node.label}: {said}. {reasons}")
        error.retryable = any(each.retryable for _, each in lost)
        error.attempts = list(call.attempts)
        self.node.error = error.text
        return error


def _enter(answer: Answer, event: Event) -> None:
    if isinstance(event, Failed):
        answer.error = event.error
        answer.error.message = event.message
    elif isinstance(event, Done):
        if says_something(event.message):
            answer.message = event.message
        else:
            answer.error = ProtocolError(f"it said nothing ({event.message.stop_reason})")
            answer.error.message = event.message


def says_something(message: AssistantMessage) -> bool:
    """Whether there is more to an answer than its reasoning."""
    pictures = any(isinstance(block, Image) for block in message.content)
    return bool(message.text or message.tool_calls or pictures)


def nested(event: Event, *path: str) -> Nested:
    """The event as it is told outside, with the way to it."""
    if isinstance(event, Nested):
        return Nested([*path, *event.path], event.event)
    return Nested([*path], event)


def _common_status(errors: Sequence[PolyvoxError]) -> NodeStatus:
    statuses: list[NodeStatus] = [status_of(error) for error in errors]
    return statuses[0] if len(set(statuses)) == 1 else "error"
