"""Event loops lent to synchronous streams come back clean."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from polyvox.client.loops import LoopDriver, LoopPool, Pump
from polyvox.testing import MockProvider


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no process is forked off there")
def test_a_process_that_is_forked_off_uses_no_loop_of_its_parent():
    """Both would hear of what comes for either: run where no other thread may be forked with it."""
    with MockProvider("openai-chat") as mock:
        done = subprocess.run(
            [sys.executable, "-c", FORKING, mock.url],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


FORKING = """
import os, sys
import polyvox

with polyvox.Client(keys={"openai": "k"}, base_urls={"openai": sys.argv[1]}) as client:
    def ask(who):
        for number in range(20):
            text = f"{who} asks {number}."
            assert client.complete("openai/gpt-4o", text).text == text
    ask("whoever forks")
    children = []
    for number in range(3):
        child = os.fork()
        if not child:
            ask(f"child {number}")
            os._exit(0)  # as multiprocessing does
        children.append(child)
    ask("the parent")
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    ask("the parent")
"""


def test_closing_a_pool_of_which_no_loop_was_taken_says_its_last_words():
    said: list[str] = []

    async def last_words() -> None:
        said.append("goodbye")

    LoopPool().close(last_words)
    assert said == ["goodbye"]
