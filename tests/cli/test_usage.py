"""``polyvox usage``, against a gateway that runs."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyvox.cli import usage
from polyvox.gateway.database import reports

from .conftest import Run
from .gateway_server import Served, serving
from .test_completion import offered

DAY = 86_400.0
BEGAN = 1_790_000_000.0


def made(run: Run, gateway: Served, name: str) -> str:
    """The id of a new key."""
    done = run("keys", "create", name, "--json", env=gateway.env())
    return json.loads(done.stdout)["key"]["id"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        served.call("a", team="core", at=BEGAN)
        served.call("b", team="web", at=BEGAN + DAY)
        served.call("c", team="web", model="simulated/echo", cost_status="free", nanos=0)
        yield served


def test_it_is_added_up_by_model_with_a_sum(run: Run, gateway: Served) -> None:
    shown = run("usage", env=gateway.env())
    assert shown.returncode == 0, shown.stderr
    head, *rows = [line.split() for line in shown.stdout.splitlines()]
    assert head == ["MODEL", "CALLS", "FAILURES", "IN", "OUT", "COST"]
    assert rows == [
        ["openai/gpt-5-mini", "2", "0", "2,400", "68", "$0.50"],
        ["simulated/echo", "1", "0", "1,200", "34", "free"],
        ["sum", "3", "0", "3,600", "102", "$0.50"],
    ]
    assert "\x1b" not in shown.stdout


def test_by_a_time_and_something_else(run: Run, gateway: Served) -> None:
    shown = run("usage", "--by", "day", "--by", "team", env=gateway.env())
    rows = [line.split()[:3] for line in shown.stdout.splitlines()[1:]]
    assert rows == [
        ["2026-09-21", "core", "1"],
        ["2026-09-21", "web", "1"],
        ["2026-09-22", "web", "1"],
        ["sum", "3", "0"],
    ]


def test_by_several_things_and_a_time(run: Run, gateway: Served) -> None:
    by = ["--by", "team", "--by", "month", "--by", "model", "--by", "team"]
    shown = run("usage", *by, env=gateway.env())
    head, *rows = [line.split()[:4] for line in shown.stdout.splitlines()]
    assert head == ["MONTH", "TEAM", "MODEL", "CALLS"]
    assert rows == [
        ["2026-09", "core", "openai/gpt-5-mini", "1"],
        ["2026-09", "web", "openai/gpt-5-mini", "1"],
        ["2026-09", "web", "simulated/echo", "1"],
        ["sum", "3", "0", "3,600"],
    ]


def test_as_csv_it_has_a_line_of_names_and_exact_dollars(run: Run, gateway: Served) -> None:
    ci = made(run, gateway, "ci")
    gateway.call("d", team="data", key=ci, nanos=2**53 + 1, cached=True)
    gateway.call("e", team='od"d,\nname', model="m", cost_status="unknown", nanos=7)
    by = ["--by", "team", "--by", "key", "--by", "month", "--only", "end_user=", "--csv"]
    shown = run("usage", *by, "--zone", "Europe/Berlin", env=gateway.env())
    assert shown.stdout.startswith(
        "start,team,key,key_name,calls,failures,unsettled,cached,input_tokens,output_tokens,"
        "cache_read_tokens,cache_write_tokens,reasoning_tokens,dollars,nanos,unpriced,cost_status\n"
        f"2026-09-01T00:00:00+02:00,data,{ci},ci,1,0,0,1,1200,34,0,0,0,9007199.254740993,"
        "9007199254740993,0,known\n"
        "2026-09-01T00:00:00+02:00,core,,,1,0,0,0,1200,34,0,0,0,0.25,250000000,0,known\n"
    ), shown.stderr
    last = [*csv.DictReader(shown.stdout.splitlines(keepends=True))][-1]
    assert (last["team"], last["dollars"], last["nanos"]) == ('od"d,\nname', "", "7")
    assert (last["unpriced"], last["cost_status"]) == ("1", "unknown")


def test_in_csv_no_name_is_a_formula(run: Run, gateway: Served) -> None:
    for number, name in enumerate(("=HYPERLINK(1)", "+49", "-1", "@home", "ada=1")):
        gateway.call(f"by-{number}", end_user=name, nanos=9 - number, at=BEGAN + 9 * DAY)
    shown = run("usage", "--by", "end_user", "--csv", "--since", "2026-09-29", env=gateway.env())
    names = [row["end_user"] for row in csv.DictReader(shown.stdout.splitlines())]
    assert names == ["'=HYPERLINK(1)", "'+49", "'-1", "'@home", "ada=1"]


def test_of_nothing_csv_has_the_line_of_names_alone(run: Run, gateway: Served) -> None:
    shown = run("usage", "--csv", "--only", "team=none", env=gateway.env())
    assert (shown.returncode, shown.stdout.count("\n")) == (1, 1)
    assert shown.stdout.startswith("model,calls,")


def test_what_there_is_to_ask_by_is_known_and_offered(run: Run) -> None:
    assert {*usage.NAMES} == {*reports.NAMES}
    offers = offered(run, "polyvox usage --by '' ", 3)
    assert {*offers} >= {*usage.NAMES, *usage.WINDOWS}
    assert offered(run, "polyvox usage --by mo", 3) == ["model", "month"]
    assert offered(run, "polyvox usage --only re", 3) == ["response_model="]
    told = run("usage", "--help").stdout
    assert [name for name in (*usage.NAMES, *usage.WINDOWS) if name not in told] == []


def test_of_a_time_and_of_some_only(run: Run, gateway: Served) -> None:
    def calls(*arguments: str) -> int:
        done = run("usage", "--json", *arguments, env=gateway.env() | {"TZ": "UTC"})
        return json.loads(done.stdout)["total"]["calls"]

    assert calls("--since", "2026-09-22") == 1
    assert calls("--until", "2026-09-22") == 2
    assert calls("--only", "team=web", "--only", "model=simulated/echo") == 1
    assert calls("--by", "total") == 3


def test_keys_are_called_by_their_names(run: Run, gateway: Served) -> None:
    ids = [made(run, gateway, "ci"), made(run, gateway, "twin")]
    run("keys", "revoke", "twin", env=gateway.env())
    ids += [made(run, gateway, "twin"), "config:build", ""]
    for number, id in enumerate(ids):
        gateway.call(f"by-{number}", key=id, nanos=5 - number, at=BEGAN + 9 * DAY)
    shown = run("usage", "--by", "key", "--since", "2026-09-29", env=gateway.env()).stdout
    _, *rows, _ = [line[: shown.index("CALLS")].strip() for line in shown.splitlines()]
    assert rows == ["ci", f"twin ({ids[1]})", f"twin ({ids[2]})", "build", "-"]


def test_a_key_may_be_named_in_a_filter_and_json_has_its_id_and_exact_dollars(
    run: Run, gateway: Served
) -> None:
    ci, build = made(run, gateway, "ci"), "config:ci"
    gateway.call("one", key=ci, nanos=1_000_000_001)
    only = ("usage", "--by", "key", "--json", "--only", "key=ci")
    (row,) = json.loads(run(*only, env=gateway.env()).stdout)["rows"]
    assert row["by"] == {"key": ci, "key_name": "ci"}
    assert row["dollars"] == "1.000000001"
    gateway.call("two", key=build)
    several = run(*only, env=gateway.env())
    assert (several.returncode, ci in several.stderr, build in several.stderr) == (2, True, True)


def test_nothing_used_ends_with_1(run: Run, gateway: Served) -> None:
    secret = run("keys", "create", "new", env=gateway.env()).stdout.strip()
    nothing = run("usage", env=gateway.env(secret))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "Nothing was used" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--by", "day", "--by", "week"], 2, "is too much"),
        (["--by", "mood"], 6, "not known by 'mood'"),
        (["--only", "team"], 2, "has no value"),
        (["--only", "mood=x"], 2, "There are model, key, team, organisation, end_user"),
        (["--only", "provder=openai"], 2, "Did you mean 'provider'?"),
        (["--csv", "--json"], 2, "two forms of the same"),
        (["--since", "soon"], 2, "is no time"),
        (["--organisation"], 4, "only see what it used itself"),
    ],
)
def test_what_cant_be_asked_is_said(
    run: Run, gateway: Served, arguments: list[str], code: int, said: str
) -> None:
    done = run("usage", *arguments, env=gateway.env())
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
