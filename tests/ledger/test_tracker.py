"""Costs added up: each attempt once, however it ended, exactly, and within bounds."""

import threading

import pytest

from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError, RateLimitError
from polyvox.ledger import CostTracker, Tracked
from polyvox.messages import AssistantMessage, Text
from polyvox.model import Call
from polyvox.quote import quote_of
from polyvox.testing import check_grammar
from polyvox.usage import FREE, ZERO_USAGE, Cost, Usage

from .rig import HI, PRICED, UNPRICED, Leaf, ask


def attempt(name: str = "test/leaf", usage: Usage = PRICED) -> Attempt:
    provider, _, model = name.partition("/")
    return Attempt(provider=provider, model=model, started=0.0, seconds=0.0, usage=usage)


async def test_a_call_is_added_up_and_passed_on_as_it_is():
    tracker = CostTracker()
    bare = await ask(Leaf())
    events = await ask(Tracked(Leaf(), tracker))
    check_grammar(events)
    assert events == bare
    assert tracker.running_cost == Cost("known", 1_500)
    assert str(tracker.running_cost) == "$0.0000015"
    assert (tracker.calls, tracker.token_usage.total_tokens) == (1, 15)


async def test_a_new_tracker_has_spent_nothing():
    tracker = CostTracker()
    assert (tracker.running_cost, tracker.token_usage, tracker.calls) == (FREE, ZERO_USAGE, 0)
    assert tracker.by_model() == tracker.by_session() == tracker.by_tag("x") == {}


async def test_sums_stay_exact_where_floats_would_not():
    tracker = CostTracker()
    third = Usage(1, 1, cost=Cost("known", 333_333_333_333_333_333))
    for _ in range(3):
        tracker.add_attempts([attempt(usage=third)])
    assert tracker.running_cost.nanos == 999_999_999_999_999_999


@pytest.mark.parametrize("leave_after", [1, 2, 3, 4])
async def test_a_stream_that_is_left_counts_once(leave_after: int):
    tracker = CostTracker()
    await ask(Tracked(Leaf(), tracker), leave_after=leave_after)
    assert (tracker.calls, tracker.running_cost.nanos) == (1, 1_500)
    assert tracker.total.failures == (leave_after < 5)


async def test_every_attempt_of_a_call_counts_and_failures_are_told():
    tracker = CostTracker()
    await ask(Tracked(Leaf(RateLimitError("slow"), RateLimitError("slow"), "Hello."), tracker))
    await ask(Tracked(Leaf(RateLimitError("slow")), tracker))
    total = tracker.total
    assert (total.calls, total.attempts, total.failures) == (2, 4, 3)
    assert tracker.running_cost.nanos == 4 * 1_500


async def test_an_unknown_price_is_never_zero():
    tracker = CostTracker()
    await ask(Tracked(Leaf(), tracker))
    await ask(Tracked(Leaf(usage=UNPRICED, name="test/new"), tracker))
    assert tracker.running_cost == Cost("unknown", 1_500)
    assert str(tracker.running_cost) == "unknown (at least $0.0000015)"
    assert tracker.total.unpriced == 1
    assert tracker.by_model()["test/leaf"].cost == Cost("known", 1_500)
    assert tracker.by_model()["test/new"].cost.status == "unknown"


async def test_sums_by_model_session_and_tag():
    tracker = CostTracker()
    for session, feature in (("a", "search"), ("a", "mail"), ("b", "search")):
        call = Call(session=session, tags={"feature": feature, "team": "x"})
        await ask(Tracked(Leaf(), tracker), call=call)
    await ask(Tracked(Leaf(name="test/other"), tracker))
    models = {name: tally.calls for name, tally in tracker.by_model().items()}
    sessions = {name: tally.cost.nanos for name, tally in tracker.by_session().items()}
    features = {name: tally.attempts for name, tally in tracker.by_tag("feature").items()}
    assert models == {"test/leaf": 3, "test/other": 1}
    assert sessions == {"a": 3_000, "b": 1_500}
    assert features == {"search": 2, "mail": 1}
    assert list(tracker.by_tag("team")) == ["x"]
    assert tracker.by_tag("nothing") == {}


def test_a_call_that_asks_one_model_twice_is_one_call_of_it():
    tracker = CostTracker()
    tracker.add_attempts([attempt(), attempt(), attempt("test/other")])
    tallies = tracker.by_model()
    assert (tallies["test/leaf"].calls, tallies["test/leaf"].attempts) == (1, 2)
    assert tallies["test/other"].calls == 1


