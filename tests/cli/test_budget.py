"""``polyvox budget``, against a gateway that runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyvox.cli.gateway_usage import _Left, _limit_cells  # pyright: ignore[reportPrivateUsage]

from .conftest import Run
from .gateway_server import Served, serving


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as served:
        yield served


def test_what_is_left_of_each_limit_is_a_row(run: Run, gateway: Served) -> None:
    said = ["--budget", "$10/day", "--budget", "2.50", "--tokens", "100000/minute"]
    made = run("keys", "create", "ci", *said, "--json", env=gateway.env())
    id, secret = json.loads(made.stdout)["key"]["id"], json.loads(made.stdout)["secret"]
    shown = run("budget", env=gateway.env(secret))
    assert shown.returncode == 0, shown.stderr
    head, *lines = shown.stdout.splitlines()
    assert head.split() == ["OF", "LIMIT", "LEFT", "USED", "RESERVED", "WHOLE", "AGAIN"]
    assert [line.split()[:2] for line in lines] == [["key", "ci"]] * 3
    assert "$10.00 per day" in lines[0]
    assert lines[1].split()[2:] == ["$2.50", "in", "total", "$2.50", "$0.00", "$0.00"]
    assert lines[2].split()[2:] == ["100,000", "tokens", "per", "minute", "100,000", "0", "0"]
    assert json.loads(run("budget", "--json", env=gateway.env(secret)).stdout)["id"] == id


def test_a_key_without_limits_is_told_so(run: Run, gateway: Served) -> None:
    shown = run("budget", env=gateway.env())
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "Nothing limits the administrator's key. --all shows" in shown.stderr
    made = run("keys", "create", "free", "--json", env=gateway.env())
    shown = run("budget", env=gateway.env(json.loads(made.stdout)["secret"]))
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "Nothing limits this key." in shown.stderr


def test_the_administrator_sees_the_limits_of_others(run: Run, gateway: Served) -> None:
    for name, more in (("ci", ()), ("build", ("--shadow",))):
        run("keys", "create", name, "--budget", "$10/day", *more, env=gateway.env())
    everybody = run("budget", "--all", env=gateway.env()).stdout.splitlines()[1:]
    assert [line.split("  ")[0] for line in everybody][:1] == ["the file's daily"]
    assert sorted(line.split("  ")[0] for line in everybody[1:]) == ["key build", "key ci"]
    one = run("budget", "--only", "key=ci", env=gateway.env()).stdout.splitlines()[1:]
    assert [line.split("  ")[0] for line in one] == ["the file's daily", "key ci"]
    told = json.loads(run("budget", "--only", "key=ci", "--json", env=gateway.env()).stdout)
    assert [each["name"] for each in told["limits"]] == ["daily", "day"]
    nobody = run("budget", "--only", "organisation=acme", env=gateway.env())
    assert (nobody.returncode, nobody.stdout) == (0, "")
    assert "There are no limits." in nobody.stderr


def test_used_is_told_without_what_is_reserved() -> None:
    dollars = 1_000_000_000
    left = _Left(
        level="key:k",
        name="day",
        unit="nano-dollars",
        per="day",
        limit=10 * dollars,
        used=5 * dollars,
        reserved=2 * dollars,
        left=5 * dollars,
    )
    assert _limit_cells(left)[2:5] == ["$5.00", "$3.00", "$2.00"]


def test_by_what_nothing_is_found_is_said_with_what_there_is(run: Run, gateway: Served) -> None:
    done = run("budget", "--only", "model=x", env=gateway.env())
    assert done.returncode == 2
    assert "There are key, organisation, team, end_user." in done.stderr
