"""Health: what the parts of a gateway say of themselves, from memory.

Nothing here asks a provider, the database or Redis: each part tells what it saw last, so that the
answer comes at once, also while one of them hangs. It is 200 as long as the process can answer at
all: a gateway that lacks its database goes on serving, and restarting it would not help.
"""

import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from polyvox.config.serving import JournalSection
from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.shipping import Shipper
from polyvox.gateway.operations.admission import Admission
from polyvox.limits import RedisLimits
from polyvox.model import Interrupt
from polyvox.routing import Router

__all__ = [
    "Health",
    "HealthReport",
    "Part",
    "Watch",
    "database_part",
    "deployments_part",
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


Watch = Callable[[], Part]


class Health:
    """Puts together what the parts say. None of them may wait for anything."""

    def __init__(
        self,
        watches: Sequence[Watch],
        admission: Admission,
        *,
        draining: Interrupt,
        worker: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watches = watches
        self._admission = admission
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
            in_flight=self._admission.in_flight,
            queued=self._admission.queued,
            parts=parts,
        )


def database_part(database: Database) -> Watch:
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


def journal_part(journal: Journal, section: JournalSection) -> Watch:
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


def shipper_part(shipper: Shipper) -> Watch:
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


def deployments_part(routers: Callable[[], Iterable[Router]]) -> Watch:
    """What is to be said of those that routers ask; which they are, the log and the metrics tell."""

    def watch() -> Part:
        statuses = [router.status() for router in routers()]
        resting = sum(each.rests for status in statuses for each in status)
        dead = sum(all(each.rests for each in status) for status in statuses)
        words = f"{dead} of {len(statuses)} routers have nobody to ask who answers" if dead else ""
        state = "resting" if resting else "up"
        numbers = {"resting": resting, "deployments": sum(map(len, statuses))}
        return Part("deployments", state, words, numbers=numbers)

    return watch


def redis_part(store: RedisLimits, purpose: str, on_failure: Literal["deny", "allow"]) -> Watch:
    """What is to be said of a Redis: its purpose ("limits"), and what is done without it."""
    fate = "calls that have limits are refused" if on_failure == "deny" else "calls are not counted"

    def watch() -> Part:
        down = store.state == "down"
        words = f"the Redis of the {purpose} can't be used: {fate}" if down else ""
        if restoring := store.restoring and not down:
            words = (
                f"the Redis of the {purpose} has lost its data, and budgets are being put back from the"
                f" database: until then {fate}"
            )
        numbers = {"owed": store.owed, "lost": store.lost}
        state = "restoring" if restoring else store.state
        return Part(f"redis ({purpose})", state, words, numbers=numbers)

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
        where = f"it is wrong in {place[0]}, as the log tells" if place else "the log tells why"
        words = "the newest configuration was refused, and the one before it goes on"
        return Part("configuration", "refused", f"{words}; {where}")

    return watch


_PLACE = re.compile(r"[^/\\\s]+, line \d+: [\w.-]+(?= )")
"""Of a message about a file of configuration: its name, the line, and the field."""
