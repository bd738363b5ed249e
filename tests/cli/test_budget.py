"""``polyvox budget``, against a gateway that runs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    assert [line.split()[0] for line in lines] == [f"key:{id}"] * 3
    assert "$10.00 per day" in lines[0]
    assert lines[1].split()[1:] == ["$2.50", "in", "total", "$2.50", "$0.00", "$0.00"]
    assert lines[2].split()[1:] == ["100,000", "tokens", "per", "minute", "100,000", "0", "0"]
    assert json.loads(run("budget", "--json", env=gateway.env(secret)).stdout)["id"] == id


def test_a_key_without_limits_is_told_so(run: Run, gateway: Served) -> None:
    shown = run("budget", env=gateway.env())
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "Nothing limits this key" in shown.stderr
