"""What the catalog knows about a model: its names, its limits and its prices.

A price is an integer: nano-dollars per million tokens, so one dollar per million tokens is
1,000,000,000. Costs are computed in integers from it and rounded once, at the end.
"""

import re
from datetime import date, time
from typing import Literal, TypeAlias

import msgspec


class Tiered(msgspec.Struct, frozen=True, array_like=True):
    """A price that depends on how long the whole input is.

    ``tiers`` are pairs of a number of input tokens and the price for a request with *more* input
    than that, in rising order. The last tier reached holds for all tokens of the request.

    >>> long_context = Tiered(3_000_000_000, ((200_000, 6_000_000_000),))
    """

    base: int
    tiers: tuple[tuple[int, int], ...]


Price: TypeAlias = int | Tiered
"""Nano-dollars per million tokens."""


class PriceSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The prices of a model that hold together, and when they hold.

    Each price is for a million tokens of its part; None is "not known", 0 is "free". ``request`` is
    a fee per million requests. ``other`` has what a ``Usage`` does not count (images, searches,
    hours of sound) under the name that genai-prices has for it, which also says the quantity:
    ``_mtok`` a million tokens, ``_kcount`` a thousand, ``_hours`` an hour.

    ``since`` is the first day (UTC) and ``hours`` the daily span (UTC, the end excluded, possibly
    over midnight) in which the set holds; ``terms`` are the conditions the request was served on,
    such as ``{"processing": "batch"}`` or ``{"service_tier": "flex"}``.
    """

    since: date | None = None
    hours: tuple[time, time] | None = None
    terms: dict[str, str] = {}
    input: Price | None = None
    cache_read: Price | None = None
    cache_write: Price | None = None
    cache_write_1h: Price | None = None
    output: Price | None = None
    reasoning: Price | None = None
    input_audio: Price | None = None
    cache_read_audio: Price | None = None
    output_audio: Price | None = None
    request: Price | None = None
    other: dict[str, Price] = {}


PARTS = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "output",
    "reasoning",
    "input_audio",
    "cache_read_audio",
    "output_audio",
    "request",
)
"""The fields of a ``PriceSet`` that are prices of something a ``Usage`` counts."""


class Pattern(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a model's name looks like, in lower case; every condition that is given must hold."""

    starts: str = ""
    ends: str = ""
    contains: str = ""
    regex: str = ""

    def matches(self, name: str) -> bool:
        """Whether ``name``, in lower case, is of this kind."""
        return (
            name.startswith(self.starts)
            and name.endswith(self.ends)
            and self.contains in name
            and (not self.regex or re.search(self.regex, name) is not None)
        )


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One model at one provider.

    ``match`` says which names mean this model beside its id: strings in lower case for exact names,
    patterns for families. ``prices`` are in order: the last set that holds is the one that counts,
    and the first if none does. ``variants`` replace single prices for requests on special terms; of
    several that hold, the first that names a price wins. Limits are in tokens, None if not known.
    """

    id: str
    provider: str = ""
    name: str = ""
    match: tuple[str | Pattern, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    deprecated: bool = False
    prices: tuple[PriceSet, ...] = ()
    variants: tuple[PriceSet, ...] = ()
    source: Literal["catalog", "override"] = "catalog"

    @property
    def full_name(self) -> str:
        """``provider/id``, by the catalog's provider name."""
        return f"{self.provider}/{self.id}"

    @property
    def aliases(self) -> tuple[str, ...]:
        """The exact names, beside the id, that mean this model."""
        return tuple(entry for entry in self.match if isinstance(entry, str))
