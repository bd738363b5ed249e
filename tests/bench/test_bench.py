"""The benchmark runs, and says what it found in the form it promises. No time is judged here."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from polyvox.dialects import DIALECTS, Target, get_dialect
from polyvox.events import TextDelta
from unwatched import unwatched

ROOT = Path(__file__).resolve().parents[2]
CHUNKS = 30


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", "--quick", "--chunks", str(CHUNKS), *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=unwatched()
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    report = tmp_path_factory.mktemp("bench") / "report.json"
    names = ("polyvox", "polyvox sync", "polyvox dialects")
    contenders = [each for name in names for each in ("--contender", name)]
    ran = run_bench(*contenders, "--json", str(report))
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


def limits_of(report: dict[str, Any], section: str) -> list[dict[str, Any]]:
    return next(each["limits"] for each in report["sections"] if each["name"] == section)


def without_chunks(data: bytes) -> bytes:
    """A body without the framing of HTTP's chunked encoding."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


def test_every_section_is_there_and_nobody_crashed(done: tuple[str, dict[str, Any]]):
    _, report = done
    names = [section["name"] for section in report["sections"]]
    assert names == [
        *("flow", "step", "imports", "linear", "dialects", "encode"),
        *("call", "native", "pass-through", "many-streams"),
        *("overhead", "scale", "agents", "composites", "gateway", "first-call", "catalog"),
    ]
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
    most = {1.05, 1.15, 1.3, 1.25, 11.0, 1.5, 1.2, 2.0, 20.0, 30.0, 60.0, 120.0, 300.0}
    assert {limit["most"] for limit in limits} == most
    for limit in limits:
        assert limit["verdict"] == ("ok" if limit["measured"] <= limit["most"] else "over")
        assert limit["what"] in text


def test_every_dialect_is_read_and_judged_against_openai_chat(done: tuple[str, dict[str, Any]]):
    rows = rows_of(done[1], "dialects")
    assert rows.keys() == DIALECTS.keys()
    assert rows["openai-chat"]["x openai-chat"] == 1
    judged = {limit["what"] for limit in limits_of(done[1], "dialects")}
    assert judged == {f"{name} / openai-chat" for name in DIALECTS.keys() - {"openai-chat"}}


def test_every_dialect_writes_half_a_megabyte_against_json_dumps(done: tuple[str, dict[str, Any]]):
    rows = rows_of(done[1], "encode")
    assert rows.keys() == DIALECTS.keys()
    assert all(490 < row["KB"] < 600 for row in rows.values())
    judged = {limit["what"]: limit["measured"] for limit in limits_of(done[1], "encode")}
    assert judged == {f"{name} / json.dumps": row["x json.dumps"] for name, row in rows.items()}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_words_come_in_as_many_pieces_in_every_dialect(dialect: str):
    answer = import_module("bench.answers").own_answer(dialect, CHUNKS)
    assert len(answer.pieces) == CHUNKS
    codec = get_dialect(dialect)
    frames = codec.frame_reader()
    decoder = codec.stream_decoder(Target(provider="p", model="m", base_url="http://127.0.0.1"))
    texts: list[str] = []
    for http_chunk in (answer.head, *answer.pieces):
        body = without_chunks(http_chunk)
        heard = [event for frame in frames.feed(body) for event in decoder.feed(frame)]
        texts += [event.text for event in heard if isinstance(event, TextDelta)]
    assert texts == [f" w{index:05d}" for index in range(CHUNKS)]


def test_each_layer_is_measured_against_the_bare_model_in_process_and_over_the_loopback(
    done: tuple[str, dict[str, Any]],
):
    rows = rows_of(done[1], "overhead")
    layers = ["bare model", "+ Retrying", "+ Router, 3 deployments", "+ Budgeted"]
    layers += ["+ Tracked", "+ Logged", "whole stack"]
    places = ("in process", "loopback")
    assert list(rows) == [f"polyvox, {place}: {layer}" for place in places for layer in layers]
    for name, row in rows.items():
        assert (row["added"] is None) == name.endswith("bare model")
    judged = {
        limit["what"]: (limit["measured"], limit["most"])
        for limit in limits_of(done[1], "overhead")
    }
    assert judged == {
        f"whole stack, {place}: added to a {what}": (
            rows[f"polyvox, {place}: whole stack"][added],
            most,
        )
        for place in places
        for what, added, most in (("call", "added", 60.0), ("chunk", "added to a chunk", 2.0))
    }


async def test_every_layer_passes_on_what_the_bare_model_says():
    from bench.contenders import load_layers

    seen: dict[str, list[int]] = {}
    async with load_layers("polyvox").layers("") as layers:
        for name, layer in layers.items():
            told = seen[name] = []
            assert await layer.read("flow text 3", told.append) == 3
    assert len(seen) == 7
    assert all(told == [1, 2, 3] for told in seen.values())


