"""A call knows what the budgets around its models are debited for it, so that it can be written down."""

import asyncio
import time
from contextlib import aclosing

import pytest

from polyvox.errors import BudgetExceededError, OverloadedError
from polyvox.limits import Budget, Budgeted, RateLimit, RateLimited
from polyvox.limits.meters import Calendar, zone_named
from polyvox.model import Call
from polyvox.whole import whole

from .rig import DOLLAR, HI, Priced, ask, dollars, soon

RATE = RateLimit(requests=60, tokens=100_000)


def debited(call: Call) -> dict[str, float]:
    """In dollars, by account."""
    return {account: nanos / DOLLAR for (account, _), nanos in call.debits.items()}


@pytest.mark.parametrize("asked", [ask, lambda model, call: whole(model, HI, call)])
async def test_what_budgets_at_any_depth_are_debited_for_it(asked):
    cheap = Budgeted(Priced(dollars(3), dollars(1)), Budget(10, name="inner"))
    model = Budgeted(RateLimited(cheap, RATE), Budget(10, name="outer"))
    call = Call()
    await asked(model, call.child())
    assert debited(call) == {"budget:outer:total": 1, "budget:inner:total": 1}


async def test_while_it_is_under_way_what_is_reserved_and_afterwards_what_was_used():
    heard: list[int] = []
    gate = asyncio.Event()
    priced = Priced(dollars(3), dollars(5), gate=gate)
    model = Budgeted(priced, Budget(10, name="purse"))
    call = Call(on_debit=lambda more: heard.extend(more.values()))
    asking = asyncio.create_task(ask(model, call.child()))
    await soon(priced.waiting.wait())
    assert debited(call) == {"budget:purse:total": 3}
    gate.set()
    await soon(asking)
    assert debited(call) == {"budget:purse:total": 5}
    assert heard == [3 * DOLLAR, 2 * DOLLAR]


async def test_a_reader_who_leaves_is_debited_what_was_used_by_then():
    gate = asyncio.Event()
    priced = Priced(dollars(3), dollars(1), gate=gate)
    call = Call()
    async with aclosing(Budgeted(priced, Budget(10, name="p")).stream(HI, call)) as events:
        await anext(events)
    assert debited(call) == {"budget:p:total": 1}


async def test_several_models_within_one_budget_are_one_sum():
    budget, call = Budget(10, name="p"), Call()
    failing = Priced(dollars(2), dollars(1), error=OverloadedError("busy"))
    with pytest.raises(OverloadedError):
        await ask(Budgeted(failing, budget), call.child())
    await ask(Budgeted(Priced(dollars(2)), budget), call.child())
    assert debited(call) == {"budget:p:total": 3}


async def test_a_call_that_does_not_fit_is_debited_nothing():
    call = Call()
    with pytest.raises(BudgetExceededError):
        await ask(Budgeted(Priced(dollars(11)), Budget(10, name="p")), call)
    assert call.debits == {}


async def test_what_a_budget_only_warns_of_is_debited_all_the_same():
    call = Call()
    await ask(Budgeted(Priced(dollars(11)), Budget(10, name="p", policy="warn")), call)
    assert debited(call) == {"budget:p:total": 11}


async def test_it_says_in_which_window_that_counts():
    budget = Budget(10, per="week", time_zone="Europe/Berlin", name="p")
    week = Calendar("week", zone_named("Europe/Berlin"))
    before, call = week.mark(time.time()), Call()
    await ask(Budgeted(Priced(dollars(1)), budget), call)
    ((account, window),) = call.debits
    assert account == "budget:p:week"
    assert before <= window <= week.mark(time.time())


async def test_rates_drain_soon_and_are_not_told():
    call = Call()
    await ask(RateLimited(Priced(dollars(1)), RATE), call)
    assert call.debits == {}
