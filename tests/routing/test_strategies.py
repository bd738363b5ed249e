"""Who is asked first, by strategy and by priority; and that ten thousand are no more work than ten."""

import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack, aclosing, contextmanager
from random import Random
from types import FrameType
from typing import Any, get_args

import pytest

from polyvox.errors import RateLimitError, ServerError
from polyvox.events import Start, TextDelta, TextStart
from polyvox.model import Call
from polyvox.routing import Deployment, Pool, Router, Strategy
from polyvox.routing.pool import Busy, Seat
from polyvox.usage import FREE, UNKNOWN_COST, Cost, Usage

from .rig import Clock, Voice, request, text_of

STRATEGIES = get_args(Strategy)
TALKING = [Start(), TextStart(0), TextDelta(0, "Hi"), asyncio.Event()]


def taken(pool: Pool) -> Seat:
    seat = pool.take(request(), Call())
    assert isinstance(seat, Seat)
    return seat


def turns(pool: Pool, count: int) -> list[int]:
    """Which of them are asked, one call after the other."""
    places: list[int] = []
    for _ in range(count):
        with taken(pool) as seat:
            seat.answered()
        places.append(seat.lane.place)
    return places


def test_priority_asks_in_the_order_given():
    pool = Pool([Deployment(Voice(), priority=n) for n in (2, 1, 1)])
    assert turns(pool, 3) == [1, 1, 1]
    with taken(pool) as seat:
        seat.failed(RateLimitError("x"))
    assert turns(pool, 2) == [2, 2]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_lower_priority_number_comes_first_whatever_the_strategy(strategy: Strategy):
    low = [Deployment(Voice(), priority=5, max_parallel=1) for _ in range(2)]
    high = [Deployment(Voice(), priority=-1, max_parallel=1) for _ in range(2)]
    pool = Pool([*low, *high], strategy, random=Random(1))
    seats = [taken(pool) for _ in range(4)]
    assert [sorted(seat.lane.place for seat in pair) for pair in (seats[:2], seats[2:])] == [
        [2, 3],
        [0, 1],
    ]
    assert isinstance(pool.take(request(), Call()), Busy)
    seats[1].__exit__(None, None, None)
    assert taken(pool).lane is seats[1].lane


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_each_strategy_gets_past_one_that_fails(strategy: Strategy):
    router = Router([Voice(ServerError("x")), Voice("Hello.")], strategy=strategy)
    assert {await text_of(router) for _ in range(20)} == {"Hello."}


def test_weighted_gives_each_its_share():
    pool = Pool([Deployment(Voice(), weight=n) for n in (1, 3, 6)], "weighted", random=Random(5))
    counts = Counter(turns(pool, 5_000))
    assert [round(counts[place] / 500) for place in range(3)] == [1, 3, 6]


def test_weighted_shares_what_is_left_among_the_others():
    pool = Pool([Deployment(Voice(), weight=n) for n in (1, 3, 6)], "weighted", random=Random(5))
    lane = pool.lanes[2]
    while (seat := taken(pool)).lane is not lane:
        seat.__exit__(None, None, None)
    seat.failed(RateLimitError("x"))
    counts = Counter(turns(pool, 4_000))
    assert [round(counts[place] / 1_000) for place in range(3)] == [1, 3, 0]


def test_round_robin_takes_turns_also_when_one_is_missing():
    pool = Pool([Voice() for _ in range(3)], "round-robin")
    assert turns(pool, 5) == [0, 1, 2, 0, 1]
    with taken(pool) as seat:
        seat.failed(RateLimitError("x"))
    assert turns(pool, 4) == [0, 1, 0, 1]


def test_least_busy_asks_who_has_least_to_do_for_its_weight():
    pool = Pool([Deployment(Voice()), Deployment(Voice(), weight=3)], "least-busy")
    seats = [taken(pool) for _ in range(8)]
    assert Counter(seat.lane.place for seat in seats) == {0: 2, 1: 6}
    for seat in seats:
        if seat.lane.place == 0:
            seat.__exit__(None, None, None)
    assert turns(pool, 3) == [0, 0, 0]


def test_least_busy_spreads_calls_over_idle_ones():
    pool = Pool([Voice() for _ in range(4)], "least-busy")
    assert Counter(turns(pool, 40)) == dict.fromkeys(range(4), 10)


def test_lowest_latency_prefers_the_quick_one_and_still_knows_the_others():
    clock, seconds = Clock(), [4.0, 0.1, 1.0]
    pool = Pool([Voice() for _ in seconds], "lowest-latency", clock=clock, random=Random(2))
    counts: Counter[int] = Counter()
    for _ in range(600):
        with taken(pool) as seat:
            clock.now += seconds[seat.lane.place]
            seat.answered()
        counts[seat.lane.place] += 1
    assert counts[1] > 400
    assert counts[1] > counts[2] > 0
    assert counts[0] > 0


