"""Budgets: so much money per window, for all calls or for each tenant, session or tag."""

import math
import time
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias, get_args

import msgspec

from polyvox.attempt import Attempt
from polyvox.errors import BudgetExceededError, ConfigurationError, UnknownPriceError
from polyvox.limits.gate import scope_of
from polyvox.limits.meters import Calendar, Per, zone_named
from polyvox.limits.money import nanos_of, shown
from polyvox.limits.store import Hold, Standing
from polyvox.model import Call, Model, checked_model
from polyvox.quote import unpriced_in
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = ["Budget", "BudgetLimit", "Policy", "UnknownPrice"]

Policy: TypeAlias = Literal["block", "warn", "downgrade"]
UnknownPrice: TypeAlias = Literal["deny", "allow", "estimate"]

_PRICE_HINT = (
    'Say its price: in a configuration under [prices."{}"], in a program with Catalog.load(...). Or say'
    " what the budget does: unknown_price='allow', or 'estimate' with per_million_tokens."
)


class Budget(msgspec.Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True):
    """So many US dollars, in all or per calendar window.

    A call counts in the window in which it was let in. What it cost beyond what was reserved is a
    debt, which goes on into the next window.

    ``limit``          "$10", "0.25", 10, 2.5 or a ``Decimal``, in US dollars
    ``per``            "total", or the window after which all of it is there again: "hour", "day",
                       "week" (from Monday), "month"
    ``time_zone``      whose hours, days, weeks and months these are
    ``scope``          "global", one account for all calls; or one for each "tenant", "session" or
                       "tag:<name>". Calls that don't say whose they are have one account together
    ``policy``         what becomes of a call that does not fit: "block" ends it with
                       ``BudgetExceededError``, "warn" makes it with a warning, "downgrade" asks
                       another model
    ``downgrade``      that other model; if it doesn't fit either, the call is blocked
    ``unknown_price``  what becomes of a call whose price nobody knows: "deny", it does not fit;
                       "allow" counts what is known; "estimate" counts ``per_million_tokens``
    ``per_million_tokens``  US dollars for a million tokens of which nobody knows the price
    ``name``           how it is called in errors and in the store. Budgets of the same name in one
                       store are the same budget

    Raises ``ConfigurationError`` for what makes no sense.
    """

    limit: str | float | Decimal
    per: Per = "total"
    time_zone: str = "UTC"
    scope: str = "global"
    policy: Policy = "block"
    downgrade: Model | None = None
    unknown_price: UnknownPrice = "deny"
    per_million_tokens: str | float | Decimal | None = None
    name: str = ""

    def __post_init__(self) -> None:
        nanos_of(self.limit, "limit")
        if self.downgrade is not None:
            checked_model(self.downgrade, "downgrade")
        zone_named(self.time_zone)
        scope_of(self.scope, self.name)
        for field, words in (("per", Per), ("policy", Policy), ("unknown_price", UnknownPrice)):
            _check_word(field, getattr(self, field), get_args(words))
        if (self.policy == "downgrade") != (self.downgrade is not None):
            raise ConfigurationError(
                "policy='downgrade' and downgrade=<the cheaper model> go together",
                hint="Give both or neither.",
            )
        if (self.unknown_price == "estimate") != (self.per_million_tokens is not None):
            raise ConfigurationError(
                "unknown_price='estimate' and per_million_tokens=<US dollars> go together",
                hint="Give both or neither.",
            )


class BudgetLimit:
    """A budget at the gate: what a call may cost at most, and what it did cost.

    ``told`` is what it is called in errors, if that is not its name.
    """

    def __init__(self, budget: Budget, told: str = "") -> None:
        self.budget = budget
        self.limit = nanos_of(budget.limit, "limit")
        self.calendar = Calendar(budget.per, zone_named(budget.time_zone))
        window = "in total" if budget.per == "total" else f"per {budget.per}"
        self.amount = f"{shown(self.limit)} {window}"
        self.name = budget.name or (
            window if budget.scope == "global" else f"{budget.scope} {window}"
        )
        self.told = told or self.name
        self.soft = budget.policy == "warn"
        self._key = scope_of(budget.scope, f"budget:{self.name}:{budget.per}")
        self._estimates = budget.unknown_price == "estimate"
        self._rate = nanos_of(budget.per_million_tokens or 0, "per_million_tokens")

    def hold(self, quote: Usage, call: Call) -> Hold:
        """The most that the call may cost."""
        nanos = quote.cost.nanos
        if self._estimates:
            nanos = self._nanos(quote)
        return Hold(self._key(call), self.calendar, self.limit, nanos, self.soft)

    def actual(self, attempts: Sequence[Attempt], reserved: float) -> float:
        """What the attempts have cost; where nobody knows, no less than was reserved."""
        spent, priced = 0, True
        for attempt in attempts:
            cost = attempt.usage.cost
            if cost.status == "unknown":
                priced = False
                spent += self._nanos(attempt.usage)
            else:
                spent += cost.nanos
        return spent if priced or self.budget.unknown_price != "deny" else max(spent, reserved)

    def denies(self, quote: Usage) -> bool:
        """Whether a call does not fit because nobody knows what it may cost."""
        return self.budget.unknown_price == "deny" and quote.cost.status == "unknown"

    def unpriced(self, model: Model, request: Request) -> UnknownPriceError:
        """The error of a call that the budget denies: it says of whom there is no price."""
        names = unpriced_in(model, request)
        asked = "" if names == [model.name] else f", which {model.name} may ask"
        return UnknownPriceError(
            f"nobody knows what {' and '.join(names)} costs{asked},"
            f" so that the budget {self.told!r} can't be kept",
            hint=_PRICE_HINT.format(names[0]),
        )

    def exceeded(self, standing: Standing, request: Request, quote: Usage) -> BudgetExceededError:
        """The error of a call that does not fit."""
        text = (
            f"the budget {self.told!r} allows {self.amount}: {shown(standing.used - standing.held)}"
            f" spent, {shown(standing.held)} reserved, and this call may cost {quote.cost}"
        )
        hint = f"{self._reset(standing)} {_less(request, quote)}"
        return BudgetExceededError(text, hint=hint, retry_after=standing.wait)

    def _reset(self, standing: Standing) -> str:
        if standing.wait is None:
            return "It does not reset by itself."
        end = datetime.fromtimestamp(math.floor(time.time()) + standing.wait, self.calendar.zone)
        return f"It resets at {end:%Y-%m-%d %H:%M} {self.budget.time_zone}."

    def _nanos(self, usage: Usage) -> int:
        cost = usage.cost
        if self._estimates and cost.status == "unknown":
            return max(cost.nanos, -(-usage.total_tokens * self._rate // 1_000_000))
        return cost.nanos


def _less(request: Request, quote: Usage) -> str:
    """How a call may fit all the same."""
    if request.max_tokens or not quote.output_tokens:
        return "A call that asks for less (max_tokens) may fit."
    return (
        f"The call names no max_tokens, so that {quote.output_tokens:,} tokens of answer are reserved:"
        " with fewer, said in the call or in a template, it may fit."
    )


def _check_word(field: str, word: Any, known: tuple[str, ...]) -> None:
    if word not in known:
        raise ConfigurationError(
            f"a budget has no {field} {word!r}", hint=f"It is one of {', '.join(known)}."
        )
