"""The thread that moves what is in the journals into the database, in the background of everything."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from polyvox.errors import OverloadedError, in_words
from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal.balances import forget, load
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.folders import left_behind
from polyvox.gateway.journal.shipment import Shipment
from polyvox.limits import MemoryLimits

__all__ = ["Lag", "Shipper"]

_GATHER_SECONDS = 0.5
_ADOPT_SECONDS = 10.0
_FORGET_SECONDS = 3600.0
_LONGEST_PAUSE = 15.0
_JOIN_SECONDS = 60.0


class Lag(msgspec.Struct, frozen=True):
    """How far the database is behind the journals: so many bytes, so many seconds."""

    bytes: int
    seconds: float


class Shipper:
    """Ships a process's journal, and those that dead processes have left in the same root.

    While the database is down it waits, longer and longer, and the journals grow; afterwards it catches up
    batch by batch. ``shipped`` counts calls, ``failing`` says why nothing can be shipped just now,
    ``refused`` counts the calls that the database would not take: their lines are in ``refused.jsonl``.

    With ``limits``, budgets begin where they stood: what the dead ones left is shipped first, then the
    balances are loaded, and only then the journal's own lines follow, which ``limits`` has counted.
    While the database is not there, budgets begin at nothing, and are debited when it comes.

    Args:
        journal: the journal of this process. A shipper is closed after it, and lets go of its folder.
        database: where to. It need not be there yet.
        limits: whose accounts are to begin where they stood; none where they are kept elsewhere.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        journal: Journal,
        database: Database,
        *,
        limits: MemoryLimits | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.shipped = 0
        self.failing: str | None = None
        journal.attended = True
        self._journal = journal
        self._database = database
        self._limits = limits
        self._clock = clock
        self._began = clock()
        self._own = Shipment(journal.folder, database, journal, clock=clock)
        self._left: list[Shipment] = []  # by the dead
        self._trouble: str | None = None
        self._torn = self._refused = 0  # on shipments that are done
        self._refusal: str | None = None
        self._restored = threading.Event()
        self._drains: list[threading.Event] = []
        self._hurry = threading.Event()
        self._closing = threading.Event()
        self._adopts = self._forgets = -1e9
        self._thread = threading.Thread(target=self._run, name="polyvox-shipper", daemon=True)

    @property
    def lag(self) -> Lag:
        """How far the database is behind."""
        waiting = self._journal.waiting_bytes
        since = min(shipment.until or self._began for shipment in (self._own, *self._left))
        return Lag(waiting, max(0.0, self._clock() - since) if waiting else 0.0)

    @property
    def refused(self) -> int:
        """How many calls the database would not take."""
        return self._refused + sum(shipment.refused for shipment in (self._own, *self._left))

    @property
    def torn(self) -> int:
        """How many lines can't be read: they were cut off, or the disk has lost them."""
        return self._torn + sum(shipment.joiner.torn for shipment in (self._own, *self._left))

    @property
    def refusal(self) -> str | None:
        """Why it would not take the last of them."""
        said = [shipment.refusal for shipment in (*self._left, self._own) if shipment.refusal]
        return said[-1] if said else self._refusal

    def start(self) -> None:
        """Begin."""
        self._database.on_up(self._hurry.set)
        self._thread.start()

    async def restored(self, timeout: float) -> bool:
        """Wait until budgets stand where they stood; False if that takes longer."""
        return await asyncio.to_thread(self._restored.wait, timeout)

    async def drained(self, timeout: float) -> bool:
        """Wait until all that was written down before is in the database; False if that takes longer.

        After the journal is closed, calls that are still open become "unsettled" here.
        """
        drained = threading.Event()
        self._drains.append(drained)
        self._hurry.set()
        return await asyncio.to_thread(drained.wait, timeout)

    def close(self) -> None:
        """Finish the batch at hand. What is not shipped waits for the next process."""
        self._closing.set()
        self._hurry.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)
        for shipment in self._left:
            shipment.folder.unlock()
        if self._journal.closed:
            self._own.folder.unlock()
        else:
            self._journal.attended = False

    async def aclose(self) -> None:
        """``close``, without holding the loop up."""
        await asyncio.to_thread(self.close)

    def _run(self) -> None:
        pause = _GATHER_SECONDS
        while not self._closing.is_set():
            self._hurry.clear()
            drains = [*self._drains]
            try:
                more = self._round()
            except Exception as error:  # noqa: BLE001 - whatever it is, the journal keeps everything
                self.failing = self._told(error)
                self._hurry.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            self.failing, pause = self._trouble, _GATHER_SECONDS
            if not more:
                for drained in drains:
                    drained.set()
                    self._drains.remove(drained)
                self._hurry.wait(_GATHER_SECONDS)

    def _round(self) -> bool:
        """Ship a batch of each journal; whether there is more. Raises what is in the way of all."""
        self._adopt()
        self._trouble, more = None, False
        for shipment in [*self._left]:
            try:
                more = self._ship(shipment) or more
            except OSError as error:  # of its files; the others may be well
                self._trouble = self._told(error)
                if not shipment.folder.path.exists():  # somebody has deleted it
                    self._left.remove(shipment)
        if not more:
            self._restore()
        if self._restored.is_set() and not self._own.done:
            more = self._ship(self._own) or more
        self._tidy()
        return more

    def _ship(self, shipment: Shipment) -> bool:
        calls = shipment.ship()
        self.shipped += max(0, calls)
        if shipment.done and shipment in self._left:
            self._left.remove(shipment)
            self._refused += shipment.refused
            self._torn += shipment.joiner.torn
            self._refusal = shipment.refusal or self._refusal
        self._count_others()
        # Under load something always comes: small batches without end would cost more than the calls.
        return calls >= 0 and not shipment.caught_up

    def _count_others(self) -> None:
        with suppress(OSError):  # of a folder that somebody deletes meanwhile
            self._journal.elsewhere = sum(each.waiting_bytes for each in self._left)

    def _adopt(self) -> None:
        now = time.monotonic()
        if now - self._adopts >= _ADOPT_SECONDS:
            self._adopts = now
            for folder in left_behind(self._journal.root):
                self._left.append(Shipment(folder, self._database, clock=self._clock))
            self._count_others()

    def _restore(self) -> None:
        if not self._restored.is_set():
            limits, now = self._limits, self._clock()
            if limits is not None:
                self._database.run_now(
                    lambda connection: load(connection, limits, now), read_only=True
                )
            self._restored.set()

    def _tidy(self) -> None:
        now = time.monotonic()
        if now - self._forgets >= _FORGET_SECONDS:
            self._database.run_now(lambda connection: forget(connection, self._clock()))
            self._forgets = now

    def _told(self, error: Exception) -> str:
        state = self._database.state
        if isinstance(error, OverloadedError) and state.status == "down" and state.error:
            return f"the database can't be used: {state.error}"
        return error.text if isinstance(error, OverloadedError) else in_words(error)
