"""Budgets in memory begin where they stood when the last process ended, however it ended."""

from datetime import UTC, datetime
from pathlib import Path

from polyvox.gateway.database.bounds import Bounds
from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal.balances import forget
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.lines import Begun, Ended, Reserved
from polyvox.limits import Budget, MemoryLimits
from polyvox.limits.budget import BudgetLimit
from polyvox.model import Call
from polyvox.usage import Cost, Usage

from .rig import ACCOUNT, PATIENCE, Ledger, attempt, begun, record, settle_all, shipping, small

NOON = datetime(2026, 5, 5, 12, 0, tzinfo=UTC).timestamp()
DAY = 86_400.0
DOLLAR = 1_000_000_000
DAILY = BudgetLimit(Budget(10, per="day", time_zone="Europe/Berlin", name="daily"))
TOTAL = BudgetLimit(Budget(100, name="all"))


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def spend(journal: Journal, name: str, dollars: float, at: float, *, end: bool = True) -> None:
    quote = Usage(cost=Cost("known", round(dollars * DOLLAR)))
    holds = [limit.hold(quote, Call()) for limit in (DAILY, TOTAL)]
    debits = [(hold.key, int(hold.meter.mark(at)), int(hold.amount)) for hold in holds]
    journal.begin(Begun(id=name, at=at, model="m", reserved=debits))
    if end:
        journal.end(Ended(id=name, at=at + 1, debits=debits))


async def used(limits: MemoryLimits, limit: BudgetLimit) -> float:
    """In dollars."""
    hold = limit.hold(Usage(cost=Cost("known", 10**15)), Call())
    (standing,) = await limits.reserve("look", [hold])
    return standing.used / DOLLAR


async def restored(root: Path, database: Database, clock: Clock) -> MemoryLimits:
    limits = MemoryLimits(clock=clock)
    async with shipping(root, database, limits, clock=clock) as (_, shipper):
        assert await shipper.restored(PATIENCE)
    return limits


async def test_what_was_spent_today_counts_and_what_was_spent_yesterday_does_not(
    database: Database, tmp_path: Path
):
    root = tmp_path / "j"
    async with shipping(root, database, clock=Clock()) as (journal, _):
        spend(journal, "old", 4, NOON - DAY)
        spend(journal, "new", 3, NOON)
        spend(journal, "more", 2, NOON + 5)
    limits = await restored(root, database, Clock(NOON + 60))
    assert await used(limits, DAILY) == 5
    assert await used(limits, TOTAL) == 9


async def test_the_day_is_that_of_the_budget_s_time_zone(database: Database, tmp_path: Path):
    root = tmp_path / "j"
    berlin_midnight = NOON + 10 * 3600
    async with shipping(root, database, clock=Clock()) as (journal, _):
        spend(journal, "before", 4, berlin_midnight - 1)
        spend(journal, "after", 3, berlin_midnight)
    assert await used(await restored(root, database, Clock(berlin_midnight + 9)), DAILY) == 3


async def test_a_debt_goes_on_into_the_next_days(database: Database, tmp_path: Path):
    root = tmp_path / "j"
    async with shipping(root, database, clock=Clock()) as (journal, _):
        spend(journal, "dear", 35, NOON - 2 * DAY)
        spend(journal, "cheap", 1, NOON - DAY)
    for days, left in ((0, 16), (1, 6), (2, 0)):
        limits = await restored(root, database, Clock(NOON + days * DAY))
        assert await used(limits, DAILY) == left


async def test_lines_that_were_not_shipped_yet_count_too_and_cut_off_calls_keep_their_reservation(
    database: Database, tmp_path: Path
):
    root = tmp_path / "j"
    dead = Journal(root, small())
    spend(dead, "whole", 2, NOON)
    spend(dead, "cut off", 3, NOON, end=False)
    dead.close()
    assert await used(await restored(root, database, Clock()), DAILY) == 5


