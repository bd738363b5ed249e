"""Whole answers of texts, calls, or both: nearly all that don't think. Such a message is made at once.

It is the very message that ``MessagesDecoder`` would put together piece by piece, in half the time.
Whatever is unusual in an answer is left to that.
"""

from typing import cast

from polyvox.assembly import new_call_id
from polyvox.dialects.anthropic_messages.wire import STOP_REASONS, Json, Message, extras
from polyvox.dialects.base import Target
from polyvox.messages import AssistantBlock, AssistantMessage, Text, ToolCall
from polyvox.usage import NO_USAGE

__all__ = ["plain_message"]


def plain_message(answer: Message, target: Target) -> AssistantMessage | None:
    """The message; None for an answer that says anything else, or ends in an unusual way."""
    stop = STOP_REASONS.get(answer.stop_reason or "")
    if stop is None or stop == "refusal":
        return None
    content: list[AssistantBlock] = []
    for each in answer.content:
        block = _block(each)
        if block is None:
            return None
        content.append(block)
    if (stop == "tool_calls") != (ToolCall in map(type, content)):
        return None
    return AssistantMessage(
        content,
        stop,
        answer.usage.inclusive() if answer.usage else NO_USAGE,
        target.provider,
        target.model,
        answer.model,
        answer.id,
        stop_sequence=answer.stop_sequence,
    )


def _block(block: Json) -> AssistantBlock | None:
    """A text, or a call whose arguments came whole; None for what has more to it."""
    kind = block.get("type")
    if extras(block):
        return None
    if kind == "text":
        text = block.get("text")
        return Text(text) if isinstance(text, str) else None
    id, name, arguments = block.get("id"), block.get("name"), block.get("input")
    if kind != "tool_use" or not isinstance(arguments, dict):
        return None
    if not isinstance(id, str) or not isinstance(name, str):
        return None
    return ToolCall(id or new_call_id(), name, cast(Json, arguments))
