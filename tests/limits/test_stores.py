"""What every store does: reserve all or nothing, settle once, carry debts."""

import random

import pytest

from polyvox.limits import Hold, LimitStore, MemoryLimits, RedisLimits
from polyvox.limits.meters import Calendar, Leak

from .rig import Clock, Turning

TOTAL = Calendar("total")
AGES = Leak(1e12)
INSTANTS = Leak(1e-9)


def hold(amount: float, key: str = "a", limit: float = 10, **more) -> Hold:
    return Hold(key, more.pop("meter", TOTAL), limit, amount, **more)


async def used(store: LimitStore, key: str = "a", meter=TOTAL) -> tuple[float, float]:
    """What is used of an account, and the reserved part of it."""
    (standing,) = await store.reserve("look", [Hold(key, meter, -1, 1)])
    return standing.used, standing.held


async def test_what_is_reserved_has_no_room_for_others(store: LimitStore):
    assert await store.reserve("1", [hold(6)]) == []
    (standing,) = await store.reserve("2", [hold(5)])
    assert (standing.place, standing.used, standing.held) == (0, 6, 6)
    assert await store.reserve("3", [hold(4)]) == []


async def test_settling_puts_what_was_used_in_the_place_of_what_was_reserved(store: LimitStore):
    await store.reserve("1", [hold(6)])
    await store.settle("1", [hold(6)], [2])
    assert await used(store) == (2, 0)


async def test_of_several_accounts_all_are_debited_or_none(store: LimitStore):
    holds = [hold(1, "a"), hold(11, "b"), hold(12, "c"), hold(1, "d")]
    assert [standing.place for standing in await store.reserve("1", holds)] == [1, 2]
    for key in "abcd":
        assert await used(store, key) == (0, 0)


async def test_a_soft_hold_is_debited_where_it_does_not_fit_and_told(store: LimitStore):
    holds = [hold(1, "a"), hold(11, "b", soft=True)]
    assert [standing.place for standing in await store.reserve("1", holds)] == [1]
    assert await used(store, "a") == (1, 1)
    assert await used(store, "b") == (11, 11)


async def test_a_soft_hold_is_not_debited_when_a_hard_one_does_not_fit(store: LimitStore):
    holds = [hold(11, "a"), hold(11, "b", soft=True)]
    assert [standing.place for standing in await store.reserve("1", holds)] == [0, 1]
    assert await used(store, "b") == (0, 0)


async def test_reserving_and_settling_again_with_the_same_name_changes_nothing(store: LimitStore):
    for _ in range(3):
        assert await store.reserve("1", [hold(6)]) == []
    assert await used(store) == (6, 6)
    for _ in range(3):
        await store.settle("1", [hold(6)], [4])
    assert await used(store) == (4, 0)


async def test_an_overrun_is_a_debt_that_blocks_the_next_reservation(store: LimitStore):
    await store.reserve("1", [hold(1)])
    await store.settle("1", [hold(1)], [25])
    assert await used(store) == (25, 0)
    assert await store.reserve("2", [hold(1)]) != []


async def test_what_costs_nothing_fits_even_into_a_debt(store: LimitStore):
    await store.reserve("1", [hold(10)])
    await store.settle("1", [hold(10)], [25])
    assert await store.reserve("2", [hold(0)]) == []


async def test_a_debt_goes_on_into_the_next_windows_until_they_have_paid_it(store: LimitStore):
    window = Turning()
    await store.reserve("1", [hold(10, meter=window)])
    await store.settle("1", [hold(10, meter=window)], [25])
    left = []
    for _ in range(3):
        window.number += 1
        left.append((await used_of(store, window))[0])
    assert left == [15, 5, 0]


async def used_of(store: LimitStore, window: Turning) -> tuple[float, float]:
    probe = Hold("a", window, 10, 1000)
    (standing,) = await store.reserve("look", [probe])
    return standing.used, standing.held


async def test_the_next_window_has_all_of_the_limit_again(store: LimitStore):
    window = Turning()
    assert await store.reserve("1", [hold(10, meter=window)]) == []
    assert await store.reserve("2", [hold(1, meter=window)]) != []
    window.number += 1
    assert await store.reserve("3", [hold(10, meter=window)]) == []


