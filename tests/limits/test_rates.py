"""A rate limit without a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.errors import ConfigurationError
from polyvox.limits import Rate

from .rig import Clock


def test_a_burst_of_the_whole_limit_then_as_much_as_leaks():
    clock = Clock(0)
    rate = Rate(3, 60, clock=clock)
    assert [rate.take() for _ in range(5)] == [0, 0, 0, 20, 20]
    clock.now = 20
    assert [rate.take(), rate.take()] == [0, 20]


def test_looking_takes_nothing():
    rate = Rate(1, clock=Clock())
    assert [rate.wait(), rate.wait(), rate.take(), rate.wait()] == [0, 0, 0, 60]
    assert rate.used == 1


def test_what_was_taken_too_much_comes_back():
    rate = Rate(100, clock=Clock())
    rate.take(90)
    rate.settle(90, 10)
    assert rate.used == 10
    assert rate.take(90) == 0


def test_of_what_has_leaked_meanwhile_nothing_comes_back():
    clock = Clock()
    rate = Rate(100, 60, clock=clock)
    rate.take(90)
    clock.now += 30
    rate.settle(90, 0, seconds_ago=30)
    assert rate.used == 0
    rate.take(90)
    clock.now += 60
    rate.take(50)
    rate.settle(90, 0, seconds_ago=60)
    assert rate.used == 50


def test_an_overrun_is_a_debt():
    clock = Clock(0)
    rate = Rate(100, 60, clock=clock)
    rate.take(10)
    rate.settle(10, 250)
    assert rate.take(10) == 96
    clock.now = 96
    assert rate.take(10) == 0


def test_more_than_the_limit_goes_when_nothing_else_is_taken():
    clock = Clock(0)
    rate = Rate(10, 60, clock=clock)
    assert rate.take(25) == 0
    assert rate.used == 25
    assert rate.take(1) == 96


def test_a_clock_that_is_put_back_stops_nothing():
    clock = Clock(1_000_000)
    rate = Rate(1, 60, clock=clock)
    rate.take()
    clock.now = 0
    assert rate.wait() == 60
    clock.now = 60
    assert rate.take() == 0


@pytest.mark.parametrize(("limit", "seconds"), [(0, 60), (-1, 60), (10, 0), (10, float("nan"))])
def test_a_rate_that_lets_nothing_through_is_refused(limit: float, seconds: float):
    with pytest.raises(ConfigurationError, match="lets nothing through"):
        Rate(limit, seconds)


@given(st.lists(st.floats(0, 30), max_size=200))
def test_no_period_sees_more_than_twice_the_limit(pauses: list[float]):
    clock = Clock(0)
    rate = Rate(5, 60, clock=clock)
    taken = []
    for pause in pauses:
        clock.now += pause
        if rate.take() == 0:
            taken.append(clock.now)
    for begin in taken:
        assert sum(begin <= when < begin + 60 for when in taken) <= 10
