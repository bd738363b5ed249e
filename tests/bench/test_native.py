"""The sections on polyvox-native: who is compared, and what is judged. No time is judged here."""

import json
import subprocess
import sys
from asyncio import run
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unwatched import unwatched

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("native", "pass-through", "many-streams")
CONTENDERS = ("bare", "polyvox", "polyvox native")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Measures a little, in these sections, with the three that differ in who moves the bytes."""

    def measured() -> dict[str, Any]:
        report = tmp_path / "report.json"
        options = [option for name in CONTENDERS for option in ("--contender", name)]
        options += [option for name in SECTIONS for option in ("--only", name)]
        command = [
            sys.executable,
            "-m",
            "bench",
            "--quick",
            "--chunks",
            "20",
            "--json",
            str(report),
        ]
        done = subprocess.run(
            [*command, *options],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env=unwatched(),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {each["name"]: each for each in json.loads(report.read_text("utf-8"))["sections"]}

    return measured


def answered(cpu_us: float, **versions: str) -> Any:
    from bench.processes import Reading

    return [Reading([cpu_us], [cpu_us], None, versions)]


def readings(**cpu_us: float) -> Any:
    """What these contenders took for an answer."""
    from bench.plan import Contender
    from bench.processes import HERE
    from bench.streams import Readings

    made = Readings()
    for name, each in cpu_us.items():
        made.of[Contender(name.replace("_", " "), HERE)] = answered(each)
    return made


def test_with_the_wheel_all_three_are_measured_and_without_it_that_is_said(
    bench: Callable[..., dict[str, Any]],
):
    from bench.native import NOT_THERE

    here = find_spec("polyvox_native") is not None
    for section in bench().values():
        names = [row["name"].partition(" (")[0] for row in section["rows"]]
        assert names == list(CONTENDERS if here else CONTENDERS[:2])
        assert section["notes"] == ([] if here else [NOT_THERE])
        assert bool(section["limits"]) == here


def test_native_is_judged_against_aiohttp_and_the_sdk(monkeypatch: pytest.MonkeyPatch):
    from bench import native

    flow = readings(polyvox=4.0, polyvox_native=1.0, openai=80.0, litellm=400.0)
    step, call = readings(polyvox=40.0, polyvox_native=30.0), readings(polyvox_native=1.0)
    monkeypatch.setattr(
        native,
        "measure",
        lambda plan, server, prompt, *_, **__: asked[prompt.split()[0], prompt[-2:]],
    )
    asked = {("flow", "20"): flow, ("step", "20"): step, ("flow", " 1"): call}
    monkeypatch.setattr(native, "_import_limits", lambda plan: [])
    from bench.plan import Plan

    section = native.native(Plan(quick=True, chunks=20, only=[]), SimpleNamespace())  # type: ignore[arg-type]
    assert [(limit.what, limit.measured, limit.verdict) for limit in section.limits] == [
        ("a chunk, flow: polyvox native / polyvox", 0.25, "ok"),
        ("a chunk, step: polyvox native / polyvox", 0.75, "over"),
        ("a chunk, flow: polyvox native / openai", 1 / 80, "ok"),
    ]
    rows = {row.name: row.cells for row in section.rows}
    assert rows["polyvox native"]["flow us"] == 1 / 20
    assert rows["polyvox native"]["x polyvox, step"] == 0.75
    assert rows["polyvox native"]["x polyvox, call"] is None, "nobody else made a call"
    assert rows["litellm"]["x polyvox, flow"] == 100
    assert rows["litellm"]["step us"] is None


@pytest.mark.parametrize(("rate", "verdict"), [(1.6, "over"), (1.8, "ok")])
def test_requests_a_second_are_judged_against_aiohttp(
    monkeypatch: pytest.MonkeyPatch, rate: float, verdict: str
):
    from bench.plan import Contender, Plan
    from bench.processes import HERE

    from bench import at_once

    plan = Plan(quick=True, only=[])
    plan.contenders = [Contender(name, HERE) for name in CONTENDERS]
    rates = dict(zip(CONTENDERS, (2000, 1000, 1000 * rate), strict=True))
    monkeypatch.setattr(at_once, "_seconds", lambda name, requests: requests / rates[name])
    section = at_once.pass_through(plan, SimpleNamespace())  # type: ignore[arg-type]
    assert [round(row.cells["x polyvox"] or 0, 3) for row in section.rows] == [2, 1, rate]
    assert [limit.verdict for limit in section.limits] == [verdict]


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_worker_passes_on_what_it_is_asked_and_what_is_answered(name: str):
    from bench.passing import ask
    from bench.processes import serving

    if name == "polyvox native":
        pytest.importorskip("polyvox_native")
    with (
        serving("bench.passing", "upstream") as upstream,
        serving("bench.passing", name, upstream) as worker,
    ):
        assert run(ask(worker, 4, 50)) > 0  # every answer has to have its length


def test_a_worker_that_does_not_begin_is_a_crash():
    from bench.processes import CrashError, serving

    with (
        pytest.raises(CrashError, match=r"bench\.passing did not begin"),
        serving("bench.passing", "nobody", "http://127.0.0.1:9"),
    ):
        pass


def test_a_stream_of_the_crowd_that_ends_early_is_a_crash():
    from bench.processes import HERE, CrashError, run_code, serving

    with serving("bench.crowd", "3", "2") as url:
        code = f"from bench.crowd import main; main('polyvox', {url!r}, 2, 4)"
        with pytest.raises(CrashError, match="6 chunks arrived of 8"):
            run_code(HERE, code)
