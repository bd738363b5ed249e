"""An account begins where it stood before its process."""

from datetime import UTC, datetime

import pytest

from polyvox.limits import Hold, MemoryLimits
from polyvox.limits.meters import Calendar

from .rig import Clock

NOON = datetime(2026, 5, 5, 12, 0, tzinfo=UTC).timestamp()
DAY = Calendar("day")
TODAY = DAY.mark(NOON)


def hold(meter=DAY, amount: float = 1000) -> list[Hold]:
    return [Hold("till", meter, 10, amount)]


async def used(store: MemoryLimits, meter=DAY) -> float:
    (standing,) = await store.reserve("look", hold(meter))
    return standing.used


@pytest.mark.parametrize(
    ("windows", "left"),
    [
        ([(TODAY, 4)], 4),
        ([(TODAY - 1, 4)], 0),
        ([(TODAY - 1, 14)], 4),  # a debt
        ([(TODAY - 2, 34), (TODAY - 1, 1), (TODAY, 2)], 17),
        ([(TODAY - 5, 14), (TODAY, 2)], 2),
    ],
)
async def test_an_account_has_drained_since_it_was_used(windows, left: float):
    store = MemoryLimits(clock=Clock(NOON))
    store.restore("till", windows)
    assert await used(store) == left


async def test_what_was_used_in_all_never_drains():
    store = MemoryLimits(clock=Clock(NOON))
    store.restore("till", [(0, 7)])
    assert await used(store, Calendar("total")) == 7


async def test_what_is_restored_late_counts_beside_what_was_used_since():
    store = MemoryLimits(clock=Clock(NOON))
    await store.reserve("1", hold(amount=3))
    store.restore("till", [(TODAY, 4)])
    store.restore("till", [(TODAY, 2)])
    assert await used(store) == 9
    await store.settle("1", hold(amount=3), [1])
    assert await used(store) == 7


async def test_what_is_restored_after_the_window_has_turned_is_debited_in_the_new_one():
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    await store.reserve("1", hold(amount=9))
    await store.settle("1", hold(amount=9), [9])
    clock.now += 86_400
    store.restore("till", [(TODAY, 4), (TODAY + 1, 3)])
    assert await used(store) == 3


async def test_it_is_debited_once():
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    store.restore("till", [(TODAY, 4)])
    assert await used(store) == 4
    assert await used(store) == 4
    clock.now += 86_400
    assert await used(store) == 0


async def test_an_account_that_was_used_up_is_closed_at_once():
    store = MemoryLimits(clock=Clock(NOON))
    store.restore("till", [(TODAY, 10)])
    (standing,) = await store.reserve("1", hold(amount=1))
    assert standing.used == 10


async def test_what_was_used_outlives_a_refused_call_however_dear_that_is():
    store = MemoryLimits(clock=Clock(NOON))
    store.restore("till", [(TODAY, 4.5)])
    for dear in (1e16, 10**24):
        (standing,) = await store.reserve("dear", hold(amount=dear))
        assert (standing.used, standing.held) == (4.5, 0)
    assert await used(store) == 4.5


async def test_what_is_restored_counts_from_the_next_settlement_on():
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    await store.reserve("1", hold(amount=8))
    store.restore("till", [(TODAY, 9)])
    await store.settle("1", hold(amount=8), [8])
    clock.now += 24 * 3600
    assert await used(store) == 7  # a debt that both have made
