"""The accounts of one process: however many there are, a call looks at its own and at those due."""

import sys
from datetime import UTC, datetime

from polyvox.limits import Hold, MemoryLimits
from polyvox.limits.meters import Calendar, Leak

from .rig import Clock

HOUR = Calendar("hour")
NOON = datetime(2026, 5, 5, 12, 0, tzinfo=UTC).timestamp()


def of(subject: int, meter=HOUR, amount: float = 1) -> list[Hold]:
    return [Hold(f"subject {subject}", meter, 10, amount)]


async def use(store: MemoryLimits, subject: int, actual: float = 1, meter=HOUR) -> None:
    name = str(object())
    await store.reserve(name, of(subject, meter))
    await store.settle(name, of(subject, meter), [actual])


async def calls_made(store: MemoryLimits, subject: int) -> int:
    """How many functions are called, in Python or C, while one call is let in."""
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        await store.reserve(f"measured {subject}", of(subject))
    finally:
        sys.setprofile(None)
    return count


async def filled(subjects: int, clock: Clock) -> MemoryLimits:
    store = MemoryLimits(clock=clock)
    for subject in range(subjects):
        await use(store, subject)
    return store


async def test_a_call_does_as_much_beside_100_000_budgets_as_beside_100():
    clock = Clock(NOON)
    few, many = await filled(100, clock), await filled(100_000, clock)
    assert await calls_made(many, 50) == await calls_made(few, 50)


async def test_the_turn_of_100_000_windows_is_spread_over_the_calls_that_follow():
    clock = Clock(NOON)
    few, many = await filled(100, clock), await filled(100_000, clock)
    clock.now += 3600
    assert await calls_made(many, 5) < await calls_made(few, 5) + 20
    for subject in range(100_000, 126_000):
        await use(many, subject)
    assert many.accounts <= 26_001  # those of the last hour are forgotten


async def test_an_account_of_a_past_window_is_as_new_whenever_it_is_looked_at():
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    assert await store.reserve("1", of(1, amount=10)) == []
    assert await store.reserve("2", of(1)) != []
    clock.now = NOON + 3599.9
    assert await store.reserve("3", of(1)) != []
    clock.now = NOON + 3600
    assert await store.reserve("4", of(1, amount=10)) == []


async def test_a_debt_is_not_forgotten():
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    await use(store, 1, actual=35)
    for hours, left in ((1, 25), (2, 15), (3, 5)):
        clock.now = NOON + hours * 3600
        for other in range(20):
            await use(store, 100 + 100 * hours + other)
        (standing,) = await store.reserve("look", of(1, amount=1000))
        assert standing.used == left


async def test_a_call_that_outlives_its_forgotten_account_is_settled():
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    await store.reserve("long", of(1, amount=4))
    clock.now += 7200
    for other in range(10, 20):
        await use(store, other)
    await store.settle("long", of(1, amount=4), [9])
    (standing,) = await store.reserve("look", of(1, amount=1000))
    assert standing.used == 5  # the overrun; the rest counts in the window it was let in


async def test_rates_are_forgotten_too_and_totals_are_not():
    clock = Clock(NOON)
    store = MemoryLimits(clock=clock)
    for subject in range(50):
        await use(store, subject, meter=Leak(60))
        await use(store, 1000 + subject, meter=Calendar("total"))
    clock.now += 61
    for _ in range(20):
        await use(store, 5000, meter=Leak(60))
    assert store.accounts == 51
