"""Whole answers of text, calls, or both: nearly all. Such a message is made at once.

It is the very message that ``AnswerReader`` would put together piece by piece, in a third of the time.
Whatever is unusual in an answer is left to that, which knows how each provider differs.
"""

import msgspec

from polyvox.assembly import new_call_id, parse_arguments
from polyvox.dialects.base import Target
from polyvox.dialects.openai_chat.finish import STOPPED
from polyvox.dialects.openai_chat.usage import read_usage
from polyvox.dialects.openai_chat.wire import ABSENT, Chunk, Delta, ToolCallPiece
from polyvox.messages import AssistantBlock, AssistantMessage, Text, ToolCall
from polyvox.usage import NO_USAGE


def plain_message(chunk: Chunk, target: Target) -> AssistantMessage | None:
    """The message; None for an answer that says anything else, or does not end well."""
    choices = chunk.choices
    if chunk.error or chunk.x_groq or not choices or len(choices) != 1:
        return None
    choice = choices[0]
    if choice.index or choice.error or choice.usage is not ABSENT or not choice.message:
        return None
    stop = STOPPED.get(choice.finish_reason or "")
    content = _content(choice.message)
    if stop is None or not content or (stop == "tool_calls") != (type(content[-1]) is ToolCall):
        return None
    try:
        usage = read_usage(bytes(chunk.usage)) or NO_USAGE
    except msgspec.DecodeError:
        return None
    by, model = target.provider, target.model
    return AssistantMessage(content, stop, usage, by, model, chunk.model or "", chunk.id or "")


def _content(said: Delta) -> list[AssistantBlock] | None:
    """The blocks, where there are no others than a text and calls that a tool can be found for."""
    if said.reasoning_content or said.reasoning or said.reasoning_details:
        return None
    if said.refusal or said.function_call or said.images or isinstance(said.content, list):
        return None
    blocks: list[AssistantBlock] = [Text(said.content)] if said.content else []
    for piece in said.tool_calls or ():
        call = _call(piece)
        if call is None:
            return None
        blocks.append(call)
    return blocks


def _call(piece: ToolCallPiece) -> ToolCall | None:
    function = piece.function
    if function is None or not function.name or piece.extra_content:
        return None
    if isinstance(function.arguments, dict):
        return None
    arguments, unparsed = parse_arguments(function.arguments or "")
    return ToolCall(piece.id or new_call_id(), function.name, arguments, unparsed)
