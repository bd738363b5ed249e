"""What the wheel polyvox-native is worth: against aiohttp, and against other people's clients."""

import json
from collections.abc import Iterator
from statistics import median

from bench.hanging_up import HTTP2, STATES, lacking
from bench.plan import Contender, Plan
from bench.processes import HERE, Loopback, run_code
from bench.starts import interleaved
from bench.streams import Readings, measure
from bench.table import Limit, Row, Section

NATIVE, AIOHTTP = "polyvox native", "polyvox"
NOT_THERE = "polyvox-native is not installed, so not measured: 'make native' says why."

_QUICK = ("bare", AIOHTTP, NATIVE)
_SLOW = ("openai", "litellm", "tiny-agent-os")
_TITLE = "CPU with polyvox-native and without: per streamed chunk (flow, step), and per call"
_MOST_TO_AIOHTTP = 0.5
_MOST_TO_OPENAI = 1 / 60
_MOST_IMPORT_MS = 15.0
_CANCELS = 20
_MOST_TO_CLOSE_MS = 100.0


def native(plan: Plan, server: Loopback) -> Section:
    """Chunks as fast as they are read, chunks one by one, calls of one chunk, imports, cancels."""
    flow = _asked(plan, server, f"flow text {plan.chunks}", plan.answers, often=4)
    step = _asked(plan, server, f"step text {plan.chunks}", plan.answers)
    call = _asked(plan, server, "flow text 1", plan.calls)
    ways = {"flow": (flow, plan.chunks), "step": (step, plan.chunks), "call": (call, 1)}
    rows = [Row(flow.label(each), _cells(ways, each)) for each in flow.of]
    limits = list(_limits(flow, step, call))
    if not flow.named(NATIVE):
        return Section("native", _TITLE, rows, limits, [NOT_THERE])
    with plan.survives("native: imports"):
        limits += _import_limits(plan)
    limits += _cancel_limits(plan)
    return Section("native", _TITLE, rows, limits, list(filter(None, [lacking()])))


def _asked(plan: Plan, server: Loopback, prompt: str, times: int, *, often: int = 1) -> Readings:
    return measure(plan, server, prompt, times, often=often, quick=_QUICK, slow=_SLOW)


def _cells(ways: dict[str, tuple[Readings, int]], each: Contender) -> dict[str, float | None]:
    cells: dict[str, float | None] = {}
    for name, (readings, count) in ways.items():
        there = each in readings.of
        cells[f"{name} us"] = readings.median_cpu_us(each) / count if there else None
        cells[f"x polyvox, {name}"] = readings.times(each, readings.named(AIOHTTP))
    return cells


def _limits(flow: Readings, step: Readings, call: Readings) -> Iterator[Limit]:
    ways = {"a chunk, flow": flow, "a chunk, step": step, "a call": call}
    for what, readings in ways.items():
        yield from _ratios(what, readings, AIOHTTP, _MOST_TO_AIOHTTP)
    yield from _ratios("a chunk, flow", flow, "openai", _MOST_TO_OPENAI)


def _ratios(what: str, readings: Readings, peers: str, most: float) -> Iterator[Limit]:
    for ours in readings.named(NATIVE):
        for peer in readings.named(peers):
            ratio = readings.median_cpu_us(ours) / readings.median_cpu_us(peer)
            yield Limit(f"{what}: {NATIVE} / {readings.label(peer)}", ratio, most)


def _import_limits(plan: Plan) -> Iterator[Limit]:
    """Beyond what a bare interpreter takes."""
    codes = {"": "pass", "polyvox": "import polyvox"}
    codes["polyvox, polyvox_native"] = "import polyvox, polyvox_native"
    spent = interleaved(HERE, codes, plan.starts)
    bare = median(run.cpu_ms for run in spent.pop(""))
    for names, runs in spent.items():
        cost = max(0.0, median(run.cpu_ms for run in runs) - bare)
        yield Limit(f"import {names}", cost, _MOST_IMPORT_MS, "ms")


def _cancel_limits(plan: Plan) -> Iterator[Limit]:
    """From a cancel to the server's seeing that its reader has gone."""
    without = lacking()
    for state in STATES:
        names = (AIOHTTP, NATIVE) if state != HTTP2 else () if without else (NATIVE,)
        for each in plan.named(*names):
            with plan.survives(f"native: cancelled {state}: {each.name}"):
                code = f"from bench.hanging_up import main; main{(each.name, state, _CANCELS)!r}"
                took: list[float] = json.loads(run_code(each.python, code).output)
                for which, found in (("median", median(took)), ("longest", max(took))):
                    what = f"cancelled {state}, {which} of {_CANCELS}: {each.name}"
                    yield Limit(what, found, _MOST_TO_CLOSE_MS, "ms")
