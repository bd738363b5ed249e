"""What our dialects cost beside each other: reading an answer, writing a long prompt."""

import json
from collections import defaultdict
from statistics import median

from bench.answers import own_answer
from bench.plan import Plan
from bench.processes import HERE, Loopback, read_answers, run_code
from bench.table import Limit, Row, Section
from polyvox.dialects import DIALECTS

_BASE = "openai-chat"
_MOST_PER_CHUNK = 1.5
_MOST_TO_ENCODE = 1.2


def dialects(plan: Plan, server: Loopback) -> Section:
    """The same words in the same pieces, in every dialect, in the pattern "flow"."""
    cpu_us: dict[str, list[float]] = defaultdict(list)
    for number in range(plan.rounds):
        for contender in plan.named("polyvox dialects"):
            for name in DIALECTS:
                with plan.survives(f"dialects, round {number + 1} of {plan.rounds}: {name}"):
                    reading = read_answers(
                        contender.python,
                        server,
                        contender.name,
                        f"flow {name} {plan.chunks}",
                        f"flow {name} {min(plan.chunks, 300)}",
                        plan.answers * 4,
                    )
                    cpu_us[name] += reading.cpu_us
    cost = {name: median(answers) / plan.chunks for name, answers in cpu_us.items()}
    ratio = {name: each / cost[_BASE] for name, each in cost.items() if _BASE in cost}
    rows = [
        Row(
            name,
            {
                "CPU us/chunk": each,
                f"x {_BASE}": ratio.get(name),
                "bytes/chunk": _bytes_per_chunk(name, plan.chunks),
            },
        )
        for name, each in cost.items()
    ]
    limits = [
        Limit(f"{name} / {_BASE}", each, _MOST_PER_CHUNK)
        for name, each in ratio.items()
        if name != _BASE
    ]
    title = "CPU per streamed chunk in every dialect, as our own server halves write it"
    return Section("dialects", title, rows, limits, [])


def encode(plan: Plan, server: Loopback) -> Section:
    """A long prompt from ``Request`` to bytes, against ``json.dumps`` of a body that is there already."""
    rows: list[Row] = []
    limits: list[Limit] = []
    for name in DIALECTS:
        with plan.survives(f"encode: {name}"):
            code = f"from bench.encoding import main; main({name!r}, {plan.encodings})"
            runs = [json.loads(run_code(HERE, code).output) for _ in range(plan.rounds)]
            ours, plain = (median(run[key] for run in runs) for key in ("ours", "plain"))
            cells = {"CPU ms": ours, "json.dumps ms": plain, "x json.dumps": ours / plain}
            rows.append(Row(name, {**cells, "KB": runs[0]["kb"]}))
            limits.append(Limit(f"{name} / json.dumps", ours / plain, _MOST_TO_ENCODE))
    title = "A prompt of 500 KB in 201 messages, mended and written, against json.dumps of its body"
    return Section("encode", title, rows, limits, [])


def _bytes_per_chunk(name: str, chunks: int) -> float:
    return round(sum(map(len, own_answer(name, chunks).pieces)) / chunks)
