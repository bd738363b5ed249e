"""Whole answers, read and written. Reading one takes the steps of the last event of a stream."""

import time
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.base import Target
from polyvox.dialects.errors import snippet
from polyvox.dialects.openai_errors import encode_error
from polyvox.dialects.openai_responses import items
from polyvox.dialects.openai_responses.reading import AnswerReader
from polyvox.dialects.openai_responses.usage import write_usage
from polyvox.dialects.openai_responses.wire import RESPONSE, Json, Response
from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.events import Done, Failed
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    StopReason,
    Text,
    Thinking,
    ToolCall,
)
from polyvox.request import Request

_INCOMPLETE: dict[StopReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


def decode_response(body: bytes, target: Target) -> AssistantMessage:
    """The message of a whole answer.

    Raises the error that the body tells in spite of its good status, ``ContentFilterError`` when
    the answer was cut by a filter (with what there is of it), or ``ProtocolError``.
    """
    reader = AnswerReader(target)
    try:
        response = _decode(body)
    except ProtocolError as error:
        reader.fail(error)
        raise
    reader.end(response)
    ending = reader.assembly.take()[-1]
    if isinstance(ending, Failed):
        raise ending.error
    assert isinstance(ending, Done)
    return ending.message


def _decode(body: bytes) -> Response:
    if not body.strip():
        raise ProtocolError("the provider's answer is empty")
    try:
        response = jsontext.decode_with(RESPONSE, body)
    except msgspec.ValidationError as error:
        text = f"the provider's answer has an unknown shape ({error}): {snippet(body)}"
        raise ProtocolError(text) from None
    except (msgspec.DecodeError, RecursionError):
        raise ProtocolError(f"the provider's answer is no JSON: {snippet(body)}") from None
    if response.output is None and response.status is None and not response.error:
        raise ProtocolError(f"the provider's answer is empty: {snippet(body)}")
    return response


def encode_response(message: AssistantMessage, request: Request | None = None) -> bytes:
    """The whole answer, in the same form for all requests. Pictures have no place in it."""
    head = response_head(message.id, message.response_model or message.model)
    error: PolyvoxError | None = None
    if message.stop_reason in ("error", "aborted"):
        error = PolyvoxError(message.error or f"the answer ended with {message.stop_reason}")
    return jsontext.encode(ended_response(head, message, list(output_items(message)), error))


def output_items(message: AssistantMessage) -> Iterator[Json]:
    """The items of an answer. Texts that were parts of one message, by its id, are that again."""
    refused = message.stop_reason == "refusal"
    for id, group in groupby(message.content, _message_id):
        blocks = list(group)
        if id is None:
            yield from (item for block in blocks for item in _other_item(block))
            continue
        texts = [block for block in blocks if isinstance(block, Text)]
        for run in [texts] if id else [[text] for text in texts]:
            parts = [items.part_of(text, refused=refused) for text in run]
            yield items.message_item(
                id or items.new_id("msg"), parts, items.extras(run[0]).get("phase")
            )


def _message_id(block: AssistantBlock) -> str | None:
    """The id of the message that a text is part of, "" if it has none; None for all else."""
    if isinstance(block, Text) and not items.opaque_item(block):
        return str(items.extras(block).get("id", ""))
    return None


def _other_item(block: AssistantBlock) -> Iterator[Json]:
    match block:
        case Thinking():
            yield items.reasoning_item(block, id=items.extras(block).get("id", items.new_id("rs")))
        case ToolCall():
            yield {"id": items.new_id("fc"), **items.call_item(block)}
        case Text():
            yield items.opaque_item(block) or {}
        case _:
            pass


def response_head(id: str, model: str) -> Json:
    """A response that has just begun. Fields that repeat the request are those of an empty one."""
    return {
        "id": id or items.new_id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }


def ended_response(
    head: Json, message: AssistantMessage, output: list[Json], error: PolyvoxError | None = None
) -> Json:
    """The response at its end."""
    why = _INCOMPLETE.get(message.stop_reason)
    said: dict[str, Any] = {"status": "incomplete" if why else "completed"}
    if why:
        said["incomplete_details"] = {"reason": why}
    if error is not None:
        said = {"status": "failed", "error": error_object(error)}
    return {**head, **said, "output": output, "usage": write_usage(message.usage)}


def error_object(error: PolyvoxError) -> Json:
    """What a response, or an event, says of the error that it ended with."""
    told = jsontext.decode(encode_error(error)[1], dict[str, Json])["error"]
    return {"code": told["code"] or told["type"], "message": told["message"]}
