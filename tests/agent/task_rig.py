"""What the tests of tasks share: status functions that tell what they were asked, models that halt."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from polyvox.agent import AgentEvent, MessageEnd, MessageStart, MessageUpdate
from polyvox.agent.tasks import AttemptEnd, AttemptStart, TaskEnd, TaskEvent, TaskStatus
from polyvox.assembly import unfold
from polyvox.errors import AbortedError
from polyvox.events import Event, Failed, Start, TextDelta, TextStart
from polyvox.messages import (
    AssistantMessage,
    Message,
    Text,
    ToolMessage,
    UserMessage,
)
from polyvox.model import Call
from polyvox.request import Request
from polyvox.waiting import Waiter

from .rig import word

_T = TypeVar("_T")


class Asked:
    """A status function: done after so many errors, each told once. ``calls`` are what it was asked with."""

    def __init__(self, *errors: str) -> None:
        self.calls: list[bool] = []
        self._errors = list(errors)

    def __call__(self, initial: bool) -> TaskStatus:
        self.calls.append(initial)
        return TaskStatus(errors=[self._errors.pop(0)] if self._errors else [])


class Never(Asked):
    """A status function that finds the same fault for ever."""

    def __call__(self, initial: bool) -> TaskStatus:
        self.calls.append(initial)
        return TaskStatus(errors=["2 tests fail"])


class Halting:
    """A model that plays texts; instead of a None it halts until it is interrupted.

    It then has said "So far", or nothing if it is ``silent``. ``halted`` is set while it waits.
    """

    name = "test/halting"

    def __init__(self, *turns: str | AssistantMessage | None, silent: bool = False) -> None:
        self.requests: list[Request] = []
        self.halted = asyncio.Event()
        self.left = False
        self._turns = list(turns)
        self._silent = silent

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        self.requests.append(request)
        turn = self._turns.pop(0)
        if turn is not None:
            answer = turn if isinstance(turn, AssistantMessage) else AssistantMessage([Text(turn)])
            for event in unfold(answer, str.split):
                yield event
            return
        said: list[Any] = []
        if not self._silent:
            said = [Text("So far")]
            try:
                for event in (Start("test", "halting"), TextStart(0), TextDelta(0, "So far")):
                    yield event
            except GeneratorExit:
                self.left = True
                raise
        self.halted.set()
        try:
            with Waiter(call) as waiter:
                await waiter.until(time.monotonic() + 1000)
        except AbortedError as error:
            error.message = AssistantMessage(said, stop_reason="aborted", error=error.text)
            yield Failed(error, error.message)


async def while_halted(
    model: Halting, work: Coroutine[Any, Any, _T], act: Callable[[], object]
) -> _T:
    """What comes of the work when this is done as soon as the model halts in it."""
    working = asyncio.create_task(work)
    await model.halted.wait()
    act()
    return await working


def roles(messages: Iterable[Message]) -> str:
    """Who has spoken, in order: U, A (with calls: AC), T."""
    return " ".join(map(_role, messages))


def _role(message: Message) -> str:
    if isinstance(message, AssistantMessage):
        return "AC" if message.tool_calls else "A"
    return {UserMessage: "U", ToolMessage: "T"}.get(type(message), "S")


def text_of(message: Message) -> str:
    """The text of any message."""
    return "".join(block.text for block in message.content if isinstance(block, Text))


def line(events: Iterable[AgentEvent | TaskEvent]) -> str:
    """The events of a task in short, without what an answer is made of."""
    return " ".join(_word(event) for event in events if not isinstance(event, _SMALL))


_SMALL = (MessageStart, MessageEnd, MessageUpdate)


def _word(event: AgentEvent | TaskEvent) -> str:
    match event:
        case AttemptStart():
            return f"attempt_start:{event.number}"
        case AttemptEnd():
            status = "unasked" if event.status is None else event.status.status.value
            return f"attempt_end:{event.outcome}:{status}"
        case TaskEnd():
            return f"task_end:{event.outcome}"
        case _:
            return word(event)


def answered(messages: list[Message]) -> bool:
    """Whether each call of a tool is answered once, directly behind the message that made it."""
    open_calls: list[str] = []
    for message in messages:
        if isinstance(message, ToolMessage):
            if not open_calls or open_calls.pop(0) != message.tool_call_id:
                return False
        elif open_calls:
            return False
        elif isinstance(message, AssistantMessage):
            open_calls = [call.id for call in message.tool_calls]
    return not open_calls
