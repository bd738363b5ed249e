"""One contender's agent in a process of its own: turns, naps, and a long conversation behind them.

Run as ``python -S -c "from bench.agenting import main; main(NAME, URL, ROUNDS, SHORT, LONG)"``.
"""

import asyncio
import gc
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any, TypeAlias

from bench import contenders
from bench.scripts import DONE

FEW, MANY = 10, 10_000
"""Messages that stand before the prompt."""

NAPS = 100

Play: TypeAlias = Callable[[str], Awaitable[None]]
"""Plays the script that the prompt names."""


def main(name: str, url: str, rounds: int, short: int, long: int) -> None:
    """Print, as JSON, the least that any round took; without an address, over a model in process.

    ``turn_us`` is the CPU of a turn with a tool behind few messages and behind many: of a run with so
    many turns, less that of a run which says its last words at once. In process, what the model and
    the tool take by themselves is taken off. ``nap_s`` is how long a run with one nap takes, and one
    with many at the same time.
    """
    print(json.dumps(asyncio.run(_measure(name, url, rounds, (short, long)))))


async def _measure(name: str, url: str, rounds: int, turns: tuple[int, int]) -> dict[str, Any]:
    module = contenders.load_agent(name)
    alone = None if url else module.model_and_tool
    async with module.agent(url) as run:
        turn_us: list[float] = []
        for messages, count in zip((FEW, MANY), turns, strict=True):
            history = module.history(_pairs(messages))
            used = await _turn_us(partial(_played, run, history), rounds, count)
            beside = 0.0 if alone is None else await _turn_us(alone, rounds, count)
            turn_us.append(used - beside)
        few = module.history(_pairs(FEW))
        nap_s = [await _wall_s(partial(_played, run, few), rounds, naps) for naps in (1, NAPS)]
    versions = {package: version(package) for package in module.VERSIONS}
    return {"turn_us": turn_us, "nap_s": nap_s, "versions": versions}


async def _turn_us(play: Play, rounds: int, turns: int) -> float:
    """CPU of one turn with a tool, all threads of this process together."""
    least = dict.fromkeys((0, turns), math.inf)
    await play(f"agent add {turns}")
    for _ in range(rounds):
        for count in least:
            gc.collect()
            began = time.process_time()
            await play(f"agent add {count}")
            least[count] = min(least[count], (time.process_time() - began) * 1e6)
    return (least[turns] - least[0]) / turns


async def _wall_s(play: Play, rounds: int, naps: int) -> float:
    least = math.inf
    for _ in range(rounds):
        began = time.perf_counter()
        await play(f"agent nap {naps}")
        least = min(least, time.perf_counter() - began)
    return least


async def _played(run: Callable[[str, Any], Awaitable[str]], history: Any, prompt: str) -> None:
    text = await run(prompt, history)
    if text != DONE:
        raise SystemExit(f"{prompt!r} ended with {text!r}")


def _pairs(messages: int) -> Iterator[tuple[str, str]]:
    for number in range(messages // 2):
        yield f"Question {number}: what comes after {number}?", f"After it comes {number + 1}."


def start(name: str, url: str, prompt: str) -> None:
    """A whole script: import, make an agent, and have it do something, unless the prompt is empty."""
    asyncio.run(_started(name, url, prompt))


async def _started(name: str, url: str, prompt: str) -> None:
    module = contenders.load_agent(name)
    async with module.agent(url) as run:
        if prompt:
            await _played(run, module.history(()), prompt)
