from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from polyvox.errors import BadRequestError
from polyvox.gateway.database import reports
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.reports import (
    EVERYTHING,
    Scope,
    UsageQuery,
    UsageReport,
    UsageRow,
    usage,
)

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0
DAY = 24 * HOUR


def asked(
    database: Database, scope: Scope = EVERYTHING, by: str | tuple[str, ...] = (), **query: Any
) -> UsageReport:
    query |= {"by": (by,) if isinstance(by, str) else by}
    return database.run_now(
        lambda connection: usage(connection, scope, UsageQuery(**query)), read_only=True
    )


def named(row: UsageRow) -> str:
    (name,) = row.by.values()
    return name


def costs(report: UsageReport) -> dict[str, int]:
    return {named(row): row.nanos for row in report.rows}


def test_nothing_was_used_where_nothing_was_asked(database: Database):
    for by in ((), "model", "provider"):
        for per in ("total", "day"):
            report = asked(database, by=by, per=per)
            assert report == UsageReport([], UsageRow())
    assert str(asked(database).total.cost) == "free"


def test_sums_are_exact_beyond_what_a_float_can_hold(database: Database, ledger):
    odd = 2**53 + 1
    for _ in range(3):
        ledger.call(NOON, nanos=odd, input_tokens=odd)
    for by in ((), "model", "provider"):
        report = asked(database, by=by)
        assert report.total.nanos == report.rows[0].nanos == 3 * odd
        assert report.total.input_tokens == 3 * odd
        assert type(report.total.nanos) is int
        assert report.total.dollars == report.rows[0].dollars == "27021597.764222979"


@pytest.mark.parametrize("known", [0, 700])
def test_an_unknown_price_is_shown_as_unknown_and_never_as_zero(
    database: Database, ledger, known: int
):
    ledger.call(NOON, model="a", cost_status="free")
    ledger.call(NOON, model="b", cost_status="unknown", nanos=known)
    ledger.call(NOON, model="c", nanos=5)
    by_model = asked(database, by="model")
    assert {named(row): row.cost_status for row in by_model.rows} == {
        "a": "free",
        "b": "unknown",
        "c": "known",
    }
    assert by_model.total.cost_status == "unknown"
    assert {named(row): row.dollars for row in by_model.rows} == {
        "a": "0.00",
        "b": None,
        "c": "0.000000005",
    }
    assert by_model.total.dollars is None
    assert by_model.total.unpriced == 1
    assert "unknown" in str(by_model.total.cost)
    assert asked(database).total == asked(database).rows[0] == by_model.total
    assert asked(database, by="provider").total.cost_status == "unknown"


@pytest.mark.parametrize(
    "by", ["key", "organisation", "team", "model", "end_user", "session", "context", "prompt"]
)
def test_usage_is_added_up_by_each_name(database: Database, ledger, by: str):
    ledger.call(NOON, **{by: "one"}, nanos=1)
    ledger.call(NOON, **{by: "two"}, nanos=10)
    ledger.call(NOON, **{by: "one"}, nanos=100)
    report = asked(database, by=by)
    assert [(row.by, row.nanos, row.calls) for row in report.rows] == [
        ({by: "one"}, 101, 2),
        ({by: "two"}, 10, 1),
    ]
    assert asked(database, filters={by: "two"}).total.nanos == 10


def test_what_has_no_session_is_a_row_too(database: Database, ledger):
    ledger.call(NOON, nanos=1)
    ledger.call(NOON, session="s", nanos=2)
    assert costs(asked(database, by="session")) == {"": 1, "s": 2}
    assert asked(database, filters={"session": ""}).total.nanos == 1


@pytest.mark.parametrize("tag", ["feature", 'odd"name', "$.a[0]", "ä b", "'"])
def test_usage_by_tag_takes_any_name(database: Database, ledger, tag: str):
    ledger.call(NOON, tags={tag: "plan", "other": "x"}, nanos=1)
    ledger.call(NOON, tags={tag: "chat"}, nanos=2)
    ledger.call(NOON, tags={"other": "x"}, nanos=4)
    assert costs(asked(database, by=f"tag:{tag}")) == {"": 4, "chat": 2, "plan": 1}
    assert asked(database, filters={f"tag:{tag}": "plan"}).total.nanos == 1
    assert asked(database, filters={f"tag:{tag}": "plan", "tag:other": "y"}).total.calls == 0


