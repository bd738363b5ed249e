"""What retries, routing, budgets, costs and a log add to the model that they stand around."""

import json
from collections.abc import Iterator
from statistics import median, quantiles
from typing import NamedTuple

from bench.contenders import LAYERED
from bench.plan import Plan
from bench.processes import HERE, Loopback, run_code
from bench.table import Limit, Row, Section

_MOST_PER_CALL = 60.0
_MOST_PER_CHUNK = 2.0


class Added(NamedTuple):
    """What a layer costs with the model within, what it adds to it, and how sure that is."""

    cpu_us: float
    added: float
    spread: float


def overhead(plan: Plan, server: Loopback) -> Section:
    """Each layer against the bare model, in one process, in turns; in process and over the server."""
    rows: list[Row] = []
    limits: list[Limit] = []
    places = [(name, "in process", "") for name in ("polyvox",) if plan.named(name)]
    places += [(name, "loopback", server.url) for name in LAYERED if plan.named(name)]
    for name, place, url in places:
        if name == "litellm" and not HERE.has("litellm"):
            continue
        with plan.survives(f"overhead: {name}, {place}"):
            per_call = _added(name, url, "flow text 1", 1, plan.layer_calls(name))
            chunks = plan.chunks if name == "polyvox" else max(1, plan.chunks // 10)
            per_chunk = _added(name, url, f"flow text {chunks}", chunks, plan.layer_streams(name))
            rows += _rows(f"{name}, {place}", per_call, per_chunk)
            if name == "polyvox":
                limits += _judged(place, per_call, per_chunk)
    title = "CPU that layers add to a call of one chunk, and to a chunk, against the bare model"
    notes = [
        "+-: half of the distance between the quartiles of what single rounds found.",
        "bare model: in process it has its events at hand; over the loopback it is a provider's.",
    ]
    return Section("overhead", title, rows, limits, notes)


def _added(
    name: str, url: str, prompt: str, pieces: int, size: tuple[int, int]
) -> dict[str, Added]:
    """By layer, for each of the pieces; the first adds nothing. Raises ``CrashError``."""
    rounds, answers = size
    arguments = ", ".join(map(repr, (name, url, prompt, rounds, answers)))
    code = f"from bench.layering import main; main({arguments})"
    cpu_us: dict[str, list[float]] = json.loads(run_code(HERE, code).output.splitlines()[-1])
    bare = next(iter(cpu_us.values()))
    found: dict[str, Added] = {}
    for layer, rounds_us in cpu_us.items():
        more = [(each - base) / pieces for each, base in zip(rounds_us, bare, strict=True)]
        low, _, high = quantiles(more, n=4)
        found[layer] = Added(median(rounds_us) / pieces, median(more), (high - low) / 2)
    return found


def _rows(who: str, per_call: dict[str, Added], per_chunk: dict[str, Added]) -> Iterator[Row]:
    for number, (layer, call) in enumerate(per_call.items()):
        chunk = per_chunk[layer]
        cells = {
            "us/call": call.cpu_us,
            "added": call.added if number else None,
            "+-": call.spread if number else None,
            "us/chunk": chunk.cpu_us,
            "added to a chunk": chunk.added if number else None,
            "+- us": chunk.spread if number else None,
        }
        yield Row(f"{who}: {layer}", cells)


def _judged(place: str, per_call: dict[str, Added], per_chunk: dict[str, Added]) -> Iterator[Limit]:
    for found, what, most in (
        (per_call, "call", _MOST_PER_CALL),
        (per_chunk, "chunk", _MOST_PER_CHUNK),
    ):
        layer = list(found)[-1]
        yield Limit(f"{layer}, {place}: added to a {what}", found[layer].added, most, "us")
