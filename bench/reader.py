"""One contender in a process of its own: reads answers and prints what they cost as JSON.

``python -m bench.reader NAME URL COUNTER PROMPT PIECES TIMES WARM_UP``. With TIMES 0 nothing is
measured; instead the reads from the socket are counted that the warm-up takes.
"""

import asyncio
import json
import sys
import time
from asyncio import selector_events
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

from bench import contenders
from bench.contenders import Tell
from bench.server import Counter


class Meter:
    """CPU of this process, all its threads, over some answers of the same size."""

    def __init__(self, prompt: str, pieces: int, times: int) -> None:
        self.prompt = prompt
        self.pieces = pieces
        self.times = times
        self.cpu_us: list[float] = []
        self.wall_us: list[float] = []
        self._began = (0.0, 0.0)

    def start(self) -> None:
        self._began = (time.perf_counter(), time.process_time())

    def stop(self, seen: int) -> None:
        cpu, wall = time.process_time(), time.perf_counter()
        self.cpu_us.append((cpu - self._began[1]) * 1e6)
        self.wall_us.append((wall - self._began[0]) * 1e6)
        if seen != self.pieces:
            raise SystemExit(f"read {seen} pieces of {self.pieces}")


def run(contender: Any, url: str, tell: Tell, warm_up: str, meter: Meter) -> None:
    """Read one answer to warm up, and the others measured, all over one client."""
    connection = contender.connect(url)
    if hasattr(connection, "__aenter__"):
        asyncio.run(_run_async(connection, tell, warm_up, meter))
        return
    with connection as read:
        read(warm_up, tell)
        for _ in range(meter.times):
            meter.start()
            meter.stop(read(meter.prompt, tell))


async def _run_async(connection: Any, tell: Tell, warm_up: str, meter: Meter) -> None:
    async with connection as read:
        await read(warm_up, tell)
        for _ in range(meter.times):
            meter.start()
            meter.stop(await read(meter.prompt, tell))


@contextmanager
def _counted_reads() -> Generator[SimpleNamespace]:
    """How often asyncio takes bytes from a socket; all contenders here sit on its transports."""
    reads = SimpleNamespace(count=0)
    kind: Any = vars(selector_events)["_SelectorSocketTransport"]
    original = kind._read_ready

    def read_ready(self: Any) -> None:
        reads.count += 1
        original(self)

    kind._read_ready = read_ready
    try:
        yield reads
    finally:
        kind._read_ready = original


def main(arguments: list[str]) -> None:
    name, url, counter, prompt, pieces, times, warm_up = arguments
    contender = contenders.load(name)
    meter = Meter(prompt, int(pieces), int(times))
    with _counted_reads() if meter.times == 0 else nullcontext() as reads:
        run(contender, url, Counter(counter).tell, warm_up, meter)
    result = {
        "cpu_us": meter.cpu_us,
        "wall_us": meter.wall_us,
        "reads": reads.count if reads else None,
        "versions": {package: version(package) for package in contender.VERSIONS},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
