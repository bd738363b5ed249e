"""How an answer is shown: as text for people and pipes, as JSON for programs."""

import sys
from typing import IO, Any

import msgspec

from polyvox import jsontext
from polyvox.assembly import arguments_text, unfold
from polyvox.cli.terminal import harmless, is_terminal, styled
from polyvox.errors import InvalidAnswerError, PolyvoxError
from polyvox.events import (
    Event,
    Failed,
    TextDelta,
    ThinkingDelta,
    ThinkingEnd,
    ToolCallEnd,
    Warned,
    encode_event,
)
from polyvox.messages import AssistantMessage, ToolCall
from polyvox.trace import TraceNode
from polyvox.usage import Cost, Usage, exact_dollars

__all__ = [
    "EventsView",
    "JsonView",
    "TextView",
    "as_json",
    "tool_call_line",
    "trace_as_json",
    "usage_as_json",
]


class TextView:
    """The answer's text on stdout as it arrives; with ``thinking`` the reasoning too, dim.

    Reasoning goes to stdout on a terminal and to stderr beside a pipe, which is to hold the answer
    alone. With ``whole`` everything is shown at the end.
    """

    def __init__(self, *, thinking: bool = False, whole: bool = False) -> None:
        self._out = sys.stdout
        self._aside = sys.stdout if is_terminal(sys.stdout) else sys.stderr
        self._thinking = thinking
        self._whole = whole
        self._clean = is_terminal(self._out)
        self._last: dict[IO[str], str] = {}

    def shows(self, event: Event) -> bool:
        """Whether something of this event is seen at once."""
        if self._whole:
            return False
        if isinstance(event, ThinkingDelta):
            return self._thinking
        return isinstance(event, (TextDelta, ToolCallEnd))

    def event(self, event: Event) -> None:
        """Show what has arrived."""
        if not self._whole:
            self._show(event)

    def end(self, message: AssistantMessage, error: PolyvoxError | None) -> None:
        """Finish the last line. What is not the JSON that was asked for is not printed for it."""
        if self._whole and not isinstance(error, InvalidAnswerError):
            for event in unfold(message):
                self._show(event)
        for stream in (self._aside, self._out):
            self._finish_line(stream)

    def _show(self, event: Event) -> None:
        match event:
            case TextDelta(text=text):
                self._write(self._out, text)
            case ThinkingDelta(text=text) if self._thinking:
                self._write(self._aside, text, dim=True)
            case ThinkingEnd() if self._thinking:
                self._finish_line(self._aside)
            case ToolCallEnd(block=call):
                self._finish_line(self._out)
                self._write(self._out, tool_call_line(call) + "\n")
            case _:
                pass

    def _write(self, stream: IO[str], text: str, *, dim: bool = False) -> None:
        if not text:
            return
        self._last[stream] = text[-1]
        text = harmless(text) if self._clean else text
        stream.write(styled(text, stream, dim=True) if dim else text)
        stream.flush()

    def _finish_line(self, stream: IO[str]) -> None:
        if self._last.get(stream, "\n") != "\n":
            self._write(stream, "\n")


class EventsView:
    """Every event as one line of JSON on stdout."""

    def shows(self, event: Event) -> bool:
        """Always: every event is a line."""
        return True

    def event(self, event: Event) -> None:
        """Print the event."""
        _print_line(encode_event(event))

    def end(self, message: AssistantMessage, error: PolyvoxError | None) -> None:
        """Print the ``error`` event that the answer failed with, if it did."""
        if error is not None and not isinstance(error, InvalidAnswerError):  # the stream was well
            _print_line(encode_event(Failed(error, message)))


class JsonView:
    """One JSON object on stdout at the end."""

    def __init__(self) -> None:
        self._warnings: list[Warned] = []

    def shows(self, event: Event) -> bool:
        """Never: all is shown at the end."""
        return False

    def event(self, event: Event) -> None:
        """Remember what was dropped."""
        if isinstance(event, Warned):
            self._warnings.append(event)

    def end(self, message: AssistantMessage, error: PolyvoxError | None) -> None:
        """Print the object."""
        fields = as_json(message, error)
        if self._warnings:
            fields["warnings"] = [
                {"field": warning.field, "text": warning.text} for warning in self._warnings
            ]
        _print_line(jsontext.encode(fields))


def as_json(message: AssistantMessage, error: PolyvoxError | None = None) -> dict[str, Any]:
    """An answer as plain JSON values, with ``error`` if it failed.

    ``usage`` is that of the events, with every field, and ``usage.cost.dollars`` besides: a decimal
    string, null when the price is unknown. ``usage.cost.nanos`` counts nano-dollars, and is a lower
    bound when ``usage.cost.status`` is "unknown". ``trace`` is there if the message has one.
    """
    fields: dict[str, Any] = {"text": message.text}
    if message.thinking:
        fields["thinking"] = message.thinking
    fields["tool_calls"] = [_call_as_json(call) for call in message.tool_calls]
    fields |= {
        "stop_reason": message.stop_reason,
        "model": f"{message.provider}/{message.model}" if message.model else None,
        "response_model": message.response_model or None,
        "id": message.id or None,
        "request_id": message.request_id,
        "usage": usage_as_json(message.usage),
    }
    if message.trace is not None:
        fields["trace"] = trace_as_json(message.trace)
    if error is not None:
        fields["error"] = error.to_dict()
    return fields


def trace_as_json(trace: TraceNode) -> dict[str, Any]:
    """A trace as plain JSON values, with ``total``: what all of it used together."""
    return msgspec.to_builtins(trace) | {"total": usage_as_json(trace.total)}


def tool_call_line(call: ToolCall) -> str:
    """A tool call as a person reads it.

    >>> tool_call_line(ToolCall("1", "weather", {"city": "Oslo", "days": 2}))
    '→ weather(city="Oslo", days=2)'
    """
    if not call.executable:
        return f"→ {call.name}: its arguments are not whole: {arguments_text(call)}"
    arguments = ", ".join(
        f"{name}={jsontext.encode(value).decode()}" for name, value in call.arguments.items()
    )
    return f"→ {call.name}({arguments})"


def _call_as_json(call: ToolCall) -> dict[str, Any]:
    fields: dict[str, Any] = {"id": call.id, "name": call.name, "arguments": call.arguments}
    return fields if call.executable else fields | {"unparsed": call.unparsed}


def usage_as_json(usage: Usage) -> dict[str, Any]:
    """A usage with every field, and its cost in dollars besides."""
    return msgspec.structs.asdict(usage) | {"cost": _cost_as_json(usage.cost)}


def _cost_as_json(cost: Cost) -> dict[str, Any]:
    return {**msgspec.structs.asdict(cost), "dollars": exact_dollars(cost)}


def _print_line(line: bytes) -> None:
    sys.stdout.write(line.decode() + "\n")
    sys.stdout.flush()