def test_by_provider_each_attempt_counts_where_it_was_made(database: Database, ledger):
    first = {"provider": "openai", "nanos": 3, "error": "overloaded"}
    second = {"provider": "anthropic", "nanos": 4}
    ledger.call(NOON, nanos=7, asked=[first, second])
    ledger.call(NOON, nanos=1, asked=[{"provider": "openai", "nanos": 1}])
    report = asked(database, by="provider")
    assert costs(report) == {"openai": 4, "anthropic": 4}
    assert {named(row): (row.calls, row.failures) for row in report.rows} == {
        "openai": (2, 1),
        "anthropic": (1, 0),
    }
    assert (report.total.calls, report.total.nanos) == (2, 8)
    assert asked(database, filters={"provider": "anthropic"}).total.nanos == 4


def test_failed_unsettled_and_cached_calls_are_counted(database: Database, ledger):
    ledger.call(NOON, cached=True, asked=[], cost_status="free")
    ledger.call(NOON, status="overloaded")
    ledger.call(NOON, status="unsettled", cost_status="unknown")
    total = asked(database).total
    assert (total.calls, total.failures, total.unsettled, total.cached) == (3, 2, 1, 1)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
@pytest.mark.parametrize("per", ["hour", "day", "week", "month"])
def test_rows_follow_the_calendar_of_a_time_zone(database: Database, ledger, per, zone: str):
    """Over the day on which clocks in Europe are put forward."""
    times = [NOON + step * 0.37 * DAY for step in range(-9, 9)]
    for number, at in enumerate(times):
        ledger.call(at, nanos=10**number)
    rows = asked(database, per=per, zone=zone).rows
    assert sum(row.nanos for row in rows) == sum(10**number for number in range(len(times)))
    for row in rows:
        inside = [10**n for n, at in enumerate(times) if row.start <= at < row.end]
        assert row.nanos == sum(inside)
        local = datetime.fromtimestamp(row.start, ZoneInfo(zone))
        assert (local.minute, local.second) == (0, 0)
        assert per == "hour" or local.hour == 0
    assert [row.start for row in rows] == sorted({row.start for row in rows})


def test_a_row_is_of_a_time_and_a_name(database: Database, ledger):
    for day, key, nanos in ((0, "a", 1), (0, "b", 2), (1, "a", 4), (1, "a", 8)):
        ledger.call(NOON + day * DAY, key=key, nanos=nanos)
    rows = asked(database, per="day", by="key").rows
    assert [(named(row), row.nanos) for row in rows] == [("b", 2), ("a", 1), ("a", 12)]
    assert rows[0].start == rows[1].start < rows[2].start


def test_a_row_is_of_as_many_names_as_are_asked_for(database: Database, ledger):
    for team, model, feature, nanos in (
        *(("core", "a", "plan", 1), ("core", "b", "plan", 2), ("web", "a", "plan", 4)),
        *(("core", "a", "chat", 8), ("core", "a", "plan", 16)),
    ):
        ledger.call(NOON, team=team, model=model, tags={"feature": feature}, nanos=nanos)
    report = asked(database, by=("team", "model", "tag:feature"), per="month")
    assert [(row.by, row.nanos) for row in report.rows] == [
        ({"team": "core", "model": "a", "tag:feature": "plan"}, 17),
        ({"team": "core", "model": "a", "tag:feature": "chat"}, 8),
        ({"team": "web", "model": "a", "tag:feature": "plan"}, 4),
        ({"team": "core", "model": "b", "tag:feature": "plan"}, 2),
    ]
    assert [*report.rows[0].by] == ["team", "model", "tag:feature"]
    assert report.total == asked(database).total
    twice = asked(database, by=("team", "team"), filters={"tag:feature": "plan"})
    assert [(row.by, row.nanos) for row in twice.rows] == [
        ({"team": "core"}, 19),
        ({"team": "web"}, 4),
    ]


