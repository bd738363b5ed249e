"""However lines and crashes follow each other, every record gets into the ledger exactly once."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from polyvox.config.serving import JournalSection
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import journals
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.folders import Folder, left_behind
from polyvox.gateway.journal.lines import Ended
from polyvox.gateway.journal.shipment import Shipment

from .rig import AT, Ledger, attempt, begun

SECTION = JournalSection(segment_bytes=300, fsync_seconds=3600)
CALLS = ["a", "b", "c"]


class CrashError(Exception):
    """The process of the shipper ends here."""


class Crashing:
    """A database, and a process that may end before or after a commit."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.crash: str | None = None

    def run_now(self, work, *, read_only=False):
        def worked(connection):
            value = work(connection)
            if self.crash == "before the commit" and not read_only:
                raise CrashError
            return value

        value = self.database.run_now(worked, read_only=read_only)
        if self.crash == "after the commit" and not read_only:
            raise CrashError
        return value


class CrashingFolder(Folder):
    """A folder whose files are deleted by a process that may end after so many of them."""

    left: int | None = None

    def drop_before(self, number: int) -> None:
        self._maybe_crash([each for each in self._files() if int(each.stem) < number])
        super().drop_before(number)

    def remove(self) -> None:
        self._maybe_crash(self._files())
        super().remove()

    def _files(self) -> list[Path]:
        return [*self.path.glob("*.jsonl"), *self.path.glob("*.open")]

    def _maybe_crash(self, files: list[Path]) -> None:
        if self.left is not None:
            for path in files[: self.left]:
                path.unlink()
            raise CrashError


class FullShipment(Shipment):
    """Where, when the disk is full, can't be written down what is open."""

    full = False

    def _carry(self, segment: int) -> None:
        if not self.full:
            super()._carry(segment)


class World:
    """A gateway's process that writes, one that ships, and what is expected of them."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.database = Crashing(database)
        self.account = f"budget:{root.name}:total"
        self.expected: dict[str, tuple[str, int]] = {}
        self.debited = 0
        self.open: dict[str, str] = {}
        self.count = 0
        self.full = False
        self.shipment: FullShipment | None = None
        self.journal = Journal(root, SECTION)

    def begin(self, call: str) -> None:
        if call not in self.open:
            self.count += 1
            self.open[call] = name = f"{self.root.name}-{self.count}"
            self.expected[name] = ("unsettled", 0)
            self.debited += 50
            self.journal.begin(begun(name, [(self.account, 0, 50)]))

    def attempt(self, call: str) -> None:
        if call in self.open:
            name = self.open[call]
            _, nanos = self.expected[name]
            self.expected[name] = ("unsettled", nanos + 30)
            self.debited += max(50, nanos + 30) - max(50, nanos)
            self.journal.attempt(name, attempt(30))

    def end(self, call: str) -> None:
        if call in self.open:
            name = self.open.pop(call)
            _, nanos = self.expected[name]
            self.expected[name] = ("ok", nanos)
            self.debited += nanos - max(50, nanos)
            self.journal.end(Ended(id=name, at=AT, debits=[(self.account, 0, nanos)]))

    def ship(self, crash: str | int | None = None) -> None:
        if self.shipment is None:
            folder = CrashingFolder(self.journal.folder.path)
            self.shipment = FullShipment(folder, self.database, self.journal, most=500)
        self.shipment.full = self.full
        self.database.crash = crash if isinstance(crash, str) else None
        self.shipment.folder.left = crash if isinstance(crash, int) else None
        try:
            self.shipment.ship()
        except CrashError:
            self.shipment = None

    def fill(self) -> None:
        self.full = not self.full

    def forget(self) -> None:
        """As with a backup of the database that is older than the journal's position."""
        self.database.database.run_now(lambda connection: connection.execute(delete(journals)))
        self.shipment = None

    def die(self) -> None:
        """The process ends; another one begins."""
        self.open.clear()
        self.shipment = None
        end(self.journal)
        self.journal = Journal(self.root, SECTION)

    def finish(self) -> None:
        end(self.journal)
        self.database.crash = None
        for folder in left_behind(self.root):
            shipment = Shipment(folder, self.database, most=500)
            while not shipment.done:
                shipment.ship()


def end(journal: Journal) -> None:
    """End it as a kill does: whatever is open stays open, and the lock is gone."""
    journal._closing.set()
    journal._work.set()
    if journal._thread is not None:
        journal._thread.join()
    journal._file.abandon()
    journal.folder.unlock()


STEPS = st.one_of(
    st.tuples(st.sampled_from(["begin", "attempt", "end"]), st.sampled_from(CALLS)),
    st.tuples(st.sampled_from(["begin", "attempt", "end"]), st.sampled_from(CALLS)),
    st.just(("ship",)),
    st.tuples(st.just("ship"), st.sampled_from(["before the commit", "after the commit", 0, 1, 2])),
    st.sampled_from([("forget",), ("die",), ("fill",)]),
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('database') / 'gateway.db'}")
    database.open_now()
    yield database
    database.close()


@settings(max_examples=settings().max_examples // 2)
@given(st.lists(STEPS, min_size=30, max_size=90))
def test_lines_and_crashes_in_any_order_give_each_record_exactly_once(opened: Database, steps):
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder), opened)
        for step, *arguments in steps:
            getattr(world, step)(*arguments)
        world.finish()
        mark = f"{world.root.name}-"
        ledger = Ledger(opened)
        found = {name: call for name, call in ledger.calls().items() if name.startswith(mark)}
        assert found == world.expected
        spent = sum(
            nanos for (name, _), nanos in ledger.attempts().items() if name.startswith(mark)
        )
        assert spent == sum(nanos for _, nanos in world.expected.values())
        assert ledger.balance(world.account) == world.debited
        assert list(world.root.glob("*/*.*")) == []
