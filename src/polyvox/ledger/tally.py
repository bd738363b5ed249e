"""Sums of calls: the one in all, and those by model, session and tag."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from operator import add, attrgetter
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from polyvox.attempt import Attempt
from polyvox.usage import ZERO_USAGE, Basis, Cost, PriceStatus, Usage

__all__ = ["Groups", "Sum", "Tally", "numbers_of", "total_usage"]

_Key = TypeVar("_Key", bound=Hashable)

_TOKENS = tuple(name for name in Usage.__struct_fields__ if name.endswith("_tokens"))
_MONEY = tuple(name for name in Cost.__struct_fields__ if name.endswith("nanos"))
numbers_of = attrgetter(*_TOKENS, *(f"cost.{name}" for name in _MONEY))
"""The numbers of a usage, all that can be added, in one go."""

_STATUSES: tuple[PriceStatus, ...] = ("free", "known", "unknown")
_BASES: tuple[Basis, ...] = ("reported", "estimated", "partial", "missing")


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """What some calls came to.

    ``calls`` were made, and providers asked for them ``attempts`` times, of which ``failures`` gave
    no whole answer. ``unpriced`` attempts cost nobody knows how much: ``cost`` is then a lower bound,
    and its status "unknown".
    """

    calls: int = 0
    attempts: int = 0
    failures: int = 0
    unpriced: int = 0
    usage: Usage = ZERO_USAGE

    @property
    def cost(self) -> Cost:
        """The exact sum of all costs, in nano-dollars."""
        return self.usage.cost


def total_usage(attempts: Sequence[Attempt]) -> Usage:
    """What these attempts used together."""
    if not attempts:
        return ZERO_USAGE
    usage = attempts[0].usage
    for attempt in attempts[1:]:
        usage += attempt.usage
    return usage


class Sum:
    """A tally while it grows: several of them with every call, and so in plain integers."""

    __slots__ = ("_basis", "_numbers", "_status", "attempts", "calls", "failures", "unpriced")

    def __init__(self) -> None:
        self.calls = 0
        self.attempts = 0
        self.failures = 0
        self.unpriced = 0
        self._numbers: tuple[int, ...] = numbers_of(ZERO_USAGE)
        self._basis: Basis = "reported"
        self._status: PriceStatus = "free"

    def add(self, attempt: Attempt, numbers: tuple[int, ...]) -> None:
        """Count one attempt more, whose usage has these numbers."""
        usage = attempt.usage
        status = usage.cost.status
        self.attempts += 1
        self.failures += attempt.error is not None
        self.unpriced += status == "unknown"
        self._numbers = tuple(map(add, self._numbers, numbers))
        if usage.basis != self._basis:
            self._basis = _BASES[max(map(_BASES.index, (self._basis, usage.basis)))]
        if status != self._status:
            self._status = _STATUSES[max(map(_STATUSES.index, (self._status, status)))]

    def tally(self) -> Tally:
        """How it stands."""
        tokens = dict(zip(_TOKENS, self._numbers, strict=False))
        money = dict(zip(_MONEY, self._numbers[len(_TOKENS) :], strict=True))
        cost = replace(Cost(self._status), **money)
        return Tally(
            calls=self.calls,
            attempts=self.attempts,
            failures=self.failures,
            unpriced=self.unpriced,
            usage=replace(Usage(basis=self._basis), cost=cost, **tokens),
        )


class Groups(Generic[_Key]):
    """A sum per name, of the ``limit`` names that were seen last.

    ``forgotten`` counts those that went because there were more. One that comes back begins anew.
    """

    def __init__(self, limit: int) -> None:
        self.forgotten = 0
        self._limit = limit
        self._sums: OrderedDict[_Key, Sum] = OrderedDict()

    def __getitem__(self, key: _Key) -> Sum:
        found = self._sums.get(key)
        if found is not None:
            self._sums.move_to_end(key)
            return found
        if len(self._sums) >= self._limit:
            self._sums.popitem(last=False)
            self.forgotten += 1
        found = self._sums[key] = Sum()
        return found

    def items(self) -> Iterator[tuple[_Key, Tally]]:
        """Every name with its tally."""
        return ((key, each.tally()) for key, each in self._sums.items())
