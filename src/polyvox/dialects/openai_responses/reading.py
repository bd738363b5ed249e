"""From items to an answer: what each event, or each item of a whole answer, adds to the message.

An item is told up to three times: in pieces, whole when it is complete, and once more within the
response at the end. Pieces count first; what they left out is taken from the whole item, and an item
that was never told before from the response. So a whole answer is read by the same steps.
"""

from typing import TypeAlias

import msgspec

from polyvox.assembly import Assembly
from polyvox.dialects.base import Target
from polyvox.dialects.errors import status_error
from polyvox.dialects.openai_errors import read_error
from polyvox.dialects.openai_responses import items
from polyvox.dialects.openai_responses.items import NAME
from polyvox.dialects.openai_responses.usage import read_usage
from polyvox.dialects.openai_responses.wire import Json, Response, objects, text_of
from polyvox.errors import AbortedError, ContentFilterError, PolyvoxError, ProtocolError
from polyvox.messages import StopReason

_Part: TypeAlias = tuple[int, int]
"""The key of a message's part: the item's place, and its own. Other items go by their place."""


class _Open:
    """An item that is not complete yet."""

    __slots__ = ("kind", "latest", "parts")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.parts: list[_Part] = []  # those of a message that the assembly has begun
        self.latest: tuple[str, int] | None = None  # the part of the reasoning that grew last