def test_what_is_given_is_a_copy():
    tracker = CostTracker()
    tracker.add_attempts([attempt()])
    seen = tracker.by_model()["test/leaf"]
    tracker.add_attempts([attempt()])
    assert seen.calls == 1


def test_groups_are_bounded_and_what_is_forgotten_is_told():
    tracker = CostTracker(max_groups=3)
    for number in range(10):
        tags = {"user": f"u{number}"}
        tracker.add_attempts([attempt(f"test/{number}")], session=f"s{number}", tags=tags)
        tracker.add_attempts([attempt("test/always")], session="always")
    assert set(tracker.by_model()) == {"test/8", "test/9", "test/always"}
    assert set(tracker.by_session()) == {"s8", "s9", "always"}
    assert set(tracker.by_tag("user")) == {"u7", "u8", "u9"}
    assert tracker.forgotten == {"models": 8, "tenants": 0, "sessions": 8, "tags": 7}
    assert (tracker.calls, tracker.running_cost.nanos) == (20, 20 * 1_500)
    assert tracker.by_session()["always"].calls == 10


def test_a_bound_below_one_is_refused():
    with pytest.raises(ConfigurationError, match="max_groups is 0"):
        CostTracker(max_groups=0)


def test_reset_begins_anew():
    tracker = CostTracker(max_groups=1)
    tracker.add_attempts([attempt()], session="a")
    tracker.add_attempts([attempt()], session="b")
    tracker.reset()
    assert (tracker.calls, tracker.running_cost, tracker.by_session()) == (0, FREE, {})
    assert tracker.forgotten["sessions"] == 0


def test_sums_are_told_by_tenant():
    tracker = CostTracker(max_groups=2)
    tracker.add_attempts([attempt(usage=PRICED), attempt(usage=PRICED)], tenant="ada")
    tracker.add(AssistantMessage([], provider="openai", model="m", usage=PRICED), tenant="bob")
    tracker.add_attempts([attempt(usage=PRICED)])
    tallies = tracker.by_tenant()
    assert {name: tally.calls for name, tally in tallies.items()} == {"ada": 1, "bob": 1}
    assert tallies["ada"].cost == PRICED.cost + PRICED.cost
    tracker.add_attempts([attempt()], tenant="eve")
    assert tracker.forgotten["tenants"] == 1
    assert tracker.calls == 4


async def test_tracked_calls_count_for_their_tenant():
    tracker = CostTracker()
    await ask(Tracked(Leaf(), tracker), call=Call(tenant="ada"))
    assert tracker.by_tenant()["ada"].calls == 1


def test_an_answer_is_added_by_hand():
    tracker = CostTracker()
    message = AssistantMessage([Text("Hi.")], provider="openai", model="m", usage=PRICED)
    cut = AssistantMessage([], "aborted", provider="openai", model="m", usage=PRICED)
    assert tracker.add(message, session="s", tags={"k": "v"}) == PRICED.cost
    tracker.add(cut)
    assert tracker.by_model()["openai/m"].failures == 1
    assert (tracker.calls, tracker.by_session()["s"].calls, tracker.by_tag("k")["v"].calls) == (
        2,
        1,
        1,
    )
    assert repr(tracker) == "CostTracker(2 calls: $0.000003)"


def test_many_threads_lose_nothing():
    tracker = CostTracker()
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(500):
            tracker.add_attempts([attempt()], session="s")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tracker.calls, tracker.running_cost.nanos) == (4_000, 4_000 * 1_500)
    assert tracker.by_session()["s"].usage == tracker.token_usage


def test_the_wrapper_has_the_models_name_and_quote():
    tracked = Tracked(Leaf(), CostTracker())
    assert (tracked.name, quote_of(tracked, HI)) == ("test/leaf", PRICED)


def test_a_call_counts_for_the_tags_it_had():
    tracker, tags = CostTracker(), {"user": "ann"}
    tracker.add_attempts([attempt()], tags=tags)
    tags["user"] = "bob"
    assert set(tracker.by_tag("user")) == {"ann"}


def test_tags_that_name_nothing_are_told_to_who_gave_them():
    tracker = CostTracker()
    with pytest.raises(TypeError, match="unhashable"):
        tracker.add_attempts([attempt()], tags={"users": ["ann"]})  # pyright: ignore[reportArgumentType]
    tracker.add_attempts([attempt()])
    assert tracker.calls == 1
