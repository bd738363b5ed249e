"""What happens in a run: the events of an agent, and their order.

    run     = agent_start { turn } agent_end
    turn    = turn_start { message } { answer } [ tools ] turn_end
    message = message_start message_end
    answer  = message_start { message_update } message_end
    tools   = { tool_execution_start | tool_execution_update | tool_execution_end | message }

A run ends exactly once, with ``agent_end``, which says how. All tools of a turn start before the
first of them ends, unless they are made to wait for one another; each ends when it is done, and the
messages with their results come in the order in which the model asked. ``nested`` holds what happens
in an agent inside a tool; ``approval_needed``, ``compacted`` and ``handed_over`` tell what else did.
No event holds the conversation: it is at the run itself.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.errors import PolyvoxError, error_from_dict
from polyvox.events import Event
from polyvox.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from polyvox.tools.result import ToolResult

__all__ = [
    "AgentEnd",
    "AgentEvent",
    "AgentStart",
    "ApprovalNeeded",
    "Compacted",
    "HandedOver",
    "MessageEnd",
    "MessageStart",
    "MessageUpdate",
    "NestedRun",
    "Outcome",
    "Queue",
    "Queued",
    "ToolExecutionEnd",
    "ToolExecutionStart",
    "ToolExecutionUpdate",
    "TurnEnd",
    "TurnStart",
    "decode_agent_event",
    "encode_agent_event",
]

Outcome: TypeAlias = Literal["done", "suspended", "limit", "aborted", "error"]
"""How a run ended.

``done`` the model had nothing more to do, or a tool ended the run; ``suspended`` calls wait for an
approval; ``limit`` one of the run's limits was reached; ``aborted`` it was stopped from outside;
``error`` the model could not be asked, or did not answer as it should.
"""


Queue: TypeAlias = Literal["steering", "follow_up"]
"""For which turn a message waits: the next one, or that after the model would otherwise be done."""


class _AgentEvent(msgspec.Struct, tag_field="type", omit_defaults=True, repr_omit_defaults=True):
    """What all events of a run share."""


class AgentStart(_AgentEvent, tag="agent_start"):
    """The run begins; ``agent`` is the name of who is asked first."""

    run_id: str
    agent: str = ""


class TurnStart(_AgentEvent, tag="turn_start"):
    """A turn begins, counted from 1: the model is asked once, and its tools are run."""

    number: int


class MessageStart(_AgentEvent, tag="message_start"):
    """A message begins: a user's, a tool's, or the model's, which is still empty then."""

    message: Message


class MessageUpdate(_AgentEvent, tag="message_update"):
    """The model's answer goes on by this event."""

    event: Event


class MessageEnd(_AgentEvent, tag="message_end"):
    """The message is whole, and part of the conversation."""

    message: Message


class ToolExecutionStart(_AgentEvent, tag="tool_execution_start"):
    """A tool begins to work, or would: a call that can't be carried out has an end with an error."""

    call: ToolCall


class ToolExecutionUpdate(_AgentEvent, tag="tool_execution_update"):
    """A tool tells how far it is."""

    call: ToolCall
    result: ToolResult


class ToolExecutionEnd(_AgentEvent, tag="tool_execution_end"):
    """A tool is done."""

    call: ToolCall
    result: ToolResult


class TurnEnd(_AgentEvent, tag="turn_end"):
    """The turn is over."""

    message: AssistantMessage
    tool_results: list[ToolMessage] = []


class ApprovalNeeded(_AgentEvent, tag="approval_needed"):
    """Somebody must say whether this call may be carried out; ``reason`` is why they are asked."""

    call: ToolCall
    reason: str = ""


class Compacted(_AgentEvent, tag="compacted"):
    """``replaced`` messages from the beginning on now stand in ``messages``, in short.

    ``tokens_before`` and ``tokens_after`` are what the model reads, estimated. ``detail`` says what did
    not go as it should: why there is no summary. If nothing could be made shorter either, ``replaced`` is 0.
    """

    replaced: int
    messages: list[Message]
    tokens_before: int
    tokens_after: int
    detail: str = ""


class HandedOver(_AgentEvent, tag="handed_over"):
    """From the next turn on another agent goes on."""

    agent: str
    to: str


class Queued(_AgentEvent, tag="queued"):
    """A message waits for its turn. It is kept with a session; readers of a run are not told."""

    queue: Queue
    message: UserMessage


class NestedRun(_AgentEvent, tag="nested"):
    """What happens inside a tool; ``path`` names the way to it, outermost first."""

    path: list[str]
    event: "AgentEvent"


class AgentEnd(_AgentEvent, tag="agent_end"):
    """The run is over. ``messages`` are those that it has added to the conversation.

    ``detail`` says more: which limit it was, why it was stopped. With outcome "error" or "aborted"
    there is an ``error``.
    """

    outcome: Outcome
    messages: list[Message] = []
    detail: str = ""
    error: PolyvoxError | None = None


AgentEvent: TypeAlias = (
    AgentStart
    | TurnStart
    | MessageStart
    | MessageUpdate
    | MessageEnd
    | ToolExecutionStart
    | ToolExecutionUpdate
    | ToolExecutionEnd
    | TurnEnd
    | ApprovalNeeded
    | Compacted
    | HandedOver
    | Queued
    | NestedRun
    | AgentEnd
)


def encode_agent_event(event: AgentEvent) -> bytes:
    """The event as one JSON object; ``decode_agent_event`` reads it."""
    try:
        return msgspec.json.encode(event, enc_hook=_encode)
    except UnicodeEncodeError:  # half a character, which some tool cut
        return jsontext.encode(msgspec.to_builtins(event, str_keys=True, enc_hook=_encode))


def decode_agent_event(data: bytes | str) -> AgentEvent:
    """The event that ``encode_agent_event`` wrote. Raises ``msgspec.DecodeError`` on anything else."""
    return _DECODER.decode(data)


def _encode(value: Any) -> Any:
    """What a tool puts into its ``details`` may be anything: what is no JSON is told in words."""
    return value.to_dict() if isinstance(value, PolyvoxError) else repr(value)


def _decode(expected: type, value: Any) -> Any:
    if issubclass(expected, PolyvoxError) and isinstance(value, dict) and "text" in value:
        return error_from_dict(value)  # pyright: ignore[reportUnknownArgumentType]
    raise ValueError("an error is an object with at least a text")


_DECODER: msgspec.json.Decoder[AgentEvent] = msgspec.json.Decoder(AgentEvent, dec_hook=_decode)
