"""One contender's layers, read in turns in one process: what each adds is less than two processes differ.

Run as ``python -S -c "from bench.layering import main; main(NAME, URL, PROMPT, ROUNDS, ANSWERS)"``.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable

from bench import contenders
from bench.contenders import Layer

_WARM_UP = 2


def main(name: str, url: str, prompt: str, rounds: int, answers: int) -> None:
    """Print, as JSON, the CPU microseconds of one answer in each round, for each layer."""
    print(json.dumps(asyncio.run(_measure(name, url, prompt, rounds, answers))))


async def _measure(
    name: str, url: str, prompt: str, rounds: int, answers: int
) -> dict[str, list[float]]:
    keep_to_one_cpu()
    async with contenders.load_layers(name).layers(url) as layers:
        await in_turns(layers, prompt, _WARM_UP, answers)
        return await in_turns(layers, prompt, rounds, answers)


async def in_turns(
    layers: dict[str, Layer],
    prompt: str,
    rounds: int,
    answers: int,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """The microseconds of one answer in each round, for each layer."""
    spent_us: dict[str, list[float]] = {name: [] for name in layers}
    for number in range(rounds):
        # Nobody always comes after the same one, whose garbage might be theirs to collect.
        turn = list(layers)[number % len(layers) :] + list(layers)[: number % len(layers)]
        for name in turn:
            spent_us[name].append(await _spent_us(layers[name], prompt, answers, clock))
    return spent_us


async def _spent_us(layer: Layer, prompt: str, answers: int, clock: Callable[[], float]) -> float:
    """Of all threads of this process, with what is done behind the program's back, for one answer."""
    pieces = int(prompt.rpartition(" ")[2])
    began = clock()
    for _ in range(answers):
        seen = await layer.read(prompt, _ignore)
        if seen != pieces:
            raise SystemExit(f"read {seen} pieces of {pieces}")
    layer.settle()
    return (clock() - began) * 1e6 / answers


def keep_to_one_cpu() -> None:
    """Where the system lets us: moving with every wake-up of a log's thread costs more than what it does."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _ignore(seen: int) -> None:
    pass
