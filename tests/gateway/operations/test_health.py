"""What the gateway says of itself, in every state."""

from types import SimpleNamespace
from typing import Any

import pytest

from polyvox.config.serving import JournalSection
from polyvox.gateway.operations.health import (
    Health,
    HealthReport,
    Watch,
    database_part,
    journal_part,
    redis_part,
    reload_part,
    shipper_part,
)
from polyvox.gateway.operations.ready import Readiness
from polyvox.model import Interrupt

CALLS = SimpleNamespace(in_flight=3, queued=1)


def report(*watches: Watch, draining: bool = False) -> HealthReport:
    switch = Interrupt()
    if draining:
        switch.set()
    return Health(watches, CALLS, draining=switch, worker=2, clock=lambda: 5.0).report()


def database(status: str) -> Any:
    return SimpleNamespace(state=SimpleNamespace(status=status, since=100.0, error="host db.lan"))


def journal(failing: str | None = None, waiting: int = 0, dropped: int = 0) -> Any:
    return SimpleNamespace(failing=failing, waiting_bytes=waiting, dropped=dropped)


def test_when_all_is_well_it_is_ok():
    found = report(database_part(database("up")), journal_part(journal(), JournalSection()))
    assert (found.status, found.degraded, found.worker) == ("ok", [], 2)
    assert (found.in_flight, found.queued) == (3, 1)
    assert [(part.name, part.state) for part in found.parts] == [
        ("database", "up"),
        ("journal", "up"),
    ]


def test_without_its_database_it_says_what_goes_on_and_what_does_not():
    found = report(database_part(database("down")))
    assert found.status == "degraded"
    assert "calls go on with the keys that are known" in found.degraded[0]
    assert found.parts[0].since == 100.0


def test_where_the_database_is_stays_untold():
    assert "db.lan" not in str(report(database_part(database("down"))))


@pytest.mark.parametrize(
    ("on_failure", "fate"), [("deny", "calls are refused"), ("allow", "without being recorded")]
)
def test_a_journal_that_fails_says_what_becomes_of_calls(on_failure: Any, fate: str):
    section = JournalSection(on_failure=on_failure)
    found = report(journal_part(journal(failing="disk full", dropped=7), section))
    assert found.status == "degraded"
    assert fate in found.degraded[0]
    assert (found.parts[0].state, found.parts[0].numbers["dropped"]) == ("failing", 7)


def test_a_journal_that_fills_is_told_before_it_is_full():
    section = JournalSection(max_bytes=1_000)
    assert report(journal_part(journal(waiting=499), section)).status == "ok"
    found = report(journal_part(journal(waiting=500), section))
    assert "more than half full" in found.degraded[0]
    assert found.parts[0].numbers["waiting_bytes"] == 500


@pytest.mark.parametrize(("on_failure", "fate"), [("deny", "refused"), ("allow", "not counted")])
@pytest.mark.parametrize(
    ("state", "status"), [("up", "ok"), ("untried", "ok"), ("down", "degraded")]
)
def test_a_redis_says_what_is_done_without_it(on_failure: Any, fate: str, state: str, status: str):
    store = SimpleNamespace(state=state, restoring=False, owed=4, lost=2)
    found = report(redis_part(store, "limits", on_failure))
    assert found.status == status
    assert found.parts[0].numbers == {"owed": 4, "lost": 2}
    assert (fate in " ".join(found.degraded)) == (state == "down")


@pytest.mark.parametrize(
    ("state", "words"), [("up", "has lost its data"), ("down", "can't be used")]
)
def test_a_redis_that_is_told_what_it_has_forgotten_is_degraded(state: str, words: str):
    store = SimpleNamespace(state=state, restoring=True, owed=0, lost=0)
    found = report(redis_part(store, "limits", "deny"))
    assert found.parts[0].state == ("restoring" if state == "up" else "down")
    assert words in found.degraded[0]
    assert "refused" in found.degraded[0]


def test_records_that_the_database_refuses_are_told():
    assert report(shipper_part(SimpleNamespace(refused=0))).status == "ok"
    assert "refused 3 records" in report(shipper_part(SimpleNamespace(refused=3))).degraded[0]


def test_a_configuration_that_was_refused_is_told():
    assert report(reload_part(lambda: None)).status == "ok"
    failure = "/etc/polyvox/polyvox.toml, line 7: aliases.two is no name\nTake letters."
    (words,) = report(reload_part(lambda: failure)).degraded
    assert "the one before it goes on" in words
    assert words.endswith("it is wrong in polyvox.toml, line 7: aliases.two, as the log tells")


@pytest.mark.parametrize(
    "failure",
    [
        "polyvox.toml, line 7: gateway.server is 'canary'; known are granian, uvicorn",
        "polyvox.toml, line 7: canary",
        "canary, line 7",
        "the file canary can't be read",
    ],
)
def test_what_stands_in_a_configuration_that_was_refused_is_not_told(failure: str):
    (words,) = report(reload_part(lambda: failure)).degraded
    assert words.endswith(("; the log tells why", ": gateway.server, as the log tells"))
    assert "canary" not in words


def test_while_it_drains_it_says_so_also_when_something_is_degraded():
    assert report(draining=True).status == "draining"
    assert report(database_part(database("down")), draining=True).status == "draining"


def ready(**states: Any) -> list[str]:
    draining = states.pop("draining", Interrupt())
    told = Readiness(
        draining, **{name: lambda value=value: value for name, value in states.items()}
    )
    found = told.report()
    assert found.ready == (not found.reasons)
    return found.reasons


def test_it_is_ready_when_calls_can_be_served():
    assert ready() == []


def test_it_is_ready_without_its_database_as_long_as_it_knows_keys():
    assert ready(keys_known=True) == []
    assert ready(keys_known=False) == ["no keys are known: the database has not been read yet"]


def test_it_is_not_ready_before_it_has_opened():
    assert ready(opened=False, keys_known=False) == ["the worker is starting"]


def test_it_is_not_ready_while_every_call_would_be_refused():
    assert ready(refuses_all=True) == ["the journal can't be written, and calls must be recorded"]


def test_it_is_not_ready_while_it_drains():
    draining = Interrupt()
    draining.set()
    assert ready(draining=draining) == ["the worker is being stopped"]
