"""A program that works on the batches in a folder until all are over; what the tests start, and kill."""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from polyvox.client import AsyncClient
from polyvox.gateway.asking.asking import Asking
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.models import Models
from polyvox.gateway.batches import rows
from polyvox.gateway.batches.answering import Answering
from polyvox.gateway.batches.bounds import Bounds
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.runner import Runner
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import Access
from polyvox.limits import MemoryLimits

BOUNDS = Bounds(tick=0.05)


class Books:
    def begin(self, line: object) -> None: ...

    def reserve(self, line: object) -> None: ...

    def attempt(self, call_id: str, attempt: object) -> None: ...

    def end(self, line: object) -> None: ...


class Keys:
    is_behind = False

    def of(self, key: str) -> Access:
        return Access(key=key, organisation="acme")


async def work(folder: Path, url: str, later: float) -> None:
    """Work; leases that others held until now have run out ``later``."""
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    await database.open()
    files = Files(database, folder / "files", BOUNDS)
    before = _most_memory()
    async with AsyncClient(keys={"openai": "sk-mock"}, base_urls={"openai": url}) as client:
        asking = Asking(Models(client, ("*",), list), Gates(MemoryLimits()), Books(), Calls())
        answering = Answering(asking, Keys())
        runner = Runner(
            *(database, files, folder / "batches", answering, BOUNDS),
            clock=lambda: time.time() + later,
        )
        runner.start()
        while await database.run(rows.open_ids, read_only=True):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await runner.aclose()
    await database.aclose()
    print(json.dumps({"memory": _most_memory() - before}))


def _most_memory() -> int:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
