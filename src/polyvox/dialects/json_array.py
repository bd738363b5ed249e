"""The elements of one big JSON array, cut out as they arrive: the framing of Gemini's older stream.

Cutting knows just enough of JSON (RFC 8259) to tell where an element ends: strings and brackets.
Whether an element is good JSON is for its decoder to say.
"""

import re

from polyvox.dialects.framing import FrameCutter, ServerSentEvent
from polyvox.errors import ProtocolError

__all__ = ["JsonArrayReader"]

_MARK = re.compile(rb'["\[\]{},]')
_STRING_END = re.compile(rb'(?:[^"\\]++|\\.)*+"', re.DOTALL)
_QUOTE, _COMMA, _CLOSE_ARRAY, _CLOSE_OBJECT = b'",]}'
_OPENING = b"[{"


class JsonArrayReader(FrameCutter):
    r"""Turn the bytes of a JSON array, cut anywhere, into its elements.

    An object or array is given out with its last bracket, anything else with the comma or bracket
    after it. Time is linear in the bytes fed; `max_element_bytes` bounds what is held back.

    >>> reader = JsonArrayReader()
    >>> reader.feed(b'[{"a": "}"}\n,{"b"')
    [ServerSentEvent(data=b'{"a": "}"}', event='')]
    >>> reader.feed(b": 2}]")
    [ServerSentEvent(data=b'{"b": 2}', event='')]
    """

    media_type = "application/json"

    _frame = "an element of the JSON array"
    _bound = "max_element_bytes"

    def __init__(self, max_element_bytes: int = 64 * 2**20) -> None:
        super().__init__(max_element_bytes)
        self._element = bytearray()  # what came of the element that is not complete
        self._depth = 0  # brackets open within it
        self._in_string = False
        self._escaped = False  # the last byte was a backslash inside a string
        self._begun = False
        self._over = False

    def _cut(self, chunk: bytes, frames: list[ServerSentEvent]) -> None:
        place = 0 if self._begun else self._begin(chunk)
        start = place
        while self._begun and not self._over:
            if self._in_string:
                place = self._end_of_string(chunk, place)
            found = None if self._in_string else _MARK.search(chunk, place)
            if found is None:
                self._keep(chunk, start)
                return
            place = found.end()
            byte = chunk[place - 1]
            if byte == _QUOTE:
                self._in_string = True
            elif byte in _OPENING:
                self._depth += 1
            elif self._depth == 0:
                self._give(chunk[start : place - 1], frames)
                self._between(byte)
                start = place
            elif byte != _COMMA:
                self._depth -= 1
                if self._depth == 0:
                    self._give(chunk[start:place], frames)
                    start = place
        if self._over and chunk[start:].strip():
            raise ProtocolError("bytes follow the end of the JSON array")

    def _finish(self, frames: list[ServerSentEvent]) -> None:
        rest = bytes(self._element).strip()
        self._element.clear()
        if rest:
            frames.append(ServerSentEvent(rest))

    def _let_go(self) -> None:
        self._element.clear()

    def _begin(self, chunk: bytes) -> int:
        """Where the first element may begin: after the array's bracket."""
        head = chunk.lstrip()
        if not head:
            return len(chunk)
        if not head.startswith(b"["):
            raise ProtocolError(f"this is no JSON array: {head[:40]!r}")
        self._begun = True
        return len(chunk) - len(head) + 1

    def _end_of_string(self, chunk: bytes, place: int) -> int:
        """The place after the string that is open, or the chunk's end if it goes on after that."""
        if self._escaped and chunk:
            place, self._escaped = place + 1, False
        found = _STRING_END.match(chunk, place)
        if found is not None:
            self._in_string = False
            return found.end()
        rest = chunk[place:]
        if rest:
            self._escaped = (len(rest) - len(rest.rstrip(b"\\"))) % 2 == 1
        return len(chunk)

    def _keep(self, chunk: bytes, start: int) -> None:
        rest = chunk[start:]
        self._check(len(self._element) + len(rest))
        self._element += rest if self._element else rest.lstrip()

    def _give(self, end: bytes, frames: list[ServerSentEvent]) -> None:
        """An element is complete; after a bracket only white space is left of it, and is none."""
        self._check(len(self._element) + len(end))
        if self._element:
            end = bytes(self._element) + end
            self._element.clear()
        data = end.strip()
        if data:
            frames.append(ServerSentEvent(data))

    def _between(self, byte: int) -> None:
        """What stands between elements."""
        if byte == _CLOSE_OBJECT:
            raise ProtocolError("a bracket closes in the JSON array that was never opened")
        self._over = byte == _CLOSE_ARRAY
