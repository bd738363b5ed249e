"""Health: what the parts of a gateway say of themselves, from memory.

Nothing here asks a provider, the database or Redis: each part tells what it saw last, so that the
answer comes at once, also while one of them hangs. It is 200 as long as the process can answer at
all: a gateway that lacks its database goes on serving, and restarting it would not help.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from polyvox.config.serving import JournalSection
from polyvox.model import Interrupt

__all__ = [
    "Health",
    "HealthReport",
    "Part",
    "Watch",
    "database_part",
    "journal_part",
    "redis_part",
    "reload_part",
    "shipper_part",
]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of the gateway.

    ``degraded`` says in words what does not work as it should, and what becomes of calls meanwhile;
    it is empty if all is well. ``numbers`` are what there is to count.
    """

    name: str
    state: str
    degraded: str = ""
    since: float | None = None
    numbers: dict[str, int] = {}


class HealthReport(msgspec.Struct, frozen=True):
    """How the worker is that answered.

    ``status``    "ok"; "degraded": calls are served, but not everything works; "draining": it stops
    ``degraded``  what does not work, in words
    """

    status: Literal["ok", "degraded", "draining"]
    degraded: list[str]
    worker: int
    uptime_seconds: float
    in_flight: int
    queued: int
    parts: list[Part]


class Counted(Protocol):
    """Knows how many calls are in, and how many wait."""

    @property
    def in_flight(self) -> int: ...
    @property
    def queued(self) -> int: ...


class Stated(Protocol):
    """A store that is somewhere else: "up", "down", or "untried"."""

    @property
    def state(self) -> str: ...


class DatabaseState(Protocol):
    """Whether a database can be used, and since when."""

    @property
    def status(self) -> str: ...
    @property
    def since(self) -> float: ...


class Stored(Protocol):
    """A database."""

    @property
    def state(self) -> DatabaseState: ...


class Shipping(Protocol):
    """What takes records from the journal into the database."""

    @property
    def refused(self) -> int: ...


class Books(Protocol):
    """A journal, as far as it tells of itself."""

    @property
    def failing(self) -> str | None: ...
    @property
    def waiting_bytes(self) -> int: ...
    @property
    def dropped(self) -> int: ...


Watch = Callable[[], Part]


class Health:
    """Puts together what the parts say. None of them may wait for anything."""

    def __init__(
        self,
        watches: Sequence[Watch],
        calls: Counted,
        *,
        draining: Interrupt,
        worker: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watches = watches
        self._calls = calls
        self._draining = draining
        self._worker = worker
        self._clock = clock
        self._began = clock()

    def report(self) -> HealthReport:
        """How everything is now."""
        parts = [watch() for watch in self._watches]
        degraded = [part.degraded for part in parts if part.degraded]
        status: Literal["ok", "degraded", "draining"] = "degraded" if degraded else "ok"
        return HealthReport(
            status="draining" if self._draining.is_set else status,
            degraded=degraded,
            worker=self._worker,
            uptime_seconds=round(self._clock() - self._began, 3),
            in_flight=self._calls.in_flight,
            queued=self._calls.queued,
            parts=parts,
        )


def database_part(database: Stored) -> Watch:
    """What is to be said of the database; not why it is down, which may name its host: the log does."""

    def watch() -> Part:
        state = database.state
        words = "" if state.status == "up" else _DATABASE_DOWN
        return Part("database", state.status, words, since=state.since)

    return watch


_DATABASE_DOWN = (
    "the database can't be reached: calls go on with the keys that are known, records wait in the"
    " journal, and what is kept in the database can't be read or changed"
)


def journal_part(journal: Books, section: JournalSection) -> Watch:
    """What is to be said of the journal."""

    def watch() -> Part:
        words = ""
        if journal.failing:
            fate = "refused" if section.on_failure == "deny" else "served without being recorded"
            words = f"the journal can't be written: calls are {fate}"
        elif journal.waiting_bytes >= section.max_bytes // 2:
            words = "the journal is more than half full: its records wait for the database"
        numbers = {"waiting_bytes": journal.waiting_bytes, "dropped": journal.dropped}
        return Part("journal", "failing" if journal.failing else "up", words, numbers=numbers)

    return watch


def shipper_part(shipper: Shipping) -> Watch:
    """What is to be said of the way from the journal into the database."""

    def watch() -> Part:
        refused = shipper.refused
        words = (
            f"the database refused {refused} records: they are kept in refused.jsonl"
            if refused
            else ""
        )
        state = "refusals" if refused else "up"
        return Part("shipper", state, words, numbers={"refused": refused})

    return watch


def redis_part(store: Stated, purpose: str, on_failure: Literal["deny", "allow"]) -> Watch:
    """What is to be said of a Redis: its purpose ("limits"), and what is done without it."""
    fate = "calls that have limits are refused" if on_failure == "deny" else "calls are not counted"

    def watch() -> Part:
        down = store.state == "down"
        words = f"the Redis of the {purpose} can't be reached: {fate}" if down else ""
        owed = int(getattr(store, "owed", 0))
        return Part(f"redis ({purpose})", store.state, words, numbers={"owed": owed})

    return watch


def reload_part(failure: Callable[[], str | None]) -> Watch:
    """What is to be said of the configuration: whether the newest one was refused, and where it is wrong.

    What stands there may be a secret at the wrong place, and health is open to all: the log tells that.
    """

    def watch() -> Part:
        why = failure()
        if not why:
            return Part("configuration", "current")
        place = _PLACE.search(why)
        where = f"in {place[0]}, as the log tells" if place else "the log tells where"
        words = "the newest configuration was refused, and the one before it goes on"
        return Part("configuration", "refused", f"{words}; it is wrong {where}")

    return watch


_PLACE = re.compile(r"[^/\\\s]+, line \d+: [\w.-]+(?= )")
"""Of a message about a file of configuration: its name, the line, and the field."""
