"""A look at the accounts of a gateway's limits, which debits nothing."""

from secrets import token_hex
from typing import Any

from msgspec.structs import replace

from polyvox.limits.gate import Limit
from polyvox.model import Call
from polyvox.usage import Usage


async def standing(gateway: Any, *limits: Limit) -> list[tuple[float, float]]:
    """What is used of these limits, and the reserved part of that."""
    holds = [limit.hold(Usage(), Call()) for limit in limits]
    more_than_fits = [replace(hold, amount=hold.limit + 1, soft=False) for hold in holds]
    found = await gateway.asking.gates.store.reserve(token_hex(8), more_than_fits)
    return [(each.used, each.held) for each in found]