async def test_calls_of_this_process_are_not_counted_twice(database: Database, tmp_path: Path):
    limits = MemoryLimits(clock=Clock())
    hold = TOTAL.hold(Usage(cost=Cost("known", 7 * DOLLAR)), Call())
    async with shipping(tmp_path / "j", database, limits, clock=Clock()) as (journal, shipper):
        await limits.reserve("r", [hold])
        await limits.settle("r", [hold], [7 * DOLLAR])
        spend(journal, "own", 7, NOON)
        assert await shipper.restored(PATIENCE)
        assert await shipper.drained(PATIENCE)
        assert await used(limits, TOTAL) == 7
    assert Ledger(database).balance("budget:all:total") == 7 * DOLLAR
    assert await used(await restored(tmp_path / "j", database, Clock()), TOTAL) == 7


async def test_a_database_that_comes_late_debits_what_was_used_before(tmp_path: Path):
    root, path = tmp_path / "j", tmp_path / "folder" / "gateway.db"
    dead = Journal(root, small())
    spend(dead, "earlier", 4, NOON)
    dead.close()
    path.parent.write_text("no folder")
    database = Database(f"sqlite:///{path}", bounds=Bounds(first_pause=0.02, longest_pause=0.1))
    await database.open()
    limits = MemoryLimits(clock=Clock())
    async with shipping(root, database, limits, clock=Clock()) as (journal, shipper):
        assert not await shipper.restored(0.05)
        hold = TOTAL.hold(Usage(cost=Cost("known", 2 * DOLLAR)), Call())
        await limits.reserve("r", [hold])
        await limits.settle("r", [hold], [2 * DOLLAR])
        spend(journal, "own", 2, NOON)
        assert await used(limits, TOTAL) == 2
        path.parent.unlink()
        assert await shipper.restored(PATIENCE)
        assert await used(limits, TOTAL) == 6
    await database.aclose()


async def test_a_call_that_is_cut_off_keeps_what_was_last_reserved_around_its_models(
    database: Database, tmp_path: Path
):
    key, monthly = ("budget:key:k:total", 0, 5), ("budget:monthly:month", 24_317, 40)
    dead = Journal(tmp_path / "j", small())
    dead.begin(begun("c1", [key]))
    dead.reserve(Reserved(id="c1", debits=[key, ("budget:monthly:month", 24_317, 90)]))
    dead.attempt("c1", attempt(30))
    dead.reserve(Reserved(id="c1", debits=[key, monthly]))
    dead.close()
    await settle_all(tmp_path / "j", database)
    assert Ledger(database).calls() == {"c1": ("unsettled", 30)}
    assert Ledger(database).balance("budget:monthly:month") == 40
    assert Ledger(database).balance("budget:key:k:total") == 30


async def test_what_was_reserved_around_models_is_known_when_the_segments_before_are_gone(
    database: Database, tmp_path: Path
):
    root = tmp_path / "j"
    async with shipping(root, database) as (journal, shipper):
        journal.begin(begun("long", []))
        journal.reserve(Reserved(id="long", debits=[("budget:monthly:month", 24_317, 40)]))
        for number in range(20):
            record(journal, f"c{number}")
        assert await shipper.drained(PATIENCE)
        assert min(journal.folder.segments()) > 1
    await settle_all(root, database)
    assert Ledger(database).calls()["long"] == ("unsettled", 0)
    assert Ledger(database).balance("budget:monthly:month") == 40


async def test_more_that_is_reserved_for_a_call_that_is_over_is_dropped(tmp_path: Path):
    journal = Journal(tmp_path / "j", small())
    record(journal, "c1")
    journal.reserve(Reserved(id="c1", debits=[(ACCOUNT, 0, 1)]))
    assert journal.dropped == 1
    journal.close()


async def test_windows_of_long_ago_are_forgotten_and_totals_are_not(
    database: Database, tmp_path: Path
):
    root = tmp_path / "j"
    async with shipping(root, database, clock=Clock()) as (journal, shipper):
        spend(journal, "old", 4, NOON - 100 * DAY)
        spend(journal, "new", 3, NOON)
        assert await shipper.drained(PATIENCE)
        await database.run(lambda connection: forget(connection, NOON))
    ledger = Ledger(database)
    assert ledger.balance("budget:daily:day") == 3 * DOLLAR
    assert ledger.balance("budget:all:total") == 7 * DOLLAR
