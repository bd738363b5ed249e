"""What an answer used and what it cost.

Usage is inclusive: ``input_tokens`` counts all input and ``output_tokens`` all output; cache reads,
cache writes, reasoning and audio are parts of them. Dialects convert; nobody else thinks about it.

Money is an integer number of nano-dollars (1 US dollar = 1,000,000,000). A price is known, free or
unknown: unknown is never silently zero.
"""

from typing import Literal, TypeAlias, TypeVar

import msgspec

NANOS_PER_DOLLAR = 1_000_000_000

_T = TypeVar("_T")

PriceStatus: TypeAlias = Literal["known", "free", "unknown"]
PriceSource: TypeAlias = Literal["", "catalog", "provider", "override"]
Basis: TypeAlias = Literal["reported", "partial", "estimated", "missing"]


class Cost(msgspec.Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True, gc=False):
    """The price of an answer in nano-dollars, with its parts.

    ``nanos`` is the total. With status "unknown" it is the part that is known, a lower bound.
    ``source`` says who priced it: the catalog, the provider's own bill, or the user's override.

    >>> str(Cost("known", nanos=1_234_500))
    '$0.0012345'
    """

    status: PriceStatus
    nanos: int = 0
    input_nanos: int = 0
    cache_read_nanos: int = 0
    cache_write_nanos: int = 0
    output_nanos: int = 0
    source: PriceSource = ""

    @property
    def dollars(self) -> float:
        """The total in US dollars, for showing; count in ``nanos``."""
        return self.nanos / NANOS_PER_DOLLAR

    def __str__(self) -> str:
        if self.status == "free":
            return "free"
        whole, rest = divmod(self.nanos, NANOS_PER_DOLLAR)
        amount = f"${whole}.{f'{rest:09d}'.rstrip('0').ljust(2, '0')}"
        if self.status == "known":
            return amount
        return f"unknown (at least {amount})" if self.nanos else "unknown"

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.status
            if self.status == other.status
            else _worse(self.status, other.status, _STATUS_ORDER),
            self.nanos + other.nanos,
            self.input_nanos + other.input_nanos,
            self.cache_read_nanos + other.cache_read_nanos,
            self.cache_write_nanos + other.cache_write_nanos,
            self.output_nanos + other.output_nanos,
            self.source if self.source == other.source else "",
        )


FREE = Cost("free")
UNKNOWN_COST = Cost("unknown")


def exact_dollars(cost: Cost) -> str | None:
    """The total in US dollars as a decimal number, to the nano-dollar; None if it is not known.

    >>> exact_dollars(Cost("known", nanos=1_234_500)), exact_dollars(FREE)
    ('0.0012345', '0.00')
    """
    if cost.status == "unknown":
        return None
    return str(Cost("known", cost.nanos)).removeprefix("$")


class Usage(msgspec.Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True, gc=False):
    """Tokens of one answer, and their cost.

    ``basis``: "reported" by the provider for the whole answer; "partial", reported before the
    answer was cut short, so a lower bound; "estimated" from the text; "missing", nobody said.

    ``cache_write_1h_tokens`` is the part of ``cache_write_tokens`` written to the long-lived cache.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    basis: Basis = "reported"
    cost: Cost = UNKNOWN_COST

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __radd__(self, other: int) -> "Usage":
        """So that ``sum(usages)`` works, which begins with 0; ``ZERO_USAGE`` is the better start."""
        return self if other == 0 else NotImplemented

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.input_audio_tokens + other.input_audio_tokens,
            self.output_audio_tokens + other.output_audio_tokens,
            self.basis
            if self.basis == other.basis
            else _worse(self.basis, other.basis, _BASIS_ORDER),
            self.cost + other.cost,
        )


NO_USAGE = Usage(basis="missing")
"""Nobody said what was used."""

ZERO_USAGE = Usage(cost=FREE)
"""Nothing was used: where a sum begins."""

_STATUS_ORDER: tuple[PriceStatus, ...] = ("free", "known", "unknown")
_BASIS_ORDER: tuple[Basis, ...] = ("reported", "estimated", "partial", "missing")


def _worse(one: _T, other: _T, order: tuple[_T, ...]) -> _T:
    return max(one, other, key=order.index)
