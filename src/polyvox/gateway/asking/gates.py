"""The budgets and limits of a caller, from the organisation down to the end user, at one gate.

All are reserved together or none is, before anybody is asked; and all are settled together, however
the call ends. In shadow mode they count, and let everything pass.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from polyvox.attempt import Attempt
from polyvox.errors import PolyvoxError
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import LimitStore
from polyvox.limits.budget import BudgetLimit
from polyvox.limits.gate import Admission, Gate, Limit
from polyvox.limits.rate_limit import limits_of, no_room
from polyvox.limits.store import Hold, Standing
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = ["AccessGate", "Gates"]

_MOST_GATES = 10_000


class AccessGate:
    """The limits of one access."""

    def __init__(
        self, store: LimitStore, levels: Sequence[Level], on_shadow: Callable[[str], None]
    ) -> None:
        self._on_shadow = on_shadow
        self._limits: list[Limit] = []
        self._budgets: list[tuple[int, BudgetLimit]] = []
        for level in levels:
            for budget in level.budgets:
                limit = BudgetLimit(budget, level.told(budget.name))
                self._budgets.append((len(self._limits), limit))
                self._limits.append(_Shadow(limit) if level.shadow else limit)
            for rate in level.rates:
                self._limits += [
                    _Shadow(each) if level.shadow else each for each in limits_of(rate, level.title)
                ]
        self._gate = Gate(store, self._limits)

    async def enter(self, model: Model, request: Request, quote: Usage, call: Call) -> Admission:
        """Reserve. Raises ``BudgetExceededError``, ``RateLimitError``, or that the store is away."""
        if quote.cost.status == "unknown":
            self._check_price(model, request, quote)
        admission = await self._gate.enter(model, quote, call)
        if admission.over:
            self._look_at(admission, request, quote)
        return admission

    def _check_price(self, model: Model, request: Request, quote: Usage) -> None:
        for place, budget in self._budgets:
            if budget.denies(quote) and not self._is_soft(place):
                raise budget.unpriced(model, request)

    def _look_at(self, admission: Admission, request: Request, quote: Usage) -> None:
        for standing in admission.over:
            if not self._is_soft(standing.place):
                raise self._refusal(standing, request, quote)
        for standing in admission.over:
            self._on_shadow(self._limits[standing.place].name)

    def _is_soft(self, place: int) -> bool:
        limit = self._limits[place]
        return isinstance(limit, _Shadow) or (isinstance(limit, BudgetLimit) and limit.soft)

    def _refusal(self, standing: Standing, request: Request, quote: Usage) -> PolyvoxError:
        limit = self._limits[standing.place]
        if isinstance(limit, BudgetLimit):
            return limit.exceeded(standing, request, quote)
        return no_room(limit, standing.wait or 0.0)


class Gates:
    """A gate for each access and end user, made when it is first needed."""

    def __init__(
        self, store: LimitStore, on_shadow: Callable[[str], None] = lambda name: None
    ) -> None:
        self.store = store
        self._on_shadow = on_shadow
        self._made: OrderedDict[
            tuple[str, str, str], tuple[Access, Level | None, AccessGate | None]
        ] = OrderedDict()

    def of(
        self, access: Access, end_user: str = "", more: Level | None = None
    ) -> AccessGate | None:
        """The gate of these rights, as they stand; None where nothing is limited.

        ``more`` is a level beside those of the access: a context's.
        """
        user = access.end_user(end_user)
        if not access.levels and user is None and more is None:
            return None
        key = (access.key, end_user, more.name if more else "")
        known = self._made.get(key)
        if known is not None and known[0] is access and known[1] == more:
            return known[2]
        levels = [*access.levels, *(level for level in (user, more) if level is not None)]
        limited = any(level.budgets or level.rates for level in levels)
        gate = AccessGate(self.store, levels, self._on_shadow) if limited else None
        self._made[key] = (access, more, gate)
        if len(self._made) > _MOST_GATES:
            self._made.popitem(last=False)
        return gate


class _Shadow:
    """A limit that counts, and stops nobody."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self.name, self.told = limit.name, limit.told

    def hold(self, quote: Usage, call: Call) -> Hold:
        return replace(self._limit.hold(quote, call), soft=True)

    def actual(self, attempts: Sequence[Attempt], reserved: float) -> float:
        return self._limit.actual(attempts, reserved)
