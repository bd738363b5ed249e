"""``polyvox calls``, against a gateway that runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from polyvox.gateway.database.tables import attempts

from .conftest import Run
from .gateway_server import Served, serving

AT = 1_790_000_000.0


def failed(gateway: Served, id: str, **fields: Any) -> None:
    """Put a call on the books that failed at one provider and at a second one."""
    gateway.call(id, status="network", reason="can't connect", request_id=f"req-{id}", **fields)
    asked = {"call": id, "provider": "lab", "model": "m", "at": AT, "cost_status": "free"}
    rows = [
        {**asked, "number": 0, "error": "server", "status_code": 503, "request_id": "theirs"},
        {**asked, "number": 1, "error": "network", "reason": "can't connect"},
    ]
    for row in rows:
        gateway.database.run_now(lambda c, row=row: c.execute(insert(attempts).values(row)))


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        served.call("call_good", at=AT)
        failed(served, "call_bad", at=AT + 60, team="core", seconds=1.5)
        yield served


def ids(run: Run, gateway: Served, *arguments: str, key: str = "") -> list[str]:
    env = gateway.env(key) if key else gateway.env()
    done = run("calls", "list", "--json", *arguments, env=env)
    assert done.returncode in (0, 1), done.stderr
    return [call["id"] for call in json.loads(done.stdout)]


def test_the_newest_comes_first_and_says_why_it_failed(run: Run, gateway: Served) -> None:
    shown = run("calls", "list", env=gateway.env())
    assert shown.returncode == 0, shown.stderr
    head, bad, good = shown.stdout.splitlines()
    assert head.split() == ["BEGAN", "CALL", "MODEL", "KEY", "SECONDS", "COST", "STATUS", "REASON"]
    assert "call_bad" in bad
    assert bad.split()[-4:] == ["$0.25", "network", "can't", "connect"]
    assert good.split()[-2:] == ["$0.25", "ok"]


def test_those_that_failed_of_a_time_of_a_team(run: Run, gateway: Served) -> None:
    assert ids(run, gateway, "--failed") == ["call_bad"]
    assert ids(run, gateway, "--only", "team=core") == ["call_bad"]
    assert ids(run, gateway, "--only", "status=ok") == ["call_good"]
    assert ids(run, gateway, "--only", "request_id=req-call_bad") == ["call_bad"]
    assert ids(run, gateway, "--since", "2026-09-22") == []
    assert ids(run, gateway, "--until", "2026-09-22") == ["call_bad", "call_good"]
    assert ids(run, gateway, "-n", "1") == ["call_bad"]
    assert ids(run, gateway, "--under-way") == []


def test_by_the_name_of_a_key(run: Run, gateway: Served) -> None:
    done = run("keys", "create", "ci", "--json", env=gateway.env())
    made = json.loads(done.stdout)
    gateway.call("call_of_ci", at=AT + 120, key=made["key"]["id"])
    assert ids(run, gateway, "--only", "key=ci") == ["call_of_ci"]
    assert ids(run, gateway, key=made["secret"]) == ["call_of_ci"]
    shown = run("calls", "show", "call_of_ci", env=gateway.env())
    assert f"ci ({made['key']['id']})" in shown.stdout


@pytest.mark.parametrize("name", ["call_bad", "req-call_bad"])
def test_one_call_with_who_was_asked(run: Run, gateway: Served, name: str) -> None:
    shown = run("calls", "show", name, env=gateway.env())
    assert shown.returncode == 0, shown.stderr
    facts = [line.split(maxsplit=1) for line in shown.stdout.splitlines()]
    assert ["status", "network"] in facts
    assert ["reason", "can't connect"] in facts
    assert ["request", "req-call_bad"] in facts
    assert [value for name, value in facts if name == "asked"] == [
        "lab/m, 0.00 s, server (503) [theirs]",
        "lab/m, 0.00 s, network: can't connect",
    ]
    call = json.loads(run("calls", "show", name, "--json", env=gateway.env()).stdout)
    assert (call["id"], len(call["attempts"])) == ("call_bad", 2)


def test_one_that_is_not_there(run: Run, gateway: Served) -> None:
    shown = run("calls", "show", "call_none", env=gateway.env())
    assert shown.returncode != 0
    assert "there is no call 'call_none'" in shown.stderr
    assert "a line in the log" in shown.stderr


def test_nothing_found_ends_with_1(run: Run, gateway: Served) -> None:
    shown = run("calls", "list", "--only", "team=none", env=gateway.env())
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "No call is like that." in shown.stderr


def test_what_calls_are_not_found_by_is_told(run: Run, gateway: Served) -> None:
    shown = run("calls", "list", "--only", "modell=x", env=gateway.env())
    assert shown.returncode != 0
    assert "Did you mean 'model'?" in shown.stderr
    shown = run("calls", "list", "--under-way", "--failed", env=gateway.env())
    assert "--under-way lists all that are" in shown.stderr


def test_calls_and_filters_complete(run: Run, gateway: Served) -> None:
    def completed(words: str) -> list[str]:
        count = str(len(words.split(" ")) - 1)
        env = {"_POLYVOX_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
        said = run(env=gateway.env() | env).stdout.split()
        return [each.partition(",")[2] for each in said]

    assert completed("polyvox calls show call_b") == ["call_bad"]
    assert completed("polyvox calls list --only st") == ["status="]
