"""Turns are given to one organisation after the other."""

import asyncio

from polyvox.gateway.batches.turns import Turns


async def test_an_organisation_with_few_lines_does_not_wait_for_one_with_many():
    turns, order = Turns(1), list[str]()

    async def line(organisation: str) -> None:
        await turns.take(organisation)
        order.append(organisation)
        await asyncio.sleep(0)
        turns.back()

    await asyncio.gather(*map(line, ["many"] * 6), *map(line, ["few"] * 2))
    assert order == ["many", "few", "many", "few", "many", "many", "many", "many"]


async def test_who_stops_waiting_takes_no_turn_from_others():
    turns = Turns(1)
    await turns.take("a")
    waiting = [asyncio.create_task(turns.take("b")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    turns.back()
    await waiting[1]
    assert not waiting[2].done()
    turns.back()
    await waiting[2]
    turns.back()
    await turns.take("c")


async def test_whose_turn_comes_while_it_is_cancelled_gives_it_back():
    turns = Turns(1)
    await turns.take("a")
    waiting = asyncio.create_task(turns.take("b"))
    await asyncio.sleep(0)
    turns.back()
    while turns._waiting:  # noqa: ASYNC110
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await turns.take("c")


async def test_room_that_is_taken_is_left_once_for_each_turn():
    class Room:
        inside = 0

        async def enter(self) -> bool:
            self.inside += 1
            return True

        def leave(self) -> None:
            self.inside -= 1

    room = Room()
    turns = Turns(2, room)
    for _ in range(5):
        await turns.take("a")
        assert room.inside >= 1
        turns.back()
    waiting = [asyncio.create_task(turns.take("a")) for _ in range(4)]
    for each in waiting[:2]:
        await each
    for each in waiting[2:]:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    turns.back()
    turns.back()
    while turns._giving is not None:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert room.inside == 0
