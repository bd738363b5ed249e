"""Where a run stands, as a value: what it takes to go on with it later, or elsewhere."""

from typing import Any, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from polyvox import jsontext
from polyvox.agent.events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    ApprovalNeeded,
    Compacted,
    HandedOver,
    MessageEnd,
    Outcome,
    Queue,
    Queued,
    ToolExecutionEnd,
    TurnEnd,
    TurnStart,
)
from polyvox.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from polyvox.tools.result import ToolResult

__all__ = ["Approval", "RunState"]

Approval: TypeAlias = bool | str | dict[str, Any]
"""Whether a call may be carried out: True, or with these arguments instead; False, or a text that
tells the model why not."""


class RunState(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A conversation, and what of its last turn is still to do.

    ``messages`` is the whole conversation. When it ends with an answer that calls tools, ``results``
    holds those that are known already, by call, until the turn ends; ``approvals`` are what was
    decided, and ``waiting`` the calls for which somebody has yet to decide. ``steering`` and
    ``follow_ups`` are messages that wait for their turn. ``agent`` names who is asked next: after a
    handoff it is not the first one.
    """

    run_id: str = ""
    agent: str = ""
    messages: list[Message] = []
    turns: int = 0
    results: dict[str, ToolResult] = {}
    approvals: dict[str, Approval] = {}
    waiting: dict[str, str] = {}
    steering: list[UserMessage] = []
    follow_ups: list[UserMessage] = []
    outcome: Outcome | Literal["running"] = "running"

    @property
    def unanswered(self) -> list[ToolCall]:
        """The calls of the last answer that have no message with their result yet, in their order."""
        answered: set[str] = set()
        for message in reversed(self.messages):
            if isinstance(message, ToolMessage):
                answered.add(message.tool_call_id)
            elif isinstance(message, AssistantMessage):
                return [call for call in message.tool_calls if call.id not in answered]
            else:
                return []
        return []

    @property
    def pending(self) -> list[ToolCall]:
        """The calls that wait for an approval."""
        return [call for call in self.unanswered if call.id in self.waiting]

    def apply(self, event: AgentEvent) -> None:
        """Bring the state up to date with an event: all of them in their order are the run."""
        match event:
            case AgentStart():
                self.run_id, self.agent, self.outcome = event.run_id, event.agent, "running"
            case TurnStart():
                self.turns = event.number
            case MessageEnd(message=message):
                self.messages.append(message)
                if not isinstance(message, ToolMessage):  # also where a turn never ended
                    self.results, self.approvals, self.waiting = {}, {}, {}
                self._read(message)
            case ToolExecutionEnd():
                self.results[event.call.id] = event.result
                self.waiting.pop(event.call.id, None)
            case ApprovalNeeded():
                self.waiting[event.call.id] = event.reason
            case TurnEnd():
                self.results, self.approvals, self.waiting = {}, {}, {}
            case Compacted():
                self.messages[: event.replaced] = event.messages
            case HandedOver():
                self.agent = event.to
            case Queued():
                self.queue(event.queue).append(event.message)
            case AgentEnd():
                self.outcome = event.outcome
            case _:
                pass

    def queue(self, kind: Queue) -> list[UserMessage]:
        """The messages that wait for the next turn, or for when the model would be done."""
        return self.steering if kind == "steering" else self.follow_ups

    def _read(self, message: Message) -> None:
        """A message that has waited is in the conversation now."""
        for waiting in (self.steering, self.follow_ups):
            if message in waiting:
                waiting.remove(message)
                return

    def to_json(self) -> bytes:
        """The state as JSON; ``RunState.from_json`` reads it."""
        try:
            return msgspec.json.encode(self, enc_hook=repr)
        except UnicodeEncodeError:  # half a character, which some tool cut
            return jsontext.encode(msgspec.to_builtins(self, str_keys=True, enc_hook=repr))
        except (TypeError, ValueError, RecursionError):  # details may be anything
            results = {
                id: replace(result, details=repr(result.details))
                for id, result in self.results.items()
            }
            return msgspec.json.encode(replace(self, results=results), enc_hook=repr)

    @classmethod
    def from_json(cls, data: bytes | str) -> "RunState":
        """The state that ``to_json`` wrote. Raises ``msgspec.DecodeError`` on anything else."""
        return msgspec.json.decode(data, type=cls)