class AnswerReader:
    """Reads one answer, streamed or whole, into an ``Assembly``."""

    def __init__(self, target: Target) -> None:
        self.assembly = Assembly(target.provider, target.model)
        self._open: dict[int, _Open] = {}
        self._done: set[int] = set()
        self._known: set[tuple[str, str]] = set()  # complete items: type and id
        self._held: list[int] = []  # calls without arguments: none, or cut off before them?
        self._refused = False
        self._marks: set[_Part] = set()  # refusals that only repeat what was said

    def begin(self, response: Response) -> None:
        """The answer has an id and a model."""
        assembly = self.assembly
        assembly.id = assembly.id or response.id or ""
        assembly.response_model = assembly.response_model or response.model or ""
        assembly.start()

    def warn(self, text: str, field: str = "output") -> None:
        """Say, once, that something was dropped or changed."""
        self.assembly.warn(text, field)

    def fail(self, error: PolyvoxError) -> None:
        """The answer broke off: ends the assembly with ``error``."""
        self.assembly.fail(error)

    # Items, in pieces

    def open_item(self, index: int, item: Json) -> None:
        """An item begins."""
        if index in self._open or index in self._done:
            self._break(f"item {index} starts twice")
            return
        kind = str(item.get("type"))
        self._open[index] = _Open(kind)
        if kind == "function_call":
            self.assembly.open_tool_call(index, text_of(item, "call_id"), text_of(item, "name"))
        elif kind == "reasoning":
            self.assembly.open_thinking(index)
        elif kind != "message":  # the parts of a message begin by themselves
            self.warn(f"an item of type {kind!r} is kept, but only its maker can read it")
            self.assembly.open_text(index)

    def open_part(self, index: int, place: int, part: Json) -> None:
        """A part of a message begins. A refusal waits for its text: see ``refuse``."""
        if part.get("type") == "output_text":
            self._open_text((index, place))

    def say(self, index: int, place: int, text: str) -> None:
        """A piece of text."""
        key = (index, place)
        if text and (self.assembly.is_open(key) or self._open_text(key)):
            self.assembly.append(key, text)

    def refuse(self, index: int, place: int, text: str) -> None:
        """A piece of a refusal; one that only repeats, as a mark, what was said before says nothing."""
        if not self._is_mark((index, place), text):
            self.say(index, place, text)

    def argue(self, index: int, text: str) -> None:
        """A piece of a call's arguments."""
        if self._grows(index, "function_call"):
            self.assembly.append(index, text)

    def think(self, index: int, part: tuple[str, int], text: str) -> None:
        """A piece of reasoning, or of its summary."""
        if not self._grows(index, "reasoning"):
            return
        opened = self._open[index]
        if opened.latest not in (None, part):
            self.assembly.append(index, items.BETWEEN_PARTS)
        opened.latest = part
        self.assembly.append(index, text)

    def is_opaque(self, index: int) -> bool:
        """Whether this item is one that is kept whole, so that its pieces say nothing."""
        opened = self._open.get(index)
        return opened is not None and opened.kind not in ("message", "function_call", "reasoning")

    def _grows(self, index: int, kind: str) -> bool:
        """Whether this item is open. One that never began is read when it comes whole."""
        opened = self._open.get(index)
        if opened is None:
            if index in self._done:
                self._break(f"a piece of item {index}, which is complete")
            else:
                self.warn("pieces of an item that had not begun: it is read when it is complete")
            return False
        if opened.kind != kind:
            self._break(f"a piece of a {kind} in item {index}, which is a {opened.kind}")
            return False
        return True

    def _open_text(self, key: _Part) -> bool:
        index = key[0]
        if index not in self._open and index not in self._done:
            self._open[index] = _Open("message")
        if not self._grows(index, "message"):
            return False
        opened = self._open[index]
        if key not in opened.parts:
            opened.parts.append(key)
            self.assembly.open_text(key)
        return True

    def _is_mark(self, key: _Part, text: str) -> bool:
        """Whether this refusal, the first that is heard, says again all that was said."""
        if not self._refused and text and text == self.assembly.message().text:
            self._marks.add(key)
        self._refused = True
        return key in self._marks

    # Items, whole

    def read_item(self, index: int, item: Json) -> None:
        """An item is complete."""
        if index in self._done or self.assembly.ended:
            return
        if index not in self._open:
            self.open_item(index, item)
        opened = self._open.pop(index)
        if opened.kind != item.get("type"):
            self._break(f"item {index} began as {opened.kind} and ends as {item.get('type')}")
            return
        self._done.add(index)
        self._known.add(_identity(item))
        match opened.kind:
            case "message":
                self._read_message(index, opened, item)
            case "function_call":
                self._read_call(index, item)
            case "reasoning":
                self._read_reasoning(index, items.with_true_id(item))
            case _:
                self._close(index, {"item": item})

    def _read_message(self, index: int, opened: _Open, item: Json) -> None:
        parts: dict[_Part, Json] = {}
        for place, part in enumerate(objects(item.get("content"))):
            key = (index, place)
            kind = part.get("type")
            said = text_of(part, "refusal" if kind == "refusal" else "text")
            if kind not in ("output_text", "refusal"):
                self.warn(f"a part of type {kind!r} is not known here")
                continue
            if kind == "refusal" and self._is_mark(key, said):
                continue
            if key not in opened.parts:
                self.assembly.open_text(key)
                opened.parts.append(key)
            self._complete(key, said)
            parts[key] = part
        for key in opened.parts:
            self._close(key, items.message_extras(item, parts.get(key, {})))

    def _read_call(self, index: int, item: Json) -> None:
        self._complete(index, text_of(item, "arguments"))
        status = item.get("status")
        kept = items.call_extras(item)
        if kept:
            self.assembly.annotate(index, {NAME: kept})
        if not text_of(item, "name"):
            self.warn("a tool call came without a name")
            self.assembly.close(index, cut=True)
        elif status == "incomplete":
            self.assembly.close(index, cut=True)
        elif status != "completed" and self.assembly.is_empty(index):
            self._held.append(index)
        else:
            self.assembly.close(index)

    def _read_reasoning(self, index: int, item: Json) -> None:
        self._complete(index, items.reasoning_text(item))
        if item.get("encrypted_content"):
            self.assembly.sign(index, text_of(item, "encrypted_content"))
        if items.is_hidden(item):
            self.assembly.redact(index)
        self._close(index, items.reasoning_extras(item))

    def _complete(self, key: int | _Part, text: str) -> None:
        """The whole of a block that no piece told."""
        if text and self.assembly.is_empty(key):
            self.assembly.append(key, text)

    def _close(self, key: int | _Part, kept: Json) -> None:
        if kept:
            self.assembly.annotate(key, {NAME: kept})
        self.assembly.close(key)

    # The end

    def end(self, response: Response) -> None:
        """The answer is over: takes in what of it had not come before, and ends the assembly."""
        self.begin(response)
        self._read_usage(response.usage)
        for index, item in enumerate(response.output or ()):
            if index not in self._done and _identity(item) not in self._known:
                self.read_item(index, item)
        if self.assembly.ended:
            return
        ending = _ending(response)
        if isinstance(ending, PolyvoxError):
            self.fail(ending)
        else:
            self._finish(ending, response)

    def _finish(self, reason: StopReason, response: Response) -> None:
        why = response.incomplete_details and response.incomplete_details.reason
        if reason == "length" and why != "max_output_tokens":
            self.warn(f"the answer is incomplete for an unknown reason: {why!r}", "stop_reason")
        if self._open:
            if reason == "stop":
                self.warn(f"{len(self._open)} items were never completed")
            self.assembly.close_all(cut=True)
        for index in self._held:
            if self.assembly.is_open(index):
                last = reason == "length" and index == max(self._done)
                self.assembly.close(index, cut=last)
        if self._refused and reason == "stop":
            reason = "refusal"
        self.assembly.finish(reason)

    def _read_usage(self, raw: msgspec.Raw) -> None:
        try:
            self.assembly.usage = read_usage(bytes(raw)) or self.assembly.usage
        except msgspec.DecodeError as error:
            self.warn(f"the provider's usage can't be read: {error}", "usage")

    def _break(self, text: str) -> None:
        self.fail(ProtocolError(text))


def _ending(response: Response) -> StopReason | PolyvoxError:
    """How an answer ends: its stop reason, or the error that it ends with."""
    if response.error or response.status == "failed":
        text, code = read_error(response.error)
        return status_error(200, {}, text or "the provider's answer failed", code=code)
    if response.status == "cancelled":
        return AbortedError("the answer was cancelled at the provider")
    if response.status in ("queued", "in_progress"):
        text = f"the provider's answer is not there yet: its status is {response.status!r}"
        return ProtocolError(text, hint="Ask without background=true.")
    why = response.incomplete_details and response.incomplete_details.reason
    if why == "content_filter":
        return ContentFilterError("the provider's content filter cut the answer", provider_code=why)
    return "length" if why or response.status == "incomplete" else "stop"


def _identity(item: Json) -> tuple[str, str]:
    """What tells an item from all others; the same for none without an id."""
    return str(item.get("type")), str(item.get("call_id") or item.get("id") or id(item))
