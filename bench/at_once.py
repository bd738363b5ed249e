"""Many at once in one process: requests that are passed on, and streams at a model's pace."""

import json
from asyncio import run
from statistics import median

from bench.crowd import PACE
from bench.native import AIOHTTP, NATIVE, NOT_THERE
from bench.passing import ask
from bench.plan import Contender, Plan
from bench.processes import Loopback, run_code, serving
from bench.table import Limit, Row, Section

CONNECTIONS = 32

_TAKING_PART = ("bare", AIOHTTP, NATIVE)
_LEAST_REQUESTS = 1.7
_MOST_MB = 150.0
_MOST_LATE = 1.1


def pass_through(plan: Plan, server: Loopback) -> Section:
    """A worker that passes on what it is asked: how many requests a second."""
    names = [each.name for each in plan.named(*_TAKING_PART)]
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(plan.rounds):
        for name in names:
            with plan.survives(f"pass-through, round {number + 1} of {plan.rounds}: {name}"):
                found[name].append(plan.passed / _seconds(name, plan.passed))
    rate = {name: median(rates) for name, rates in found.items() if rates}
    base = rate.get(AIOHTTP)
    rows = [
        Row(name, {"requests/s": each, "x polyvox": each / base if base else None})
        for name, each in rate.items()
    ]
    limits: list[Limit] = []
    if base and NATIVE in rate:
        what = f"requests/s: {AIOHTTP} / {NATIVE}"
        limits.append(Limit(what, base / rate[NATIVE], 1 / _LEAST_REQUESTS))
    title = f"A worker that passes requests on, asked over {CONNECTIONS} connections"
    return Section("pass-through", title, rows, limits, _notes(plan))


def many_streams(plan: Plan, server: Loopback) -> Section:
    """A thousand streams in one process: whether it keeps up, its CPU, its memory."""
    streams, chunks = plan.crowd
    rows: list[Row] = []
    limits: list[Limit] = []
    for each in plan.named(*_TAKING_PART):
        with plan.survives(f"many streams: {each.name}"):
            cells = _crowd(each, streams, chunks)
            rows.append(Row(each.name, cells))
            if each.name == NATIVE:
                limits.append(
                    Limit(f"{NATIVE}: peak memory", cells["peak memory MB"], _MOST_MB, "MB")
                )
                limits.append(Limit(f"{NATIVE}: time / the server's", cells["x pace"], _MOST_LATE))
    title = f"{streams:,} streams at once of {chunks:,} chunks, {PACE} a second, in one process"
    return Section("many-streams", title, rows, limits, _notes(plan))


def _seconds(name: str, requests: int) -> float:
    """What so many requests take, after a tenth of them to warm up."""
    with (
        serving("bench.passing", "upstream") as upstream,
        serving("bench.passing", name, upstream) as worker,
    ):
        run(ask(worker, CONNECTIONS, max(CONNECTIONS, requests // 10)))
        return run(ask(worker, CONNECTIONS, requests))


def _crowd(each: Contender, streams: int, chunks: int) -> dict[str, float]:
    with serving("bench.crowd", str(chunks), str(streams)) as url:
        arguments = ", ".join(map(repr, (each.name, url, streams, chunks)))
        spent = run_code(each.python, f"from bench.crowd import main; main({arguments})")
    took = json.loads(spent.output)
    return {
        "CPU us/chunk": took["cpu_s"] * 1e6 / (streams * chunks),
        "CPU s/s": took["cpu_s"] / took["wall_s"],
        "x pace": took["wall_s"] / (chunks / PACE),
        "peak memory MB": spent.max_rss_mb * 2**20 / 1e6,
    }


def _notes(plan: Plan) -> list[str]:
    return [] if plan.named(NATIVE) else [NOT_THERE]
