"""Budgets: what fits is asked, what doesn't meets the policy, and what it cost is charged."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from polyvox.errors import BudgetExceededError, ConfigurationError, UnknownPriceError
from polyvox.events import Done, Failed, Start, Warned
from polyvox.limits import Budget, Budgeted, LimitStore, MemoryLimits
from polyvox.model import Call
from polyvox.providers.simulated import simulated_model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.routing import Retrying, Router
from polyvox.testing import check_grammar
from polyvox.usage import UNKNOWN_COST, Cost, Usage

from .rig import DOLLAR, HI, Clock, Priced, ask, dollars, listen

UNPRICED = Usage(600_000, 400_000, cost=UNKNOWN_COST)


async def test_calls_are_made_while_the_most_they_may_cost_fits(store: LimitStore):
    inner = Priced(dollars(1))
    model = Budgeted(inner, Budget("$2.50"), store=store)
    await ask(model)
    await ask(model)
    with pytest.raises(BudgetExceededError):
        await ask(model)
    assert inner.asked == 2


async def test_what_a_call_did_not_cost_comes_back(store: LimitStore):
    model = Budgeted(Priced(dollars(1), dollars(0.25)), Budget("$2"), store=store)
    for _ in range(5):
        await ask(model)
    with pytest.raises(BudgetExceededError, match=r"\$1\.25 spent, \$0\.00 reserved"):
        await ask(model)


async def test_the_error_says_which_budget_what_is_spent_and_when_it_resets():
    now = datetime(2026, 3, 29, 20, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    budget = Budget("$1.50", per="day", time_zone="Europe/Berlin", name="team")
    inner = Priced(dollars(1), dollars(0.75))
    model = Budgeted(inner, budget, store=MemoryLimits(clock=Clock(now)))
    await ask(model)
    with pytest.raises(BudgetExceededError) as caught:
        await ask(model)
    assert caught.value.text == (
        "the budget 'team' allows $1.50 per day: $0.75 spent, $0.00 reserved, and this call may"
        " cost $1.00"
    )
    assert caught.value.retry_after == 4 * 3600
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("It resets at 20")
    assert "max_tokens" in caught.value.hint
    assert caught.value.retryable is False
    assert caught.value.message is not None


async def test_what_others_have_reserved_is_told_apart_from_what_is_spent():
    model = Budgeted(Priced(dollars(1)), Budget("$2.50"))
    await ask(model)
    open_call = model.stream(HI, Call())
    await anext(open_call)
    with pytest.raises(BudgetExceededError, match=r"\$1\.00 spent, \$1\.00 reserved"):
        await ask(model)
    await open_call.aclose()


async def test_a_budget_in_total_says_that_it_does_not_reset():
    with pytest.raises(BudgetExceededError, match="does not reset by itself") as caught:
        await ask(Budgeted(Priced(dollars(1)), Budget(0.5)))
    assert caught.value.retry_after is None


async def test_a_budget_of_a_day_is_whole_again_the_next_day():
    clock = Clock()
    model = Budgeted(Priced(dollars(1)), Budget(1, per="day"), store=MemoryLimits(clock=clock))
    for _ in range(3):
        await ask(model)
        with pytest.raises(BudgetExceededError) as caught:
            await ask(model)
        assert caught.value.retry_after is not None
        clock.now += caught.value.retry_after


@pytest.mark.parametrize(
    ("scope", "calls"),
    [
        ("tenant", [Call(tenant="a"), Call(tenant="b"), Call()]),
        ("session", [Call(session="a"), Call(session="b"), Call()]),
        ("tag:team", [Call(tags={"team": "a"}), Call(tags={"team": "b"}), Call()]),
    ],
)
async def test_each_subject_has_a_budget_of_its_own_from_its_first_call(
    store: LimitStore, scope: str, calls: list[Call]
):
    inner = Priced(dollars(1))
    model = Budgeted(inner, Budget("$1", scope=scope), store=store)
    for call in calls:
        await ask(model, call)
        with pytest.raises(BudgetExceededError):
            await ask(model, call)
    with pytest.raises(BudgetExceededError):
        await ask(Budgeted(Priced(dollars(1.01)), Budget("$1", scope=scope)), Call(tenant="new"))
    assert inner.asked == len(calls)


async def test_all_budgets_must_have_room_and_none_is_charged_for_a_refusal(store: LimitStore):
    budgets = Budget("$1", name="small", scope="tenant"), Budget("$3", name="large")
    model = Budgeted(Priced(dollars(1)), *budgets, store=store)
    await ask(model, Call(tenant="a"))
    for _ in range(5):
        with pytest.raises(BudgetExceededError, match="'small'"):
            await ask(model, Call(tenant="a"))
    await ask(model, Call(tenant="b"))
    await ask(model, Call(tenant="c"))
    with pytest.raises(BudgetExceededError, match="'large'"):
        await ask(model, Call(tenant="d"))


async def test_models_with_the_same_store_share_budgets_of_the_same_name(store: LimitStore):
    one, other = (
        Budgeted(Priced(dollars(1), name=name), Budget("$1", name="shared"), store=store)
        for name in ("test/one", "test/other")
    )
    await ask(one)
    with pytest.raises(BudgetExceededError):
        await ask(other)


async def test_an_overrun_blocks_the_next_call_and_goes_on_into_the_next_window():
    clock = Clock()
    store = MemoryLimits(clock=clock)
    model = Budgeted(Priced(dollars(1), dollars(2.5)), Budget("$1", per="hour"), store=store)
    await ask(model)
    clock.now += 3600
    with pytest.raises(BudgetExceededError, match=r"\$1\.50 spent"):
        await ask(model)
    clock.now += 7200
    await ask(model)


async def test_a_free_model_is_asked_when_the_money_is_gone():
    model = Budgeted(simulated_model("echo"), Budget(0))
    assert (await ask(model)).text == "Hi."


async def test_warn_asks_all_the_same_and_says_so_after_the_start(store: LimitStore):
    model = Budgeted(Priced(dollars(1)), Budget("$0.50", policy="warn"), store=store)
    events = await listen(model)
    check_grammar(events)
    assert [type(event) for event in events[:2]] == [Start, Warned]
    assert events[1].field == "budget"
    assert "allows $0.50" in events[1].text
    assert isinstance(events[-1], Done)
    assert "$1.00 spent" in (await listen(model))[1].text


async def test_downgrade_asks_the_cheaper_model_once_the_dearer_one_does_not_fit(
    store: LimitStore,
):
    cheap, dear = Priced(dollars(0.25), name="test/cheap"), Priced(dollars(1), name="test/dear")
    budget = Budget("$1.60", policy="downgrade", downgrade=cheap)
    model = Budgeted(dear, budget, store=store)
    assert (await ask(model)).model == "dear"
    for _ in range(2):
        events = await listen(model)
        check_grammar(events)
        assert isinstance(events[1], Warned)
        assert events[1].text.startswith("test/cheap is asked and not test/dear: the budget")
        assert events[-1].message.model == "cheap"
    with pytest.raises(BudgetExceededError, match=r"\$1\.50 spent"):
        await ask(model)


async def test_each_of_two_budgets_may_name_its_own_cheaper_model():
    models = [Priced(dollars(cost), name=f"test/{cost}") for cost in (4, 2, 1)]
    budgets = [
        Budget("$3", name="a", policy="downgrade", downgrade=models[1]),
        Budget("$1", name="b", policy="downgrade", downgrade=models[2]),
    ]
    assert (await ask(Budgeted(models[0], *budgets))).model == "1"


async def test_a_model_of_unknown_price_is_denied_where_money_is_capped(store: LimitStore):
    inner = Priced(UNPRICED)
    with pytest.raises(BudgetExceededError, match="nobody knows what test/priced costs"):
        await ask(Budgeted(inner, Budget(100), store=store))
    assert inner.asked == 0


async def test_of_a_router_the_error_names_those_whose_price_nobody_knows():
    names = ("lab/small", "lab/large")
    unpriced = [Priced(UNPRICED, name=name) for name in names]
    router = Router([Priced(dollars(1)), Retrying(unpriced[0]), unpriced[1]], name="chat")
    with pytest.raises(UnknownPriceError) as caught:
        await ask(Budgeted(router, Budget(100, name="day")))
    assert caught.value.text == (
        "nobody knows what lab/small and lab/large costs, which chat may ask, so that the budget"
        " 'day' can't be kept"
    )
    assert '[prices."lab/small"]' in (caught.value.hint or "")


async def test_a_model_with_fields_of_its_own_is_named_itself():
    odd = Priced(UNPRICED)
    odd.model, odd.models = "gpt", ["gpt"]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(UnknownPriceError, match="nobody knows what test/priced costs, so"):
        await ask(Budgeted(odd, Budget(100)))


async def test_without_max_tokens_the_error_says_how_long_an_answer_is_reserved_for():
    model = Budgeted(Priced(dollars(1, tokens=64_000)), Budget(0.5))
    with pytest.raises(BudgetExceededError) as caught:
        await ask(model)
    assert "names no max_tokens, so that 32,000 tokens of answer" in (caught.value.hint or "")
    with pytest.raises(BudgetExceededError) as caught:
        await ask(model, request=Request(messages=HI.messages, max_tokens=9))
    assert "asks for less (max_tokens)" in (caught.value.hint or "")


async def test_an_unknown_price_may_be_allowed_and_counts_what_is_known(store: LimitStore):
    part = Usage(10, 10, cost=Cost("unknown", DOLLAR))
    model = Budgeted(Priced(part), Budget(1.5, unknown_price="allow"), store=store)
    await ask(model)
    with pytest.raises(BudgetExceededError, match=r"\$1\.00 spent.*cost unknown \(at least"):
        await ask(model)


async def test_an_unknown_price_may_be_estimated_by_the_token(store: LimitStore):
    budget = Budget(5, unknown_price="estimate", per_million_tokens="$2")
    model = Budgeted(Priced(UNPRICED), budget, store=store)
    await ask(model)
    await ask(model)
    with pytest.raises(BudgetExceededError, match=r"\$4\.00 spent"):
        await ask(model)


async def test_a_cost_that_turns_out_unknown_is_charged_as_reserved():
    model = Budgeted(Priced(dollars(1), UNPRICED), Budget(1.5))
    await ask(model)
    with pytest.raises(BudgetExceededError, match=r"\$1\.00 spent"):
        await ask(model)


async def test_an_unknown_price_meets_the_policy_like_any_call_that_does_not_fit():
    cheap = Priced(dollars(1), name="test/known")
    down = Budget(1, policy="downgrade", downgrade=cheap)
    assert (await ask(Budgeted(Priced(UNPRICED), down))).model == "known"
    events = await listen(Budgeted(Priced(UNPRICED), Budget(1, policy="warn")))
    assert "nobody knows" in events[1].text


async def test_a_refusal_is_the_only_event():
    events = await listen(Budgeted(Priced(dollars(1)), Budget(0.5)))
    check_grammar(events)
    assert [type(event) for event in events] == [Failed]


def test_a_budgeted_model_has_the_name_and_the_quote_of_the_one_inside():
    model = Budgeted(Priced(dollars(1)), Budget(2))
    assert model.name == "test/priced"
    assert quote_of(model, HI) == dollars(1)


@pytest.mark.parametrize("limit", ["$10", "10", "10.00", " $10 ", 10, 10.0, Decimal(10)])
async def test_money_may_be_written_in_many_ways(limit):
    model = Budgeted(Priced(dollars(10)), Budget(limit))
    await ask(model)
    with pytest.raises(BudgetExceededError, match=r"allows \$10\.00 in total"):
        await ask(model)


@pytest.mark.parametrize(
    "limit", ["ten", "", "-1", -1, float("nan"), "inf", True, "€5", 10_000_000]
)
def test_what_is_no_amount_of_money_is_refused(limit):
    with pytest.raises(ConfigurationError, match=r"limit is .* no amount of money"):
        Budget(limit)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"per": "year"}, "no per 'year'\nIt is one of total, hour"),
        ({"policy": "shout"}, "no policy 'shout'"),
        ({"unknown_price": "guess"}, "no unknown_price 'guess'"),
        ({"scope": "planet"}, "no scope 'planet'"),
        ({"scope": "tag:"}, "no scope 'tag:'"),
        ({"time_zone": "Mars"}, "no time zone 'Mars'"),
        ({"policy": "downgrade"}, "go together"),
        ({"downgrade": Priced(dollars(1))}, "go together"),
        ({"unknown_price": "estimate"}, "go together"),
        ({"per_million_tokens": 3}, "go together"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(arguments: dict, complaint: str):
    with pytest.raises(ConfigurationError, match=complaint):
        Budget("$1", **arguments)


def test_two_budgets_of_one_model_need_names_of_their_own():
    with pytest.raises(ConfigurationError, match="two limits of the name 'per day'"):
        Budgeted(Priced(dollars(1)), Budget(1, per="day"), Budget(2, per="day"))


def test_a_budgeted_model_without_a_budget_is_refused():
    with pytest.raises(ConfigurationError, match="has no budget"):
        Budgeted(Priced(dollars(1)))
