"""The benchmark runs, and says what it found in the form it promises. No time is judged here."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHUNKS = 30


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "--quick", "--chunks", str(CHUNKS), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    report = tmp_path_factory.mktemp("bench") / "report.json"
    ran = run_bench("--contender", "polyvox", "--contender", "polyvox sync", "--json", str(report))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout, json.loads(report.read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def table() -> ModuleType:
    return import_module("bench.table")


def rows_of(report: dict[str, Any], section: str) -> dict[str, dict[str, Any]]:
    found = next(each for each in report["sections"] if each["name"] == section)
    return {row["name"]: row for row in found["rows"]}


def test_every_section_is_there_and_nobody_crashed(done: tuple[str, dict[str, Any]]):
    _, report = done
    names = [section["name"] for section in report["sections"]]
    assert names == ["flow", "step", "imports", "linear", "call", "first-call", "catalog"]
    assert all(section["rows"] for section in report["sections"])
    assert report["crashes"] == []


@pytest.mark.parametrize("pattern", ["flow", "step"])
def test_both_clients_are_measured_against_each_other(
    done: tuple[str, dict[str, Any]], pattern: str
):
    rows = rows_of(done[1], pattern)
    assert list(rows) == ["polyvox", "polyvox sync"]
    assert rows["polyvox"]["x polyvox"] == 1
    assert all(row["x bare"] is None for row in rows.values()), "nobody measured the bare loop"


def test_in_step_each_read_brings_one_chunk(done: tuple[str, dict[str, Any]]):
    for row in rows_of(done[1], "step").values():
        assert row["reads"] >= CHUNKS


def test_limits_say_what_was_measured_and_how_it_was_judged(done: tuple[str, dict[str, Any]]):
    text, report = done
    limits = [limit for section in report["sections"] for limit in section["limits"]]
    assert {limit["most"] for limit in limits} == {1.3, 1.25, 11.0, 2.0, 20.0}
    for limit in limits:
        assert limit["verdict"] == ("ok" if limit["measured"] <= limit["most"] else "over")
        assert limit["what"] in text


def test_a_first_call_loads_more_than_the_import(done: tuple[str, dict[str, Any]]):
    rows = rows_of(done[1], "imports")
    modules = [rows[name]["modules"] for name in ("a bare interpreter", "import polyvox")]
    assert modules[0] < modules[1] < modules[0] + 5
    assert rows["all modules of a first call"]["modules"] > rows["import aiohttp"]["modules"]


def test_a_crash_costs_its_row_and_is_named():
    from bench.plan import Plan
    from bench.processes import HERE, run_code

    plan = Plan(quick=True, only=["polyvox"])
    with plan.survives("a try"):
        run_code(HERE, "raise ValueError('no such luck')")
    assert plan.crashes == ["a try: ValueError: no such luck"]


def test_a_run_with_a_crash_ends_with_status_1(monkeypatch: pytest.MonkeyPatch):
    from bench.processes import CrashError
    from bench.table import Section

    from bench import __main__ as program

    def crashing(plan: Any, server: Any) -> Section:
        with plan.survives("a try"):
            raise CrashError("gone")
        return Section("catalog", "Nothing", [], [], [])

    monkeypatch.setitem(program.SECTIONS, "catalog", crashing)
    assert program.main(["--only", "catalog", "--contender", "polyvox"]) == 1


def test_ratios_below_one_are_shown_as_fractions(table: ModuleType):
    limit = table.Limit("ours / theirs", 1 / 32, 1 / 15)
    row = table.Row("ours", {"us": 4.125, "x bare": 1.5, "reads": None})
    text = table.render(table.Section("flow", "Title", [row], [limit], ["A note."]))
    assert text.splitlines() == [
        "Title",
        "",
        "          us  x bare  reads",
        "  ours  4.12   1.50x      -",
        "",
        "  limit          measured  at most  verdict",
        "  ours / theirs      1/32     1/15       ok",
        "  A note.",
    ]


@pytest.mark.parametrize(("measured", "verdict"), [(2.0, "ok"), (2.01, "over")])
def test_a_limit_is_the_most_that_is_ok(table: ModuleType, measured: float, verdict: str):
    assert table.Limit("ours / bare", measured, 2.0).verdict == verdict
