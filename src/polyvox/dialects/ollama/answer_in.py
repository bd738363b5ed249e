"""Answers, read: every line of a stream adds to the message, and a whole answer is a single line.

An answer is complete when a line says ``done``. Its tokens are counted there, and a count that is
missing is not zero: Ollama leaves out that of a prompt it had in its cache.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.assembly import Assembly
from polyvox.dialects.base import Target
from polyvox.dialects.decoding import AssemblyDecoder
from polyvox.dialects.errors import snippet
from polyvox.dialects.ollama.errors import line_error
from polyvox.dialects.ollama.wire import ABSENT, LINE, Line, Said, WireCall
from polyvox.dialects.sse import ServerSentEvent
from polyvox.errors import ProtocolError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage, StopReason
from polyvox.usage import Usage

TEXT, THINKING, CALL = "text", "thinking", "call"  # the keys under which the assembly knows blocks

_STOPPED: dict[str, StopReason] = {
    "": "stop",
    "stop": "stop",
    "length": "length",
    "load": "stop",  # there was no prompt: the model was only loaded,
    "unload": "stop",  # or sent away
}
_NOTHING = Said()
_STRING: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)


def decode_response(body: bytes, target: Target) -> AssistantMessage:
    """The message of a whole answer. Raises the error that the body tells, or ``ProtocolError``."""
    decoder = OllamaDecoder(target)
    frames = [ServerSentEvent(body)] if body.strip() else []
    events = [event for frame in frames for event in decoder.feed(frame)] + decoder.close()
    match events[-1]:
        case Failed(error=error):
            raise error
        case Done(message=message):
            return message
        case event:
            raise AssertionError(f"a stream ended with {event}")


class OllamaDecoder(AssemblyDecoder):
    """Reads one streamed answer; see ``polyvox.dialects.StreamDecoder``."""

    def __init__(self, target: Target) -> None:
        super().__init__(Assembly(target.provider, target.model))

    def feed(self, frame: ServerSentEvent) -> list[Event]:
        """The events that this line completes."""
        assembly = self._assembly
        if assembly.ended:
            return []
        try:
            line = jsontext.decode_with(LINE, frame.data)
        except (msgspec.DecodeError, RecursionError) as error:
            return self.fail(_no_line(frame.data, error))
        said = line.message
        if (
            said is not None
            and said.content
            and not (said.thinking or said.tool_calls or said.images or line.done or line.error)
            and assembly.is_open(TEXT)
        ):
            assembly.append(TEXT, said.content)  # nearly all lines are of this kind
        elif line.error:
            assembly.fail(line_error(line.error))
        else:
            self._read(line)
        return assembly.take()

    def close(self) -> list[Event]:
        """The body is over."""
        if self._assembly.started:
            return self.fail(ProtocolError("the provider's answer stopped before its end"))
        return self.fail(ProtocolError("the provider's answer is empty"))

    def _read(self, line: Line) -> None:
        assembly = self._assembly
        assembly.response_model = assembly.response_model or line.model or ""
        if line.message is not None or line.response is not None or line.done:
            assembly.start()
        said = line.message or _NOTHING
        self._say(THINKING, said.thinking or line.thinking)
        self._say(TEXT, said.content or line.response)
        for call in said.tool_calls or line.tool_calls or ():
            self._call(call)
        if line.image or said.images:
            assembly.warn("a picture in the answer was dropped", "images")
        if line.done:
            self._end(line)

    def _say(self, key: str, text: str | None) -> None:
        if not text:
            return
        assembly = self._assembly
        if not assembly.is_open(key):
            assembly.close_all()
            (assembly.open_text if key == TEXT else assembly.open_thinking)(key)
        assembly.append(key, text)

    def _call(self, call: WireCall) -> None:
        assembly, function = self._assembly, call.function
        name = function.name if function and function.name else ""
        assembly.close_all()
        assembly.open_tool_call(CALL, call.id or "", name)
        arguments = _arguments(function.arguments) if function else ""
        if arguments:
            assembly.append(CALL, arguments)
        if not name:
            assembly.warn("a tool call came without a name", "tool_calls")
        assembly.close(CALL, cut=not name)

    def _end(self, line: Line) -> None:
        assembly = self._assembly
        assembly.usage = self._usage(line)
        reason = _STOPPED.get((line.done_reason or "").lower())
        if reason is None:
            assembly.warn(f"unknown done_reason {line.done_reason!r}", "done_reason")
        assembly.finish(reason or "stop")

    def _usage(self, line: Line) -> Usage:
        read, written = self._count(line.prompt_eval_count), self._count(line.eval_count)
        if read is None and written is None:
            return self._assembly.usage
        whole = read is not None and written is not None
        return Usage(read or 0, written or 0, basis="reported" if whole else "partial")

    def _count(self, value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15:
            return int(value)
        self._assembly.warn(f"the provider's usage can't be read: {value!r}", "usage")
        return None


def _arguments(raw: msgspec.Raw) -> str:
    """The arguments as JSON text; "" for none."""
    data = b"" if raw is ABSENT else bytes(raw)
    if data[:1] == b'"':
        return jsontext.decode_with(_STRING, data)
    return "" if data == b"null" else data.decode("utf-8", "replace")


def _no_line(data: bytes, error: Exception) -> ProtocolError:
    """What is said of a line that is none: HTML, broken JSON, or JSON of another shape."""
    what = "a line of an unknown shape" if data[:1] == b"{" else "a line that is no JSON object"
    return ProtocolError(f"the provider sent {what} ({error}): {snippet(data)}")