def test_many_deployments_and_budgets_are_judged_against_few(done: tuple[str, dict[str, Any]]):
    from polyvox.routing.strategies import STRATEGIES

    rows = rows_of(done[1], "scale")
    more = {"return from a cooldown", "reserve and settle", "first of a new window"}
    assert rows.keys() == {f"choose: {name}" for name in STRATEGIES} | more
    judged = {limit["what"]: limit["measured"] for limit in limits_of(done[1], "scale")}
    assert judged == {f"{name}: many / few": row["x few"] for name, row in rows.items()}


def test_an_agent_is_measured_in_process_and_over_the_server(done: tuple[str, dict[str, Any]]):
    rows = rows_of(done[1], "agents")
    assert list(rows) == ["polyvox, in process", "polyvox"]
    assert rows["polyvox, in process"]["x polyvox"] is None, "others have no such row"
    assert rows["polyvox"]["x polyvox"] == rows["polyvox"]["x polyvox, long"] == 1
    assert rows["polyvox"]["ask ms"] > rows["polyvox"]["make ms"] > 0


def test_a_turn_a_long_conversation_and_many_tools_are_judged(done: tuple[str, dict[str, Any]]):
    inside, outside = rows_of(done[1], "agents").values()
    judged = {limit["what"]: limit["measured"] for limit in limits_of(done[1], "agents")}
    assert judged == {
        "polyvox, in process: a turn beyond model and tool": inside["us/turn"],
        "polyvox, in process: 10,000 messages / 10": inside["x short"],
        "polyvox, in process: 100 naps / one": inside["x one nap"],
        "polyvox: 100 naps / one": outside["x one nap"],
    }


def test_mixture_and_council_are_measured_against_their_calls_by_hand(
    done: tuple[str, dict[str, Any]],
):
    rows = rows_of(done[1], "composites")
    ways = ("by hand", "MixtureOfAgents", "Council")
    places = ("polyvox, in process", "polyvox")
    assert list(rows) == [f"{place}: {way}" for place in places for way in ways]
    for name, row in rows.items():
        assert (row["x by hand"] == row["x by hand, 300"] == 1) == name.endswith("by hand")
        assert row["x stages"] >= 1
        assert (row["first us"] is not None) == ("in process" in name)


def test_cpu_and_time_of_mixture_and_council_are_judged(done: tuple[str, dict[str, Any]]):
    rows = rows_of(done[1], "composites")
    judged = {
        limit["what"]: (limit["measured"], limit["most"])
        for limit in limits_of(done[1], "composites")
    }
    expected: dict[str, tuple[float, float]] = {}
    for name, row in rows.items():
        if name.endswith("by hand"):
            continue
        expected[f"{name}: time / its stages'"] = (row["x stages"], 1.05)
        expected[f"{name}: 3,000 chunks / 300"] = (row["x 3,000/300"], 11.0)
        if "in process" not in name:
            for chunks, column in ((100, "x by hand"), (300, "x by hand, 300")):
                expected[f"{name}: a call of {chunks} / by hand"] = (row[column], 1.3)
    assert judged == expected


@pytest.mark.parametrize("name", ["polyvox", "litellm"])
async def test_a_panel_answers_over_the_server_in_every_way(name: str):
    """Ours always; LiteLLM's where it is installed."""
    if name == "litellm":
        pytest.importorskip("litellm")
    from bench.contenders import load_panel
    from bench.processes import loopback

    with loopback() as server:
        async with load_panel(name).layers(server.url) as ways:
            for way in ways.values():
                told: list[int] = []
                assert await way.read("late text 3", told.append) == 3
                assert told == [1, 2, 3]


async def test_by_hand_the_last_is_told_what_the_others_said():
    from bench.contenders import PANEL
    from bench.contenders.by_hand import by_hand

    asked: list[str] = []

    async def ask(prompt: str, tell: Any) -> str:
        asked.append(prompt)
        tell(1)
        return f"answer {len(asked)}"

    told: list[int] = []
    assert await by_hand(ask, "Why?", told.append) == 1
    assert told == [1]
    said = [f"answer {number}" for number in range(1, PANEL + 1)]
    assert asked == ["Why?"] * PANEL + ["\n\n".join(["Why?", *said])]


async def test_the_first_piece_is_timed_for_each_way():
    from bench.contenders.polyvox_panel import first_us

    found = await first_us(2)
    assert {way: len(times) for way, times in found.items()} == {
        "by hand": 2,
        "MixtureOfAgents": 2,
        "Council": 2,
    }
    assert all(time > 0 for times in found.values() for time in times)


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
