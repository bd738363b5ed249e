"""Event loops lent to synchronous streams come back clean."""

import asyncio
from collections.abc import AsyncIterator

from polyvox.client.loops import LoopDriver, Pump


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def many_turns() -> str:
    for _ in range(5):
        await asyncio.sleep(0)
    return "done"


def test_a_stream_read_to_its_end_leaves_no_stop_behind_in_the_loop():
    driver = LoopDriver()
    pump = Pump(driver, numbers(3))
    assert list(iter(pump.next, 2)) == [0, 1]
    try:
        pump.next()
    except StopIteration:
        pump.stop()
    assert driver.run(many_turns) == "done"
    driver.close()


def test_a_stream_stopped_midway_leaves_no_stop_behind_in_the_loop():
    driver = LoopDriver()
    pump = Pump(driver, numbers(1000))
    assert pump.next() == 0
    pump.stop()
    assert driver.run(many_turns) == "done"
    driver.close()