def test_a_call_counts_for_each_model_that_was_asked_for_it_and_once_in_all(
    database: Database, ledger
):
    tried = {"provider": "openai", "model": "gpt-5-mini", "error": "overloaded", "nanos": 1}
    answered = {"provider": "azure", "model": "gpt-5-mini", "nanos": 2}
    answered |= {"response_model": "gpt-5-mini-2025-08-07"}
    for team in ("core", "web"):
        ledger.call(NOON, team=team, model="chat", nanos=3, asked=[tried, answered])
    ledger.call(NOON, team="core", model="chat", nanos=2, asked=[answered])
    answers = asked(database, by="response_model")
    assert costs(answers) == {"gpt-5-mini-2025-08-07": 6, "gpt-5-mini": 2}
    assert {named(row): (row.calls, row.failures) for row in answers.rows} == {
        "gpt-5-mini-2025-08-07": (3, 0),
        "gpt-5-mini": (2, 2),
    }
    assert (answers.total.calls, answers.total.nanos) == (3, 8)
    by_team = asked(database, by=("team", "provider"))
    assert [(*row.by.values(), row.nanos, row.calls) for row in by_team.rows] == [
        ("core", "azure", 4, 2),
        ("web", "azure", 2, 1),
        ("core", "openai", 1, 1),
        ("web", "openai", 1, 1),
    ]
    assert by_team.total == answers.total
    only = asked(database, by="team", filters={"response_model": "gpt-5-mini"})
    assert costs(only) == {"core": 1, "web": 1}


def test_a_range_holds_its_beginning_and_not_its_end(database: Database, ledger):
    for at, nanos in ((NOON, 1), (NOON + 1, 2), (NOON + 2, 4)):
        ledger.call(at, nanos=nanos)
    assert asked(database, since=NOON + 1, until=NOON + 2).total.nanos == 2


def test_who_asks_sees_only_what_is_theirs(database: Database, ledger):
    ledger.call(NOON, key="a", organisation="acme", nanos=1)
    ledger.call(NOON, key="b", organisation="acme", nanos=2)
    ledger.call(NOON, key="c", organisation="other", nanos=4)
    ledger.call(NOON, key="d", nanos=8)
    assert asked(database, Scope.of_key("a")).total.nanos == 1
    assert asked(database, Scope.of_organisation("acme")).total.nanos == 3
    assert asked(database).total.nanos == 15
    spying = {"organisation": "other"}
    assert asked(database, Scope.of_organisation("acme"), filters=spying).total.calls == 0
    assert costs(asked(database, Scope.of_organisation("acme"), by="key")) == {"a": 1, "b": 2}
    assert asked(database, Scope.of_key("a"), by="organisation", per="day").total.nanos == 1


def test_keys_without_an_organisation_are_not_one_organisation():
    with pytest.raises(ValueError, match="of_key"):
        Scope.of_organisation("")


@pytest.mark.parametrize("name", ["a' OR '1'='1", 'x"; DROP TABLE calls; --', "\\", "%", "\x00"])
def test_hostile_values_are_values(database: Database, ledger, name: str):
    ledger.call(NOON, nanos=1)
    report = asked(database, filters={"model": name, f"tag:{name}": name})
    assert report.total.calls == 0
    assert asked(database, by=f"tag:{name}").total.nanos == 1


def test_an_unknown_name_is_refused_with_the_nearest_known_one(database: Database):
    with pytest.raises(BadRequestError, match="model"):
        asked(database, by="modell")
    with pytest.raises(BadRequestError, match="team"):
        asked(database, filters={"teams": "x"})


def test_an_unknown_time_zone_is_refused(database: Database, ledger):
    ledger.call(NOON)
    with pytest.raises(BadRequestError, match="Europe/Nowhere"):
        asked(database, per="day", zone="Europe/Nowhere")


def test_a_report_that_would_be_too_long_is_refused(
    database: Database, ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reports, "MOST_ROWS", 3)
    for number in range(4):
        ledger.call(NOON, key=f"key{number}")
    with pytest.raises(BadRequestError, match="more than 3 rows"):
        asked(database, by="key")
    assert len(asked(database, by="key", filters={"key": "key1"}).rows) == 1


def test_a_time_that_has_too_many_hours_is_refused(database: Database, ledger):
    ledger.call(NOON)
    ledger.call(NOON + 20_000 * HOUR)
    with pytest.raises(BadRequestError, match="hour"):
        asked(database, per="hour")
    assert len(asked(database, per="day").rows) == 2


def test_a_report_goes_through_json(database: Database, ledger):
    ledger.call(NOON, nanos=3)
    report = asked(database, per="day", by="model")
    assert msgspec.json.decode(msgspec.json.encode(report), type=UsageReport) == report
