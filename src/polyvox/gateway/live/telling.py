"""What happens in a run, as the events of one answer: its text, and all else as ``Nested``.

The text of every turn is a block of the answer. What the model thinks, and which tools it calls, is
nested under the agent's name; what happens in an agent inside a tool, under the tool's too. Whoever
follows a run gets the agent's own events besides, in ``Nested`` as well: tools that begin and end,
turns, approvals.
"""

from typing import Any, cast

from polyvox.agent import (
    AgentEvent,
    AgentResult,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    NestedRun,
)
from polyvox.assembly import Assembly
from polyvox.attempt import Attempt
from polyvox.events import (
    Done,
    Event,
    Nested,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    Warned,
)
from polyvox.gateway.live.suspended import ApprovalView
from polyvox.messages import AssistantMessage
from polyvox.request import Request
from polyvox.usage import ZERO_USAGE

__all__ = ["Telling"]

_UNHEARD = (
    *("tools", "tool_choice", "response_format", "temperature", "top_p", "stop", "seed"),
    *("reasoning", "max_tokens"),
)


class Telling:
    """One answer of an agent.

    Args:
        name: the agent's, as it is asked: "agent/helper".
        id: that of the answer.
        request: what was asked.
        known: how many messages the run begins with that need not be told.
        follows: whether the agent's own events are told.
    """

    def __init__(
        self, name: str, id: str, request: Request, *, known: int = 0, follows: bool = False
    ) -> None:
        provider, _, self._agent = name.partition("/")
        self._answer = Assembly(provider, self._agent)
        self._answer.id, self._answer.response_model = id, name
        self._follows = follows
        self._skipped = known * 2
        self._written = "\n"
        self._answer.start()
        for field in _UNHEARD:
            if getattr(request, field) not in (None, []):
                self._answer.warn(f"an agent says itself what its {field} is: left out", field)

    @property
    def ended(self) -> bool:
        """Whether the last event was told."""
        return self._answer.ended

    def begin(self) -> list[Event]:
        """The first events."""
        return self._answer.take()

    def tell(self, event: AgentEvent) -> list[Event]:
        """What is told of this."""
        if self._skipped and isinstance(event, (MessageStart, MessageEnd)):
            self._skipped -= 1
            return []
        if isinstance(event, MessageUpdate):
            return self._update(event.event)
        told: list[Event] = []
        if isinstance(event, MessageEnd) and isinstance(event.message, AssistantMessage):
            self._answer.close_all()
            told = self._answer.take()
        inner = _inner(event)
        if inner is not None:
            told.append(self._nested(event, inner))
        elif self._follows:
            told.append(self._nested(event, event))
        return told

    def end(
        self,
        result: AgentResult[Any],
        attempts: list[Attempt],
        approval: ApprovalView | None,
    ) -> list[Event]:
        """The last events."""
        self._count(attempts)
        if approval is not None:
            self._append(approval.id, _waits(approval))
        if result.error is not None:
            self._answer.fail(result.error)
        else:
            self._answer.finish("stop")
        return self._answer.take()

    def left(self, attempts: list[Attempt]) -> AssistantMessage:
        """What there is when the reader leaves."""
        self._count(attempts)
        return self._answer.message()

    def _count(self, attempts: list[Attempt]) -> None:
        self._answer.usage = sum((attempt.usage for attempt in attempts), ZERO_USAGE)

    def _update(self, event: Event) -> list[Event]:
        match event:
            case TextStart(index=index):
                self._answer.open_text(index)
                if not self._written.endswith("\n"):
                    self._answer.append(index, "\n")
            case TextDelta(index=index, text=text):
                self._written = text or self._written
                self._answer.append(index, text)
            case TextEnd(index=index):
                self._answer.close(index)
            case Warned(text=text, field=field):
                self._answer.warn(text, field)
            case _:
                return [Nested([self._agent], event)]
        return self._answer.take()

    def _append(self, key: str, text: str) -> None:
        self._answer.open_text(key)
        self._answer.append(key, text if self._written.endswith("\n") else f"\n{text}")

    def _nested(self, event: AgentEvent, inner: Any) -> Event:
        path = [self._agent]
        while isinstance(event, NestedRun):
            path, event = [*path, *event.path], event.event
        if isinstance(inner, NestedRun):
            inner = event
        return Nested(path, cast("Event", inner))


def _inner(event: AgentEvent) -> Event | None:
    """The model's event that this is the same as, if there is one."""
    while isinstance(event, NestedRun):
        event = event.event
    match event:
        case MessageUpdate(event=inner):
            return inner
        case MessageStart(message=AssistantMessage() as message):
            return Start(message.provider, message.model)
        case MessageEnd(message=AssistantMessage() as message):
            if message.stop_reason not in ("error", "aborted"):
                return Done(message)
            return None
        case _:
            return None


def _waits(approval: ApprovalView) -> str:
    calls = ", ".join(f"{call.name} ({call.id})" for call in approval.calls)
    return (
        f"This run waits for an approval of {calls}."
        f' POST /v1/approvals/{approval.id} {{"approve": true}} goes on with it.'
    )
