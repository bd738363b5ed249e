"""Amounts of money as people write them."""

from decimal import Decimal, InvalidOperation

from polyvox.errors import ConfigurationError
from polyvox.usage import NANOS_PER_DOLLAR, Cost

__all__ = ["nanos_of", "shown"]

MOST_DOLLARS = 9_000_000
"""So that nano-dollars stay exact in every store: Redis counts in floating point, up to 2**53."""


def nanos_of(dollars: str | float | Decimal, field: str) -> int:
    """An amount of US dollars in nano-dollars: "$10", "0.25", 10, 2.5 or a ``Decimal``.

    Raises ``ConfigurationError``, which names the ``field``, for what is no amount, or too large.

    >>> nanos_of("$1,000.50", "limit")
    1000500000000
    """
    text = dollars.strip().removeprefix("$") if isinstance(dollars, str) else str(dollars)
    try:
        amount = Decimal(text.replace(",", ""))
        if not isinstance(dollars, bool) and 0 <= amount <= MOST_DOLLARS:
            return int((amount * NANOS_PER_DOLLAR).to_integral_value())
    except InvalidOperation:
        pass
    raise ConfigurationError(
        f"{field} is {dollars!r}, which is no amount of money",
        hint=f'Give US dollars: "$10", "0.25", 10 or Decimal("2.5"), {MOST_DOLLARS:,} at most.',
    )


def shown(nanos: float) -> str:
    """The amount for a person.

    >>> shown(12_500_000)
    '$0.0125'
    """
    return str(Cost("known", nanos=round(nanos)))
