"""Whole answers, read and written. Reading one is reading a stream of a single chunk."""

import time
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.assembly import arguments_text
from polyvox.dialects.base import Target
from polyvox.dialects.errors import snippet
from polyvox.dialects.openai_chat.errors import chunk_error
from polyvox.dialects.openai_chat.finish import FINISH_REASONS
from polyvox.dialects.openai_chat.plain import plain_message
from polyvox.dialects.openai_chat.reading import AnswerReader
from polyvox.dialects.openai_chat.stream import new_answer_id
from polyvox.dialects.openai_chat.usage import write_usage
from polyvox.dialects.openai_chat.wire import CHUNK, Chunk
from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.events import Done, Failed
from polyvox.messages import AssistantMessage, Thinking, ToolCall
from polyvox.request import Request


def decode_response(body: bytes, target: Target) -> AssistantMessage:
    """The message of a whole answer.

    Raises the error that the body tells in spite of its good status, ``ContentFilterError`` when
    the answer was cut by a filter (with what there is of it), or ``ProtocolError``.
    """
    try:
        chunk = _decode(body)
    except ProtocolError as error:
        AnswerReader(target).fail(error)
        raise
    return plain_message(chunk, target) or _assembled(chunk, body, target)


def _assembled(chunk: Chunk, body: bytes, target: Target) -> AssistantMessage:
    """The message of any answer, piece by piece."""
    reader = AnswerReader(target)
    try:
        error = chunk_error(chunk)
        if error:
            raise error
        reader.read(chunk)
        if reader.empty:
            raise ProtocolError(f"the provider's answer is empty: {snippet(body)}")
    except PolyvoxError as error:
        reader.fail(error)
        raise
    reader.end()
    ending = reader.assembly.take()[-1]
    if isinstance(ending, Failed):
        raise ending.error
    assert isinstance(ending, Done)
    return ending.message


def _decode(body: bytes) -> Chunk:
    if not body.strip():
        raise ProtocolError("the provider's answer is empty")
    try:
        return jsontext.decode_with(CHUNK, body)
    except msgspec.ValidationError as error:
        text = f"the provider's answer has an unknown shape ({error}): {snippet(body)}"
        raise ProtocolError(text) from None
    except (msgspec.DecodeError, RecursionError):
        raise ProtocolError(f"the provider's answer is no JSON: {snippet(body)}") from None


def encode_response(message: AssistantMessage, request: Request | None = None) -> bytes:
    """The whole answer, in the same form for all requests; reasoning is ``reasoning_content``."""
    body: dict[str, Any] = {
        "id": message.id or new_answer_id(),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": message.response_model or message.model,
        "choices": [
            {
                "index": 0,
                "message": _message(message),
                "logprobs": None,
                "finish_reason": FINISH_REASONS[message.stop_reason],
            }
        ],
    }
    usage = write_usage(message.usage)
    if usage:
        body["usage"] = usage
    return jsontext.encode(body)


def _message(message: AssistantMessage) -> dict[str, Any]:
    refused = message.stop_reason == "refusal"
    body: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused else message.text or None,
        "refusal": message.text if refused else None,
    }
    if message.thinking:
        body["reasoning_content"] = message.thinking
    details = [entry for block in message.content for entry in reasoning_details(block)]
    if details:
        body["reasoning_details"] = details
    if message.tool_calls:
        body["tool_calls"] = [write_call(call) for call in message.tool_calls]
    return body


def reasoning_details(block: object) -> list[dict[str, Any]]:
    """The entries that a block of reasoning holds for its producer."""
    if isinstance(block, Thinking) and block.meta:
        return block.meta.get("reasoning_details", [])
    return []


def write_call(call: ToolCall) -> dict[str, Any]:
    """A tool call with all its arguments, be they whole or not."""
    function = {"name": call.name, "arguments": arguments_text(call)}
    body: dict[str, Any] = {"id": call.id, "type": "function", "function": function}
    if call.meta and "extra_content" in call.meta:
        body["extra_content"] = call.meta["extra_content"]
    return body
