"""A whole answer is let in and charged as a streamed one is."""

import asyncio

import pytest

from polyvox.errors import BudgetExceededError, RateLimitError, ServerError
from polyvox.limits import Budget, Budgeted, Hold, LimitStore, MemoryLimits, RateLimit, RateLimited
from polyvox.limits.meters import Calendar
from polyvox.model import Call
from polyvox.whole import whole

from .rig import HI, Priced, dollars, soon

BUDGET = Budget(100, name="till")


async def used(store: LimitStore) -> tuple[float, float]:
    (standing,) = await store.reserve("look", [Hold("budget:till:total", Calendar("total"), -1, 1)])
    return standing.used, standing.held


async def test_it_is_charged_what_its_attempts_cost(store: LimitStore):
    model = Budgeted(Priced(dollars(9), dollars(1), dollars(2)), BUDGET, store=store)
    call = Call()
    message = await whole(model, HI, call)
    assert message.text == "Hello."
    assert len(call.attempts) == 2
    assert await used(store) == (dollars(3).cost.nanos, 0)


async def test_one_that_fails_is_charged_and_raises_what_the_model_said(store: LimitStore):
    failing = Priced(dollars(9), dollars(2), error=ServerError("it broke", status=500))
    with pytest.raises(ServerError, match="it broke"):
        await whole(Budgeted(failing, BUDGET, store=store), HI, Call())
    assert await used(store) == (dollars(2).cost.nanos, 0)


async def test_one_that_is_cancelled_is_charged_what_its_attempt_cost():
    store, gate = MemoryLimits(), asyncio.Event()
    asked = Priced(dollars(9), dollars(2), gate=gate)
    task = asyncio.create_task(whole(Budgeted(asked, BUDGET, store=store), HI, Call()))
    await soon(asked.waiting.wait())
    assert await used(store) == (dollars(9).cost.nanos, dollars(9).cost.nanos)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await soon(task)
    assert await used(store) == (dollars(2).cost.nanos, 0)


@pytest.mark.parametrize(
    ("limited", "kind"),
    [
        (lambda model: Budgeted(model, Budget(1)), BudgetExceededError),
        (lambda model: RateLimited(model, RateLimit(requests=1)), RateLimitError),
    ],
    ids=["budget", "rate"],
)
async def test_one_without_room_is_not_asked_and_its_error_has_a_message(limited, kind):
    asked = Priced(dollars(1))
    model = limited(asked)
    await whole(model, HI, Call())
    with pytest.raises(kind) as caught:
        await whole(model, HI, Call())
    assert asked.asked == 1
    message = caught.value.message
    assert message is not None
    assert (message.content, message.stop_reason) == ([], "error")


async def test_the_cheaper_model_is_asked_when_the_budget_says_so():
    cheap = Priced(dollars(1), name="test/cheap")
    budget = Budget(5, policy="downgrade", downgrade=cheap)
    message = await whole(Budgeted(Priced(dollars(9)), budget), HI, Call())
    assert (message.model, cheap.asked) == ("cheap", 1)
