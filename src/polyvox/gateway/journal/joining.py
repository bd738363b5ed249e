"""What is known of a call, put together from its lines."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from polyvox.gateway.journal.lines import (
    Attempted,
    Begun,
    Debit,
    Ended,
    Reserved,
    decode_line,
    encode_line,
)
from polyvox.ledger.tally import total_usage
from polyvox.usage import Usage

__all__ = ["UNSETTLED", "Call", "Joiner", "Lines"]

UNSETTLED = "unsettled"
_PART = 64 << 10


class Call(msgspec.Struct, gc=False):
    """A call and its attempts. ``ended`` is how it ended; cut off, it is debited ``reserved``."""

    begun: Begun
    reserved: list[Debit]
    attempts: list[Attempted] = []
    ended: Ended | None = None

    @property
    def usage(self) -> Usage:
        """What its attempts used together."""
        return total_usage([each.attempt for each in self.attempts])

    def cut_off(self) -> Ended:
        """Its end, because its process is over. What was reserved stays debited, and what is known to
        have cost more: an attempt that was under way told nobody.
        """
        known = self.usage.cost.nanos
        whole = {(account, mark) for account, mark, _ in self.begun.reserved}
        debits = [
            (account, mark, max(nanos, known) if (account, mark) in whole else nanos)
            for account, mark, nanos in self.reserved
        ]
        return Ended(id=self.begun.id, at=self.begun.at, error=UNSETTLED, debits=debits)


class Lines(msgspec.Struct, gc=False):
    """A call as it stands in the journal: its lines, without line feeds. ``segment`` is where it begins.

    ``reserved`` is the last line that says what more was reserved, which matters to a call that is cut off.
    """

    id: str
    segment: int
    texts: list[bytes]
    reserved: bytes = b""

    def call(self) -> Call:
        """What they say. Raises ``msgspec.DecodeError`` or ``UnicodeDecodeError``."""
        begun, *others = map(decode_line, self._all())
        assert isinstance(begun, Begun)
        call = Call(begun, begun.reserved)
        for line in others:
            if isinstance(line, Attempted):
                call.attempts.append(line)
            elif isinstance(line, Reserved):
                call.reserved = line.debits
            elif isinstance(line, Ended):
                call.ended = line
        return call

    def lines(self) -> Iterator[bytes]:
        """The lines, as they are written."""
        return (text + b"\n" for text in self._all())

    def _all(self) -> list[bytes]:
        return [*self.texts, self.reserved] if self.reserved else self.texts


class _Began(msgspec.Struct, tag="begun", tag_field="is", gc=False):
    id: str


class _Reserved(msgspec.Struct, tag="reserved", tag_field="is", gc=False):
    id: str


class _Asked(msgspec.Struct, tag="attempted", tag_field="is", gc=False):
    id: str


class _IsOver(msgspec.Struct, tag="ended", tag_field="is", gc=False):
    id: str


_Head: TypeAlias = _Began | _Reserved | _Asked | _IsOver
"""What the joiner looks at of a line. Of the rest it is known then that it is JSON."""

_decoder = msgspec.json.Decoder(_Head)
_head, _heads = _decoder.decode, _decoder.decode_lines
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


class Joiner:
    """Reads lines in their order, and gives each call when it is over.

    It holds the calls that are open. ``strays`` counts lines of calls that aren't, ``torn`` those that
    are no lines: something was cut off, or the disk has lost it.

    What a line says beyond whose it is, it leaves to the database (see ``raw_rows``).
    """

    def __init__(self) -> None:
        self.open: dict[str, Lines] = {}
        self.strays = 0
        self.torn = 0

    def read(self, text: bytes, segment: int) -> list[Lines]:
        """The calls that are over with these lines of that segment."""
        over: list[Lines] = []
        calls = self.open
        for part in _parts(text):
            for head, line in self._lines(part):
                kind = type(head)
                if kind is _Began:
                    if head.id not in calls:
                        calls[head.id] = Lines(head.id, segment, [line])
                elif (call := calls.get(head.id)) is None:
                    self.strays += 1
                elif kind is _Reserved:
                    call.reserved = line
                else:
                    call.texts.append(line)
                    if kind is _IsOver:
                        del calls[head.id]
                        over.append(call)
        return over

    def cut_off(self) -> list[Lines]:
        """All that are open: nothing more will come of them."""
        calls: list[Lines] = []
        for each in self.open.values():
            try:
                ended = each.call().cut_off()
            except _UNREADABLE:
                self.torn += 1
            else:
                each.texts.append(encode_line(ended).rstrip())
                calls.append(each)
        self.open.clear()
        return calls

    def carried(self) -> Iterator[bytes]:
        """Lines from which the same calls are open again."""
        for call in self.open.values():
            yield from call.lines()

    def _lines(self, text: bytes) -> Iterable[tuple[_Head, bytes]]:
        lines = text.removesuffix(b"\n").split(b"\n")
        try:
            if not text.isascii():
                text.decode()
            heads = _heads(text)
        except _UNREADABLE:
            return self._readable(lines)
        return zip(heads, lines, strict=True) if len(heads) == len(lines) else self._readable(lines)

    def _readable(self, lines: Iterable[bytes]) -> Iterator[tuple[_Head, bytes]]:
        """Line by line, without those that are none."""
        for line in lines:
            try:
                line.decode()
                yield _head(line), line
            except _UNREADABLE:
                self.torn += 1


def _parts(text: bytes) -> Iterator[bytes]:
    """The lines in parts: while one is decoded, nothing else of the process gets its turn."""
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin + _PART) + 1 or len(text)
        yield text[begin:end]
        begin = end
