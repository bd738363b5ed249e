"""Looking for what another process may just have made: once for many, and never often."""

import asyncio

import pytest

from polyvox.errors import OverloadedError
from polyvox.gateway.database import glance
from polyvox.gateway.database.glance import Glance
from waiting import soon, turns


class Shelf:
    """What is read, when it is let; ``now`` is the time, in which all sleeping is done at once."""

    def __init__(self) -> None:
        self.readings = 0
        self.at: list[float] = []
        self.now = 1_000.0
        self.free = asyncio.Event()
        self.free.set()
        self.is_down = False
        self.glance = Glance(self.read, clock=lambda: self.now, sleep=self.sleep)

    async def read(self) -> None:
        self.readings += 1
        self.at.append(self.now)
        await self.free.wait()
        if self.is_down:
            raise OverloadedError("the database is down")

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def test_a_thousand_who_ask_for_one_thing_at_once_are_one_reading():
    shelf = Shelf()
    await soon(asyncio.gather(*(shelf.glance.look_for("a") for _ in range(1_000))))
    assert shelf.readings == 1


async def test_a_thousand_who_ask_for_different_things_at_once_are_one_reading():
    shelf = Shelf()
    await soon(asyncio.gather(*(shelf.glance.look_for(number) for number in range(1_000))))
    assert shelf.readings == 1


async def test_who_comes_while_one_reads_waits_for_another_reading():
    shelf = Shelf()
    shelf.free.clear()
    first = asyncio.create_task(shelf.glance.look_for("a"))
    await turns()
    assert shelf.readings == 1
    later = [asyncio.create_task(shelf.glance.look_for(name)) for name in ("a", "b", "c")]
    await turns()
    assert shelf.readings == 1  # one at a time
    shelf.free.set()
    await soon(asyncio.gather(first, *later))
    assert shelf.readings == 2


async def test_readings_keep_a_distance_whatever_is_asked_for():
    shelf = Shelf()
    for number in range(50):
        await soon(shelf.glance.look_for(number))
    gaps = [after - before for before, after in zip(shelf.at, shelf.at[1:], strict=False)]
    assert shelf.readings == 50
    assert min(gaps) >= 0.0999


async def test_what_was_looked_for_in_vain_is_not_looked_for_again_for_a_moment():
    shelf = Shelf()
    await soon(shelf.glance.look_for("a"))
    for _ in range(100):
        await soon(shelf.glance.look_for("a"))
    assert shelf.readings == 1
    shelf.now += 2.0
    await soon(shelf.glance.look_for("a"))
    assert shelf.readings == 2


async def test_a_reading_that_failed_says_nothing_and_is_not_remembered():
    shelf = Shelf()
    shelf.is_down = True
    await soon(shelf.glance.look_for("a"))
    shelf.is_down = False
    await soon(shelf.glance.look_for("a"))
    assert shelf.readings == 2


async def test_so_many_things_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(glance, "_MOST_KEPT", 10)
    shelf = Shelf()
    for number in range(95):
        shelf.now += 0.01
        await soon(shelf.glance.look_for(number))
        assert len(shelf.glance._vain) <= 10


async def test_so_many_wait_and_others_are_told_that_nobody_can_tell(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(glance, "_MOST_WAITING", 3)
    shelf = Shelf()
    shelf.free.clear()
    waiting = [asyncio.create_task(shelf.glance.look_for(number)) for number in range(3)]
    await turns()
    with pytest.raises(OverloadedError) as caught:
        await shelf.glance.look_for("d")
    assert (caught.value.status, caught.value.retry_after) == (503, 2.0)
    shelf.free.set()
    await soon(asyncio.gather(*waiting))
    await soon(shelf.glance.look_for("d"))


async def test_a_reading_that_takes_too_long_is_not_waited_for_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(glance, "_PATIENCE_SECONDS", 0.0)
    shelf = Shelf()
    shelf.free.clear()
    with pytest.raises(OverloadedError):
        await shelf.glance.look_for("a")
    monkeypatch.undo()
    await turns()
    shelf.free.set()
    await soon(shelf.glance.look_for("b"))
    assert shelf.readings in (1, 2)


async def test_who_leaves_takes_nothing_from_the_others():
    shelf = Shelf()
    shelf.free.clear()
    first, second = [asyncio.create_task(shelf.glance.look_for(name)) for name in ("a", "b")]
    await turns()
    first.cancel()
    await turns()
    shelf.free.set()
    await soon(second)
    assert shelf.readings == 1
