"""Answers, written: whole, and streamed line by line, for either endpoint.

Durations are left out, since nobody here knows them; so are counts of tokens that nobody reported.
Arguments of a tool call are an object in this format: a call whose arguments broke off is never sent.
At a token limit, which the answer tells, it is left out; else the answer fails, as in Ollama itself.
"""

from datetime import UTC, datetime
from typing import Any

from polyvox import jsontext
from polyvox.dialects.in_turn import BlockEvent, InTurn
from polyvox.dialects.ndjson import encode_line
from polyvox.dialects.ollama.endpoint import is_generate
from polyvox.dialects.ollama.errors import encode_error
from polyvox.dialects.ollama.write_messages import write_call
from polyvox.errors import ServerError
from polyvox.events import (
    Done,
    Event,
    Failed,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import AssistantMessage
from polyvox.request import Request
from polyvox.usage import Usage

_LENGTH = ("length", "error", "aborted")  # Ollama's only word for an answer that is not whole


def encode_response(message: AssistantMessage, request: Request | None = None) -> bytes:
    """The whole answer, in the form of the endpoint that the request came to; else of ``/api/chat``.

    Raises ``ServerError`` if a tool call broke off that the format can't tell.
    """
    broken = _broken_off(message)
    if broken:
        raise broken
    calls = [call for call in message.tool_calls if call.executable]
    body = {
        **_head(message.response_model or message.model),
        **_said(
            message.text,
            message.thinking,
            [write_call(call, index) for index, call in enumerate(calls)],
            generate=is_generate(request),
        ),
        **_ending(message),
    }
    return jsontext.encode(body)


class OllamaEncoder:
    """Writes one streamed answer, for the endpoint that the request came to.

    Tool calls go out whole, in the order in which they began. Warnings and nested events have no place
    in this format.
    """

    def __init__(self, request: Request) -> None:
        self._model = request.model
        self._generate = is_generate(request)
        self._head: dict[str, Any] = {}
        self._before_text = b""
        self._after_text = b""
        self._turns = InTurn()
        self._calls = 0

    def encode(self, event: Event) -> bytes:
        """The bytes of the body for this event; may be empty."""
        match event:
            case TextDelta(text=text):
                return b"%b%b%b" % (self._before_text, jsontext.encode(text), self._after_text)
            case ThinkingDelta(text=text):
                return self._piece("", text, [])
            case ToolCallStart() | ToolCallDelta() | ToolCallEnd():
                return b"".join(map(self._call, self._turns.put(event)))
            case Start(model=model):
                self._begin(self._model or model)
                return b""
            case Done(message=message):
                return self._end(message)
            case Failed(error=error):
                return encode_line(encode_error(error)[1])
            case _:
                return b""

    def _begin(self, model: str) -> None:
        """All lines bear the time at which the answer began."""
        self._head = _head(model)
        mark = "|"
        line = self._piece(mark, "", [])
        self._before_text, _, self._after_text = line.rpartition(jsontext.encode(mark))

    def _call(self, event: BlockEvent) -> bytes:
        if not isinstance(event, ToolCallEnd) or not event.block.executable:
            return b""
        self._calls += 1
        return self._piece("", "", [write_call(event.block, self._calls - 1)])

    def _piece(self, text: str, thinking: str, calls: list[dict[str, Any]]) -> bytes:
        said = _said(text, thinking, calls, generate=self._generate)
        return encode_line(jsontext.encode({**self._head, **said, "done": False}))

    def _end(self, message: AssistantMessage) -> bytes:
        broken = _broken_off(message)
        if broken:
            return encode_line(encode_error(broken)[1])
        said = _said("", "", [], generate=self._generate)
        return encode_line(jsontext.encode({**self._head, **said, **_ending(message)}))


def _head(model: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    return {"model": model, "created_at": now.replace("+00:00", "Z")}


def _said(
    text: str, thinking: str, calls: list[dict[str, Any]], *, generate: bool
) -> dict[str, Any]:
    fields = {"thinking": thinking, "tool_calls": calls}
    more = {name: value for name, value in fields.items() if value}
    if generate:
        return {"response": text, **more}
    return {"message": {"role": "assistant", "content": text, **more}}


def _ending(message: AssistantMessage) -> dict[str, Any]:
    reason = "length" if message.stop_reason in _LENGTH else "stop"
    return {"done": True, "done_reason": reason, **_usage(message.usage)}


def _usage(usage: Usage) -> dict[str, int]:
    counts = {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    if usage.basis == "missing":
        return {}
    if usage.basis == "partial":  # a zero may mean that it is not known
        return {name: count for name, count in counts.items() if count}
    return counts


def _broken_off(message: AssistantMessage) -> ServerError | None:
    """The error for a call that broke off, unless the end of the answer says that it may have."""
    broken = next((call for call in message.tool_calls if not call.executable), None)
    if broken is None or message.stop_reason in _LENGTH:
        return None
    return ServerError(f"the model's call of {broken.name!r} has arguments that are no JSON object")
