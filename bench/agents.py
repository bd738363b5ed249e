"""What an agent's loop costs: a turn, many tools at once, a long conversation, and to begin with."""

import json
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from bench.agenting import FEW, MANY, NAPS
from bench.plan import Contender, Plan
from bench.processes import Loopback, run_code
from bench.table import Limit, Row, Section

_MOST_PER_TURN = 300.0
_MOST_FOR_NAPS = 1.3
_MOST_WITH_MANY = 1.5
_OURS = "polyvox"
_IN_PROCESS = "polyvox, in process"

_NOTES = [
    f"in process: beyond model and tool. Both stand behind {FEW} messages; us/turn, long: {MANY:,}.",
    f"naps: {NAPS} tools at once that sleep 0.1 s each, against one; the whole run, by the clock.",
    "make: import and an agent; ask: and one turn with a tool. Whole scripts, python -S.",
]


class _Played(NamedTuple):
    """What an agent took, at the least."""

    turn_us: list[float]
    nap_s: list[float]
    versions: dict[str, str]


class _Started(NamedTuple):
    """What whole scripts took: that make an agent, and that have it do something too."""

    make_ms: float
    ask_ms: float
    peak_mb: float


def agents(plan: Plan, server: Loopback) -> Section:
    """Everybody's agent over the server; ours over a model in process as well."""
    rows: list[Row] = []
    limits: list[Limit] = []
    ours: _Played | None = None
    for each in plan.agents:
        if each.name == _OURS:
            with plan.survives(f"agents: {_IN_PROCESS}"):
                played = _played(plan, each, "")
                rows.append(Row(_IN_PROCESS, _cells(played, None, None)))
                limits += _judged(played)
        with plan.survives(f"agents: {each.name}"):
            played = _played(plan, each, server.url)
            ours = played if each.name == _OURS else ours
            rows.append(
                Row(_label(each, played), _cells(played, ours, _started(plan, each, server)))
            )
            limits += [_napping(_OURS, played)] if each.name == _OURS else []
    title = "An agent's turn with one tool, over the server: CPU, also in a long conversation"
    missing = [f"not installed, so not measured: {name}" for name in plan.absent]
    return Section("agents", title, rows, limits, [*_NOTES, *missing])


def _played(plan: Plan, agent: Contender, url: str) -> _Played:
    arguments = ", ".join(map(repr, (agent.name, url, *plan.agent_turns(agent.name))))
    code = f"from bench.agenting import main; main({arguments})"
    return _Played(**json.loads(run_code(agent.python, code).output.splitlines()[-1]))


def _started(plan: Plan, agent: Contender, server: Loopback) -> _Started:
    """Whole scripts."""
    make, ask = (
        f"from bench.agenting import start; start({agent.name!r}, {server.url!r}, {prompt!r})"
        for prompt in ("", "agent add 1")
    )
    made = [run_code(agent.python, make) for _ in range(max(3, plan.rounds))]
    asked = [run_code(agent.python, ask) for _ in range(max(3, plan.rounds))]
    return _Started(
        min(run.cpu_ms for run in made),
        min(run.cpu_ms for run in asked),
        median(run.max_rss_mb for run in asked),
    )


def _cells(
    played: _Played, ours: _Played | None, started: _Started | None
) -> dict[str, float | None]:
    few, many = played.turn_us
    one, naps = played.nap_s
    return {
        "us/turn": few,
        "x polyvox": few / ours.turn_us[0] if ours else None,
        "us/turn, long": many,
        "x short": many / few,
        "x polyvox, long": many / ours.turn_us[1] if ours else None,
        "x one nap": naps / one,
        "make ms": started.make_ms if started else None,
        "ask ms": started.ask_ms if started else None,
        "peak MiB": started.peak_mb if started else None,
    }


def _label(agent: Contender, played: _Played) -> str:
    number = next(iter(played.versions.values()), "")
    return f"{agent.name} {number}".rstrip()


def _judged(played: _Played) -> Iterator[Limit]:
    few, many = played.turn_us
    yield Limit(f"{_IN_PROCESS}: a turn beyond model and tool", few, _MOST_PER_TURN, "us")
    yield Limit(f"{_IN_PROCESS}: {MANY:,} messages / {FEW}", many / few, _MOST_WITH_MANY)
    yield _napping(_IN_PROCESS, played)


def _napping(who: str, played: _Played) -> Limit:
    one, naps = played.nap_s
    return Limit(f"{who}: {NAPS} naps / one", naps / one, _MOST_FOR_NAPS)
