"""One contender's panel in a process of its own: several models make one answer.

Run as ``python -S -c "from bench.panels import main; main(NAME, URL, ROUNDS, ROUNDS, ROUNDS)"``.
"""

import asyncio
import json
import time
from importlib.metadata import version
from typing import Any

from bench import contenders
from bench.layering import in_turns, keep_to_one_cpu

SHORT, USUAL, LONG = 100, 300, 3_000
"""Chunks of an answer."""

BY_CLOCK = 30
"""Chunks of an answer that is timed by the clock: 150 a second are as many as models say."""

_FIRST = 20
"""Times for each round."""


def main(name: str, url: str, rounds: int, long_rounds: int, clock_rounds: int) -> None:
    """Print, as JSON, lists of microseconds by way of asking; without an address, of models in process.

    ``cpu_us`` is the CPU of all calls of a panel together, by the number of chunks in each answer;
    ``wall_us`` the time by the clock when each answer begins late, and ``first_us`` how long the
    first piece of the last answer is on its way, where that can be known.
    """
    print(json.dumps(asyncio.run(_measure(name, url, rounds, long_rounds, clock_rounds))))


async def _measure(
    name: str, url: str, rounds: int, long_rounds: int, clock_rounds: int
) -> dict[str, Any]:
    keep_to_one_cpu()
    module = contenders.load_panel(name)
    cpu_us: dict[int, dict[str, list[float]]] = {}
    async with module.layers(url) as ways:
        await in_turns(ways, f"flow text {SHORT}", 1, 1)
        for chunks, times in ((SHORT, rounds), (USUAL, rounds), (LONG, long_rounds)):
            cpu_us[chunks] = await in_turns(ways, f"flow text {chunks}", times, 1)
        wall_us = await in_turns(ways, f"late text {BY_CLOCK}", clock_rounds, 1, time.perf_counter)
    first_us = {} if url else await module.first_us(_FIRST * rounds)
    versions = {package: version(package) for package in module.VERSIONS}
    return {"cpu_us": cpu_us, "wall_us": wall_us, "first_us": first_us, "versions": versions}
