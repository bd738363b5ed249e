"""Bills: what providers of OpenAI's formats say in ``usage`` that an answer cost.

Sources: "Usage Accounting" in OpenRouter's documentation, ``cost_in_usd_ticks`` in xAI's API
reference, ``usage.cost`` in Perplexity's. A bill is taken as it stands, from its decimal text,
without a float in between.
"""

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from polyvox.usage import NANOS_PER_DOLLAR, UNKNOWN_COST, Cost

__all__ = ["Bill", "read_cost"]

_TICKS_PER_NANO = 10  # xAI: 10,000,000,000 ticks to the dollar


class CostParts(msgspec.Struct, gc=False):
    """Perplexity's ``usage.cost``, OpenRouter's ``usage.cost_details``; in US dollars."""

    total_cost: Decimal | None = None
    upstream_inference_cost: Decimal | None = None


class Bill(msgspec.Struct, gc=False):
    """The fields of ``usage`` that tell of money."""

    cost: Decimal | CostParts | None = None  # OpenRouter: US dollars; Perplexity: an object
    cost_details: CostParts | None = None  # OpenRouter
    is_byok: bool | None = None  # OpenRouter: the upstream provider bills apart, to the user's key
    cost_in_usd_ticks: int | None = None  # xAI: 10,000,000,000 to the dollar


def read_cost(bill: Bill) -> Cost:
    """The cost that a bill tells; unknown when it tells none."""
    if bill.cost_in_usd_ticks is not None:
        return _billed(bill.cost_in_usd_ticks // _TICKS_PER_NANO)
    if bill.cost is None:
        return UNKNOWN_COST
    dollars = bill.cost if isinstance(bill.cost, Decimal) else bill.cost.total_cost
    if dollars is None or not dollars.is_finite():
        return UNKNOWN_COST
    if bill.is_byok:
        upstream = bill.cost_details and bill.cost_details.upstream_inference_cost
        if upstream is None or not upstream.is_finite():
            return UNKNOWN_COST
        dollars += upstream
    return _billed(int((dollars * NANOS_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN)))


def _billed(nanos: int) -> Cost:
    if nanos < 0:
        return UNKNOWN_COST  # no bill: it would take something off from what others cost
    return (
        Cost("known", nanos=nanos, source="provider") if nanos else Cost("free", source="provider")
    )
