"""What stands in the journal gets into the database: each record once, whoever is there when."""

from pathlib import Path

from sqlalchemy import select

from polyvox.attempt import Attempt
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import attempts, calls
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.lines import Ended
from polyvox.usage import Cost, Usage

from .rig import AT, PATIENCE, Ledger, attempt, begun, ended, record, settle_all, shipping, small


async def test_a_call_and_its_attempts_stand_in_the_ledger(database: Database, tmp_path: Path):
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        journal.begin(begun("c1", tags={"feature": "plan"}, session="s"))
        journal.attempt("c1", attempt(None, error="network"))
        journal.attempt("c1", attempt(250, request_id="r"))
        journal.end(ended("c1", 250))
        assert await shipper.drained(PATIENCE)
        ledger = Ledger(database)
        assert ledger.calls() == {"c1": ("ok", 250)}
        assert ledger.attempts() == {("c1", 0): 0, ("c1", 1): 250}
        assert ledger.balance() == 250
        assert shipper.shipped == 1
        assert shipper.lag.bytes == 0
        assert shipper.lag.seconds == 0
        assert journal.waiting_bytes == 0


async def test_nothing_is_left_of_a_journal_that_is_closed_and_shipped(
    database: Database, tmp_path: Path
):
    root = tmp_path / "j"
    async with shipping(root, database) as (journal, shipper):
        for number in range(40):
            record(journal, f"c{number}")
        journal.close()
        assert await shipper.drained(PATIENCE)
    assert list(root.iterdir()) == []
    ledger = Ledger(database)
    assert ledger.journals() == 0
    assert len(ledger.calls()) == 40
    assert ledger.balance() == 4000


async def test_shipped_segments_are_deleted_while_a_call_in_them_goes_on(
    database: Database, tmp_path: Path
):
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        journal.begin(begun("long"))
        journal.attempt("long", attempt(1))
        for number in range(100):
            record(journal, f"c{number}")
            if number % 10 == 9:
                assert await shipper.drained(PATIENCE)
        segments = journal.folder.segments()
        assert len(segments) == 1
        assert segments[0] > 10
        journal.attempt("long", attempt(2))
        journal.end(ended("long", 3))
        assert await shipper.drained(PATIENCE)
        ledger = Ledger(database)
        assert ledger.calls()["long"] == ("ok", 3)
        assert ledger.attempts()["long", 1] == 2
        assert len(ledger.calls()) == 101


async def test_what_a_dead_process_left_is_shipped_and_its_open_calls_are_unsettled(
    database: Database, tmp_path: Path
):
    root = tmp_path / "j"
    dead = Journal(root, small())
    record(dead, "whole")
    dead.begin(begun("asking", reserved=900))
    dead.begin(begun("asked", reserved=900))
    dead.attempt("asked", attempt(70))
    dead.begin(begun("dear", reserved=900))
    dead.attempt("dear", attempt(950))
    dead.close()
    await settle_all(root, database)
    ledger = Ledger(database)
    assert ledger.calls() == {
        "whole": ("ok", 100),
        "asking": ("unsettled", 0),
        "asked": ("unsettled", 70),
        "dear": ("unsettled", 950),
    }
    assert ledger.balance() == 100 + 900 + 900 + 950
    assert list(root.iterdir()) == []


async def test_a_journal_that_is_in_use_is_nobody_elses(database: Database, tmp_path: Path):
    root = tmp_path / "j"
    living = Journal(root, small())
    living.begin(begun("c1"))
    await settle_all(root, database)
    assert Ledger(database).calls() == {}
    living.end(ended("c1"))
    living.close()
    await settle_all(root, database)
    assert Ledger(database).calls() == {"c1": ("ok", 0)}


async def test_every_field_stands_in_its_column(database: Database, tmp_path: Path):
    begin = begun(
        "c1",
        key="key_1",
        organisation="org",
        team="team",
        end_user="Zoë 🙂",
        kind="embedding",
        dialect="openai-chat",
        session="s",
        context="ctx_1",
        prompt="p@2",
        tags={"feature": 'pl"an', "ü": "🙂"},
    )
    usage = Usage(*range(1, 9), "partial", Cost("known", 2**53 + 1, source="provider"))
    asked = Attempt(
        provider="openai",
        model="m",
        started=AT + 0.123456789,
        seconds=0.1,
        first_byte=0.05,
        usage=usage,
        error="server",
        status=503,
        response_model="m-2",
        request_id="req_1",
    )
    end = Ended(
        id="c1",
        at=AT + 2,
        error="server",
        partial=True,
        cached=True,
        seconds=1.25,
        first_token=0.5,
        overhead=0.001,
    )
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        journal.begin(begin)
        journal.attempt("c1", asked)
        journal.end(end)
        record(journal, "plain")
        assert await shipper.drained(PATIENCE)
    rows = await database.run(lambda c: [*c.execute(select(calls)).mappings()], read_only=True)
    found = {row["id"]: dict(row) for row in rows}
    fields = begin.__struct_fields__
    for name in fields:
        if name in calls.c:
            assert found["c1"][name] == getattr(begin, name), name
    for name in ("partial", "cached", "seconds", "first_token", "overhead"):
        assert found["c1"][name] == getattr(end, name), name
    for name in ("input_tokens", "output_tokens", "cache_read_tokens", "reasoning_tokens"):
        assert found["c1"][name] == getattr(usage, name), name
    assert found["c1"]["status"] == "server"
    assert (found["c1"]["nanos"], found["c1"]["cost_status"]) == (2**53 + 1, "known")
    assert found["plain"]["session"] is None
    assert found["plain"]["tags"] == {}
    assert found["plain"]["partial"] is False
    (row,) = await database.run(
        lambda c: [*c.execute(select(attempts).where(attempts.c.call == "c1")).mappings()],
        read_only=True,
    )
    assert (row["at"], row["status_code"], row["number"]) == (asked.started, 503, 0)
    for name in ("provider", "model", "seconds", "first_byte", "error", "request_id"):
        assert row[name] == getattr(asked, name), name
    for name in (name for name in attempts.c.keys() if name.endswith("_tokens")):  # noqa: SIM118
        assert row[name] == getattr(usage, name), name
    assert (row["basis"], row["nanos"], row["cost_status"], row["cost_source"]) == (
        "partial",
        2**53 + 1,
        "known",
        "provider",
    )