def test_lowest_latency_turns_away_from_one_that_becomes_slow():
    clock = Clock()
    pool = Pool([Voice(), Voice()], "lowest-latency", clock=clock, random=Random(2))
    for _ in range(2):
        with taken(pool) as seat:
            clock.now += 0.1
            seat.answered()
    with taken(pool) as slow:
        clock.now += 9
        slow.answered()
    assert set(turns(pool, 10)) == {1 - slow.lane.place}


def test_lowest_latency_weighs_the_load():
    clock = Clock()
    pool = Pool([Voice(), Voice()], "lowest-latency", clock=clock, random=Random(1))
    for seconds in (1.0, 1.5):
        with taken(pool) as seat:
            clock.now += seconds
            seat.answered()
    assert Counter(taken(pool).lane.place for _ in range(10)) == {0: 6, 1: 4}


def test_one_that_nobody_knows_is_tried_by_one_call():
    pool = Pool([Voice(), Voice()], "lowest-latency", clock=Clock(), random=Random(2))
    assert {taken(pool).lane.place for _ in range(2)} == {0, 1}


def test_lowest_cost_asks_the_cheapest_that_can_be_asked():
    prices = [Cost("known", 9), UNKNOWN_COST, Cost("known", 5), FREE]
    voices = [Voice(name=f"test/{n}", cost=Usage(cost=cost)) for n, cost in enumerate(prices)]
    pool = Pool([Deployment(voice, max_parallel=1) for voice in voices], "lowest-cost")
    assert [taken(pool).lane.place for _ in range(4)] == [3, 2, 0, 1]


def test_the_cheapest_depends_on_the_request():
    class Priced(Voice):
        def __init__(self, name: str, base: int, each: int) -> None:
            super().__init__(name=name)
            self.base, self.each = base, each

        def quote(self, request: Any) -> Usage:
            return Usage(cost=Cost("known", self.base + self.each * request.max_tokens))

    pool = Pool([Priced("test/flat", 100, 0), Priced("test/steep", 0, 1)], "lowest-cost")
    for tokens, place in ((10, 1), (1_000, 0)):
        seat = pool.take(request(max_tokens=tokens), Call())
        assert isinstance(seat, Seat)
        assert seat.lane.place == place


def test_those_of_one_model_cost_the_same_and_take_turns():
    pool = Pool([Voice() for _ in range(3)], "lowest-cost")
    assert turns(pool, 6) == [0, 1, 2, 0, 1, 2]


async def test_the_same_deployments_are_chosen_with_the_same_luck():
    async def choices(seed: int) -> list[str]:
        voices = [Voice(str(n)) for n in range(50)]
        router = Router(Pool(voices, "weighted", random=Random(seed)))
        return [await text_of(router) for _ in range(20)]

    assert await choices(1) == await choices(1) != await choices(2)


# ------------------------------------------------------------------------------- ten thousand


@contextmanager
def counted():
    """How many lines of Python are run."""
    steps = [0]

    def trace(frame: FrameType, event: str, arg: object):
        steps[0] += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield steps
    finally:
        sys.settrace(before)


def work(strategy: Strategy, count: int) -> int:
    """The steps of many choices, with deployments that cool and come back."""
    clock = Clock()
    names = ("test/a", "test/b", "test/c")
    deployments = [
        Deployment(
            Voice(name=names[n % 3]), priority=n % 4, weight=n % 7 + 1, max_parallel=2, rpm=60
        )
        for n in range(count)
    ]
    pool = Pool(deployments, strategy, clock=clock, random=Random(1))
    asked, call, luck = request(), Call(), Random(2)
    with counted() as steps:
        for _ in range(80):
            seat = pool.take(asked, call)
            assert isinstance(seat, Seat)
            other = pool.take(asked, call, [seat.lane])
            assert isinstance(other, Seat)
            with seat, other:
                if luck.random() < 0.3:
                    seat.failed(RateLimitError("x", retry_after=luck.choice([0.5, 2, 300])))
                other.answered()
            clock.now += 0.1
    return steps[0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_ten_thousand_deployments_take_hardly_more_steps_than_a_hundred(strategy: Strategy):
    assert work(strategy, 10_000) < 1.6 * work(strategy, 100)


def test_ten_thousand_that_cool_are_not_looked_at():
    clock = Clock()
    pool = Pool([Voice() for _ in range(10_000)], clock=clock)
    for _ in range(10_000):
        with taken(pool) as seat:
            seat.failed(RateLimitError("x", retry_after=3_600 + seat.lane.place))
    with counted() as steps:
        busy = pool.take(request(), Call())
    assert isinstance(busy, Busy)
    assert busy.due == clock.now + 3_600
    assert steps[0] < 200


async def test_a_thousand_calls_at_once_spread_evenly():
    async with AsyncExitStack() as stack:
        router = Router([Voice(TALKING) for _ in range(10)], strategy="least-busy")
        for _ in range(1_000):
            stream = await stack.enter_async_context(aclosing(router.stream(request(), Call())))
            await anext(stream)
        assert [status.in_flight for status in router.status()] == [100] * 10
    assert [status.in_flight for status in router.status()] == [0] * 10
