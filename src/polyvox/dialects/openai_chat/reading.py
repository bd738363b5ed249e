"""From chunks to an answer: what every delta adds to the message.

OpenAI's format knows no begin and end of a block: text goes on while text comes, a tool call until
the answer ends. Providers differ most in how they cut tool calls up; ``_call_of`` is where that
is decided.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.assembly import Assembly
from polyvox.dialects.base import Target
from polyvox.dialects.openai_chat.finish import FAILED, STOPPED, cut_error
from polyvox.dialects.openai_chat.reasoning import details_text, merge_details
from polyvox.dialects.openai_chat.usage import read_usage
from polyvox.dialects.openai_chat.wire import ABSENT, Choice, Chunk, Delta, Function, ToolCallPiece
from polyvox.errors import PolyvoxError

TEXT, THINKING = "text", "thinking"  # the keys under which the assembly knows these blocks
_LEGACY_CALL = -1  # the index of OpenAI's `function_call`, which has none


class _Call:
    """A tool call as it grows. Until its name is known it waits, and the assembly knows nothing."""

    __slots__ = ("broken", "id", "last", "meta", "name", "opened", "waiting")

    def __init__(self, id: str) -> None:
        self.id = id
        self.name = ""
        self.opened = False
        self.broken = False
        self.last = ""
        self.waiting: list[str] = []
        self.meta: dict[str, Any] | None = None


class AnswerReader:
    """Reads one answer, streamed or whole, into an ``Assembly``.

    ``finish_reason`` is the provider's own word for the end, as soon as it has been said.
    """

    def __init__(self, target: Target) -> None:
        self.assembly = Assembly(target.provider, target.model)
        self.finish_reason: str | None = None
        self._finish_error: Any = None
        self._refused = False
        self._details: list[dict[str, Any]] = []
        self._plain_thinking = False
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}

    @property
    def empty(self) -> bool:
        """Whether nothing was said yet: neither content nor an end."""
        return not self.finish_reason and self.assembly.empty

    def read(self, chunk: Chunk) -> None:
        """Take in one chunk; a whole answer is one, with a big delta."""
        assembly = self.assembly
        assembly.id = assembly.id or chunk.id or ""
        assembly.response_model = assembly.response_model or chunk.model or ""
        for place, choice in enumerate(chunk.choices or ()):
            if (choice.index if choice.index is not None else place) == 0:
                assembly.start()
                self._read_choice(choice)
            else:
                text = "the provider sent several choices; only the first is kept"
                assembly.warn(text, "choices")
        if chunk.usage is not ABSENT:
            self._read_usage(chunk.usage)
        if chunk.x_groq:
            self._read_usage(chunk.x_groq.usage)

    def _read_choice(self, choice: Choice) -> None:
        delta = choice.delta
        # A whole message that comes after the pieces (MiniMax) says nothing new.
        if choice.message and self.assembly.empty:
            delta = choice.message
            _number_calls(delta)
        if delta:
            self._read_delta(delta)
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        self._finish_error = choice.error or self._finish_error
        if choice.usage is not ABSENT:
            self._read_usage(choice.usage)

    def _read_usage(self, raw: msgspec.Raw) -> None:
        """Usage may come anywhere and more than once; it is cumulative, so the last one holds."""
        if raw is ABSENT:
            return
        try:
            self.assembly.usage = read_usage(bytes(raw)) or self.assembly.usage
        except msgspec.DecodeError as error:
            self.assembly.warn(f"the provider's usage can't be read: {error}", "usage")

    def _read_delta(self, delta: Delta) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought and isinstance(thought, str):
            self._think(thought)
            self._plain_thinking = True
        if delta.reasoning_details:
            self._read_details(delta.reasoning_details)
        if isinstance(delta.content, str):
            self._say(delta.content)
        elif delta.content:
            self._read_parts(delta.content)
        if delta.refusal:
            self._refuse(delta.refusal)
        if delta.function_call:
            self._read_call(ToolCallPiece(index=_LEGACY_CALL, function=delta.function_call))
        for piece in delta.tool_calls or ():
            self._read_call(piece)
        if delta.images:
            self.assembly.warn("a picture in the answer was dropped", "images")

    # Text and reasoning

    def _say(self, text: str) -> None:
        if not text:
            return
        if not self.assembly.is_open(TEXT):
            self._close_thinking()
            self.assembly.open_text(TEXT)
        self.assembly.append(TEXT, text)

    def _think(self, text: str) -> None:
        if not text:
            return
        self._open_thinking()
        self.assembly.append(THINKING, text)

    def _open_thinking(self) -> None:
        if not self.assembly.is_open(THINKING):
            self._close_text()
            self.assembly.open_thinking(THINKING)

    def _read_details(self, entries: list[Any]) -> None:
        """OpenRouter's account of the reasoning; its text counts where there is no plain one."""
        details: list[dict[str, Any]] = [entry for entry in entries if isinstance(entry, dict)]
        self._open_thinking()
        self._details += details
        if not self._plain_thinking:
            self._think(details_text(details))

    def _read_parts(self, parts: list[Any]) -> None:
        """Content as a list of parts, as Mistral's reasoning models send it."""
        for part in parts:
            match part:
                case str(text) | {"type": "text", "text": str(text)}:
                    self._say(text)
                case {"type": "thinking", "thinking": str(text)}:
                    self._think(text)
                case {"type": "thinking", "thinking": [*pieces]}:
                    for piece in pieces:
                        self._think(_text_of(piece))
                case {"type": "refusal", "refusal": str(text)}:
                    self._refuse(text)
                case _:
                    self.assembly.warn("a part of the answer is of an unknown type", "content")

    def _refuse(self, text: str) -> None:
        """A refusal is the answer's text, unless it only repeats, as a mark, what was said before."""
        repeated = not self._refused and text == self.assembly.message().text
        self._refused = True
        if not repeated:
            self._say(text)

    def _close_text(self) -> None:
        if self.assembly.is_open(TEXT):
            self.assembly.close(TEXT)

    def _close_thinking(self) -> None:
        self._keep_details()
        if self.assembly.is_open(THINKING):
            self.assembly.close(THINKING)

    def _keep_details(self) -> None:
        if self._details and self.assembly.is_open(THINKING):
            self.assembly.annotate(THINKING, {"reasoning_details": merge_details(self._details)})
        self._details = []
        self._plain_thinking = False

    # Tool calls

    def _read_call(self, piece: ToolCallPiece) -> None:
        function = piece.function or Function()
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = jsontext.encode(arguments).decode()
        call = self._call_of(piece, function.name or "", arguments)
        if piece.extra_content:
            call.meta = {**(call.meta or {}), **piece.extra_content}
        if function.name:
            self._name(call, function.name)
        if not arguments:
            return
        call.last = arguments
        if call.opened:
            self.assembly.append(call, arguments)
        else:
            call.waiting.append(arguments)

    def _call_of(self, piece: ToolCallPiece, name: str, arguments: str) -> _Call:
        """The call that a fragment belongs to, maybe a new one.

        By index, the format's own way. An index used again (Gemini numbers all calls 0) begins a
        new call if a new id and a name come with it: an id alone does not, for some servers make
        up a new one for each fragment. Without an index, the id decides, or else it is the last.
        """
        if piece.index is not None:
            known = self._by_index.get(piece.index)
        elif piece.id in self._by_id:
            known = self._by_id[piece.id]
        else:
            known = self._calls[-1] if self._calls else None
        if known is None or (name and _begins_anew(known, piece.id or "", arguments)):
            known = self._new_call(piece.id or "")
        if piece.index is not None:
            self._by_index[piece.index] = known
        if piece.id:
            self._by_id[piece.id] = known
        return known

    def _new_call(self, id: str) -> _Call:
        call = _Call(id)
        self._calls.append(call)
        return call

    def _name(self, call: _Call, name: str) -> None:
        if not call.opened:
            self._open_call(call, name)
        elif name != call.name and not call.broken:
            call.broken = True
            self.assembly.warn(
                f"a call of {call.name!r} changed its name to {name!r}", "tool_calls"
            )

    def _open_call(self, call: _Call, name: str) -> None:
        self._close_thinking()
        self._close_text()
        call.opened, call.name = True, name
        self.assembly.open_tool_call(call, call.id, name)
        for text in call.waiting:
            self.assembly.append(call, text)

    def _settle_calls(self, *, at_limit: bool) -> None:
        """Say what is known of the open calls, and break those that nobody may run.

        At a token limit, that is also a last call whose arguments had not begun.
        """
        for call in self._calls:
            if not call.opened:
                call.broken = True
                self.assembly.warn("a tool call came without a name", "tool_calls")
                self._open_call(call, "")
            if call.meta:
                self.assembly.annotate(call, {"extra_content": call.meta})
            unbegun = at_limit and call is self._calls[-1] and not call.last
            if call.broken or unbegun:
                self.assembly.close(call, cut=True)
        self._calls = []

    # The end

    def end(self) -> None:
        """The answer is over: ends the assembly as the finish reason says; none means "stop"."""
        reason = (self.finish_reason or "stop").lower()
        if reason in FAILED or self._finish_error:
            self.fail(cut_error(reason, self._finish_error))
            return
        stop = STOPPED.get(reason)
        if stop is None:
            self.assembly.warn(f"unknown finish_reason {self.finish_reason!r}", "finish_reason")
        if self._refused and stop in (None, "stop"):
            stop = "refusal"
        self._keep_details()
        if self._calls:
            self._settle_calls(at_limit=stop == "length")
        self.assembly.finish(stop or "stop")

    def fail(self, error: PolyvoxError) -> None:
        """The answer broke off: ends the assembly with ``error``."""
        self._keep_details()
        if self._calls:
            self._settle_calls(at_limit=True)
        self.assembly.fail(error)


def _begins_anew(known: _Call, id: str, arguments: str) -> bool:
    """Whether a named fragment is no repetition, but the first of another call.

    Without ids the arguments tell: no JSON goes on with "{" directly after "}".
    """
    if id and known.id:
        return id != known.id
    return known.last.endswith("}") and arguments.startswith("{")


def _number_calls(message: Delta) -> None:
    """In a whole message every entry is a call of its own, whatever its id."""
    for place, piece in enumerate(message.tool_calls or ()):
        piece.index = place


def _text_of(piece: Any) -> str:
    match piece:
        case str(text) | {"text": str(text)}:
            return text
        case _:
            return ""
