"""What is known of a call, put together from its lines."""

from collections.abc import Iterable, Iterator

import msgspec

from polyvox.gateway.journal.lines import Attempted, Begun, Ended, Line, decode_line, encode_line
from polyvox.ledger.tally import total_usage
from polyvox.usage import Usage

__all__ = ["UNSETTLED", "Call", "Joiner"]

UNSETTLED = "unsettled"


class Call(msgspec.Struct):
    """A call and its attempts. ``segment`` is where it begins, ``ended`` how it ended, once it has."""

    begun: Begun
    segment: int
    attempts: list[Attempted] = []
    ended: Ended | None = None

    @property
    def usage(self) -> Usage:
        """What its attempts used together."""
        return total_usage([each.attempt for each in self.attempts])

    def lines(self) -> Iterator[bytes]:
        """The lines that it was put together from."""
        yield encode_line(self.begun)
        yield from map(encode_line, self.attempts)
        if self.ended is not None:
            yield encode_line(self.ended)

    def settle(self, ended: Ended) -> "Call":
        """The call, over."""
        self.ended = ended
        return self

    def cut_off(self) -> "Call":
        """The call, over because its process is. What was reserved stays debited, and what is known to
        have cost more: an attempt that was under way told nobody.
        """
        known = self.usage.cost.nanos
        debits = {account: max(nanos, known) for account, nanos in self.begun.reserved.items()}
        return self.settle(
            Ended(id=self.begun.id, at=self.begun.at, error=UNSETTLED, debits=debits)
        )


class Joiner:
    """Reads lines in their order, and gives each call when it is over.

    It holds the calls that are open. ``strays`` counts lines of calls that aren't, ``torn`` those that
    are no lines: something was cut off, or the disk has lost it.
    """

    def __init__(self) -> None:
        self.open: dict[str, Call] = {}
        self.strays = 0
        self.torn = 0

    def read(self, lines: Iterable[bytes], segment: int) -> list[Call]:
        """The calls that are over with these lines of that segment."""
        return [call for text in lines if (call := self._next(text, segment)) is not None]

    def cut_off(self) -> list[Call]:
        """All that are open: nothing more will come of them."""
        calls = [call.cut_off() for call in self.open.values()]
        self.open.clear()
        return calls

    def carried(self) -> Iterator[bytes]:
        """Lines from which the same calls are open again."""
        for call in self.open.values():
            yield from call.lines()

    def _next(self, text: bytes, segment: int) -> Call | None:
        try:
            line: Line = decode_line(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.torn += 1
            return None
        if isinstance(line, Begun):
            self.open.setdefault(line.id, Call(line, segment))
        elif (call := self.open.get(line.id)) is None:
            self.strays += 1
        elif isinstance(line, Attempted):
            call.attempts.append(line)
        else:
            return self.open.pop(line.id).settle(line)
        return None