async def test_a_call_counts_in_the_window_in_which_it_was_let_in(store: LimitStore):
    window = Turning()
    await store.reserve("1", [hold(9, meter=window)])
    window.number += 1
    await store.reserve("2", [hold(7, meter=window)])
    await store.settle("1", [hold(9, meter=window)], [2])
    assert await used_of(store, window) == (7, 7)
    await store.settle("2", [hold(7, meter=window)], [3])
    assert await used_of(store, window) == (3, 0)


async def test_an_overrun_of_a_call_from_an_earlier_window_is_debited_in_this_one(
    store: LimitStore,
):
    window = Turning()
    await store.reserve("1", [hold(5, meter=window)])
    window.number += 1
    await store.settle("1", [hold(5, meter=window)], [12])
    assert await used_of(store, window) == (7, 0)


async def test_a_window_that_is_over_does_not_come_back_when_a_clock_is_wrong(store: LimitStore):
    window = Turning()
    window.number = 5
    await store.reserve("1", [hold(10, meter=window)])
    window.number = 4
    assert await store.reserve("2", [hold(1, meter=window)]) != []
    window.number = 5
    assert await store.reserve("3", [hold(1, meter=window)]) != []


async def test_a_leak_empties_with_time_and_not_before(store: LimitStore):
    await store.reserve("1", [hold(10, "slow", meter=AGES), hold(10, "fast", meter=INSTANTS)])
    assert await store.reserve("2", [hold(1, "slow", meter=AGES)]) != []
    assert await store.reserve("3", [hold(10, "fast", meter=INSTANTS)]) == []


async def test_a_refusal_says_how_long_to_wait(store: LimitStore):
    await store.reserve("1", [hold(10, meter=Leak(1000))])
    (standing,) = await store.reserve("2", [hold(5, meter=Leak(1000))])
    assert standing.wait is not None
    assert 400 < standing.wait <= 500


async def test_of_a_leak_only_comes_back_what_has_not_leaked_meanwhile():
    clock = Clock()
    store, minute = MemoryLimits(clock=clock), Leak(60)
    await store.reserve("1", [hold(10, meter=minute)])
    clock.now += 30  # half of it has leaked
    await store.reserve("2", [hold(5, meter=minute)])
    await store.settle("1", [hold(10, meter=minute)], [0])
    (standing,) = await store.reserve("look", [hold(1000, meter=minute)])
    assert standing.used == 5


async def test_memory_and_redis_agree_on_a_thousand_random_operations(redis_url: str):
    rng, window = random.Random(4), Turning()
    redis, memory = RedisLimits(redis_url, timeout=30), MemoryLimits()
    accounts = {"a": (window, 20), "b": (window, 200), "c": (TOTAL, 1_000), "d": (AGES, 60)}
    opened: dict[str, list[Hold]] = {}
    refused = 0
    for name in map(str, range(1000)):
        window.number += rng.random() < 0.05
        if opened and rng.random() < 0.5:
            name = rng.choice(list(opened))
            holds = opened.pop(name)
            actual = [rng.choice([0, hold.amount, rng.randrange(20)]) for hold in holds]
            for store in (redis, memory):
                await store.settle(name, holds, actual)
            continue
        holds = [
            Hold(key, *accounts[key], rng.randrange(12), soft=rng.random() < 0.3)
            for key in rng.sample(list(accounts), rng.randint(1, 3))
        ]
        answers = [await store.reserve(name, holds) for store in (redis, memory)]
        assert [_known(each) for each in answers[0]] == [_known(each) for each in answers[1]]
        if all(holds[standing.place].soft for standing in answers[0]):
            opened[name] = holds
        else:
            refused += 1
    assert refused > 100
    await redis.aclose()


def _known(standing) -> tuple[float, ...]:
    return standing.place, round(standing.used, 3), round(standing.held, 3)


async def test_redis_debits_a_reservation_that_it_has_lost(redis_url: str, redis_server):
    store = RedisLimits(redis_url, timeout=30)
    await store.reserve("1", [hold(6)])
    redis_server.flush()
    for _ in range(2):
        await store.settle("1", [hold(6)], [4])
    assert await used(store) == (4, 0)
    await store.aclose()


@pytest.mark.parametrize("amount", [9_000_000 * 10**9 - 1, 2**53])
async def test_large_amounts_of_money_stay_exact_in_redis(redis_url: str, amount: int):
    store = RedisLimits(redis_url, timeout=30)
    await store.reserve("1", [hold(amount, limit=amount)])
    assert await used(store) == (amount, amount)
    await store.settle("1", [hold(amount, limit=amount)], [amount - 1])
    assert await used(store) == (amount - 1, 0)
    await store.aclose()
