"""``polyvox usage``, against a gateway that runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Run
from .gateway_server import Served, serving

DAY = 86_400.0
BEGAN = 1_790_000_000.0


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


def test_of_a_time_and_of_some_only(run: Run, gateway: Served) -> None:
    def calls(*arguments: str) -> int:
        done = run("usage", "--json", *arguments, env=gateway.env() | {"TZ": "UTC"})
        return json.loads(done.stdout)["total"]["calls"]

    assert calls("--since", "2026-09-22") == 1
    assert calls("--until", "2026-09-22") == 2
    assert calls("--only", "team=web", "--only", "model=simulated/echo") == 1
    assert calls("--by", "total") == 3


def test_nothing_used_ends_with_1(run: Run, gateway: Served) -> None:
    secret = run("keys", "create", "new", env=gateway.env()).stdout.strip()
    nothing = run("usage", env=gateway.env(secret))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert "Nothing was used" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--by", "model", "--by", "key"], 2, "is too much"),
        (["--by", "day", "--by", "week"], 2, "is too much"),
        (["--by", "mood"], 6, "not known by 'mood'"),
        (["--only", "team"], 2, "has no value"),
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
