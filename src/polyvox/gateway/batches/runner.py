"""All batches that this process works on: which they are, how far they are, when they end.

Replicas share them: who works on a batch holds its lease, and renews it as long as it does.
"""

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection

from polyvox.errors import PolyvoxError, in_words
from polyvox.gateway.batches import rows
from polyvox.gateway.batches.answering import Answering
from polyvox.gateway.batches.bounds import BOUNDS, DAY, Bounds
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.folders import make_writable
from polyvox.gateway.batches.turns import Room, Turns
from polyvox.gateway.batches.work import Tools, Work
from polyvox.gateway.database.engine import Database

__all__ = ["Runner"]

_SWEEP_SECONDS = 3_600.0

_log = logging.getLogger(__name__)


class Runner:
    """Works on batches, those of all organisations alike.

    Args:
        database: where they are.
        files: their inputs and outputs.
        folder: where their progress is written down; replicas share it.
        answering: answers their lines.
        bounds: how much at once, and for how long.
        room: where lines find room beside interactive calls; None: everywhere.
        clock: the time in seconds since the epoch.
        pause: waits.

    Raises ``ConfigurationError`` where the folder can't be written.
    """

    def __init__(
        self,
        database: Database,
        files: Files,
        folder: Path,
        answering: Answering,
        bounds: Bounds = BOUNDS,
        *,
        room: Room | None = None,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        make_writable(folder)
        self._tools = Tools(
            database=database,
            files=files,
            folder=folder,
            answering=answering,
            turns=Turns(bounds.in_all, room, pause),
            bounds=bounds,
            holder=uuid.uuid4().hex,
            clock=clock,
            pause=pause,
        )
        self._mine: dict[str, Work] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None
        self._swept = float("-inf")
        self._closing = False

    def __len__(self) -> int:
        return len(self._mine)

    def start(self) -> None:
        """Work from now on, in tasks of the running loop."""
        loop = asyncio.get_running_loop()
        self._loop = loop.create_task(self._run())
        self._tools.database.on_up(lambda: loop.call_soon_threadsafe(self._wake.set))

    def wake(self, cancelled: str = "") -> None:
        """There is something new: a batch, or one that is to end.

        One that another replica works on is ended by that one, when it looks.
        """
        if cancelled in self._mine:
            self._mine[cancelled].halt("cancelled")
        self._wake.set()

    def stop(self) -> None:
        """Ask no further line; what is under way goes on to its end, or until it is cut off.

        To be called before the calls of the gateway are ended: a line whose call is ended after this
        is asked again later, else that would be its answer.
        """
        self._closing = True
        for work in self._mine.values():
            work.halt("stopped")

    async def aclose(self) -> None:
        """Stop, and let go of all batches. What is under way is asked again another time."""
        self.stop()
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        for work in self._mine.values():
            work.cut()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._tools.turns.aclose()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._look()
            except PolyvoxError as error:
                _log.debug("batches can't be looked at: %s", error.text)
                self._drop_late()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                _log.error("batches can't be looked at: %s", in_words(error))
                self._drop_late()
            try:
                async with asyncio.timeout(self._tools.bounds.tick):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        """See what has become of ours, tell how far they are, and take on what nobody works on."""
        await self._renew()
        await self._claim()
        for work in [*self._mine.values()]:
            await work.force()
        if self._tools.clock() - self._swept > _SWEEP_SECONDS:
            self._swept = self._tools.clock()
            await self._tools.files.sweep()
            await self._sweep()

    async def _renew(self) -> None:
        if not self._mine:
            return
        tools, mine = self._tools, {**self._mine}
        now = tools.clock()
        news = {id: changed for id, work in mine.items() if (changed := work.news())}
        is_due = min(work.until for work in mine.values()) - now < tools.bounds.lease * 2 / 3
        until = now + tools.bounds.lease

        def work(connection: Connection) -> dict[str, str]:
            if news or is_due:
                rows.renewed(connection, tools.holder, until, news)
            return rows.held(connection, tools.holder)

        held = await tools.database.run(work, read_only=not (news or is_due))
        for id, ours in mine.items():
            if id not in held:
                ours.halt("lost")
                continue
            if news or is_due:
                ours.until = until
            if now >= ours.expires:
                ours.halt("expired")
            elif held[id] == "cancelling":
                ours.halt("cancelled")

    def _drop_late(self) -> None:
        """Without the database nobody knows whether a lease that ran out is somebody else's now."""
        now = self._tools.clock()
        for work in self._mine.values():
            if now >= work.until:
                work.halt("lost")

    async def _claim(self) -> None:
        tools = self._tools
        room = tools.bounds.batches - len(self._mine)
        if room <= 0 or self._closing:
            return
        now = tools.clock()
        free = await tools.database.run(lambda c: rows.claimable(c, now), read_only=True)
        owners = Counter(work.batch.organisation or work.batch.key for work in self._mine.values())
        late = now - tools.bounds.lease
        here = [
            row
            for row in free
            if row.id not in self._mine and (self._has(row.input_file) or row.expires < late)
        ]
        for _ in range(min(room, len(here))):
            row = min(here, key=lambda row: (owners[row.organisation or row.key], row.id))
            here.remove(row)
            owners[row.organisation or row.key] += 1
            await self._take(row.id)

    def _has(self, file: str) -> bool:
        """Whether its input is here; else another replica works on it, until it expires."""
        return self._tools.files.path(file).is_file()

    async def _take(self, id: str) -> None:
        tools, now = self._tools, self._tools.clock()
        lease = tools.bounds.lease
        held = await tools.database.run(
            lambda connection: rows.claimed(connection, id, tools.holder, now, lease)
        )
        if held is None or self._closing:
            return
        work = self._mine[id] = Work(held, tools)
        if now >= held.expires:
            work.halt("expired")
        elif held.status == "cancelling":
            work.halt("cancelled")
        self._tasks[id] = asyncio.create_task(self._work(work))

    async def _work(self, work: Work) -> None:
        id, holder = work.batch.id, self._tools.holder
        try:
            await work.run()
        except PolyvoxError as error:
            _log.warning("the batch %s can't go on now: %s", id, error.text)
        except Exception as error:  # noqa: BLE001 - the other batches go on
            _log.error("the batch %s can't go on now: %s", id, in_words(error))
        else:
            self._forget(id)
            if not self._closing:
                self._wake.set()
                return
        # Nobody takes it again at once: what hinders it may last a moment.
        await self._give_back(id, holder)

    async def _give_back(self, id: str, holder: str) -> None:
        if not self._closing:
            await self._tools.pause(self._tools.bounds.tick)
        self._forget(id)
        with suppress(PolyvoxError):  # else it runs out by itself
            await self._tools.database.run(
                lambda connection: rows.given_back(connection, id, holder)
            )

    def _forget(self, id: str) -> None:
        self._mine.pop(id, None)
        self._tasks.pop(id, None)

    async def _sweep(self) -> None:
        """Delete the progress of batches that are over, which a crash has left behind."""
        known = await self._tools.database.run(rows.open_ids, read_only=True)
        before = time.time() - DAY
        for path in self._tools.folder.glob("*.log"):
            if path.name.partition(".")[0] not in known and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
