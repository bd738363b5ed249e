"""``python -m bench``: measure, print tables, and end with status 0 unless a contender crashed."""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from bench import (
    agents,
    at_once,
    composites,
    dialects,
    gateway,
    native,
    overhead,
    scale,
    starts,
    streams,
)
from bench.contenders import AGENTS, GATEWAYS, NAMES
from bench.plan import Plan
from bench.processes import Loopback, loopback
from bench.table import Section, render

SECTIONS: dict[str, Callable[[Plan, Loopback], Section]] = {
    "flow": streams.flow,
    "step": streams.step,
    "imports": starts.imports,
    "linear": streams.linear,
    "dialects": dialects.dialects,
    "encode": dialects.encode,
    "call": streams.call,
    "native": native.native,
    "pass-through": at_once.pass_through,
    "many-streams": at_once.many_streams,
    "overhead": overhead.overhead,
    "scale": scale.scale,
    "agents": agents.agents,
    "composites": composites.composites,
    "gateway": gateway.gateway,
    "first-call": starts.first_call,
    "catalog": starts.catalog,
}


def main(arguments: list[str] | None = None) -> int:
    chosen = _parse(arguments)
    plan = Plan(quick=chosen.quick, chunks=chosen.chunks, only=chosen.contender)
    sections: list[Section] = []
    print(_machine(), end="\n\n", flush=True)
    with loopback() as server:
        for name in chosen.only or SECTIONS:
            section = SECTIONS[name](plan, server)
            sections.append(section)
            print(render(section), end="\n\n", flush=True)
    for crash in plan.crashes:
        print(f"crashed: {crash}")
    if chosen.json:
        found = [section.to_dict() for section in sections]
        report = {"machine": _machine(), "sections": found, "crashes": plan.crashes}
        chosen.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 1 if plan.crashes else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="these sections only")
    names = list(dict.fromkeys((*NAMES, *AGENTS, *GATEWAYS)))
    parser.add_argument("--contender", action="append", choices=names, help="these contenders only")
    parser.add_argument("--quick", action="store_true", help="less of all: a look, not a result")
    parser.add_argument("--chunks", type=int, help="chunks in an answer (5,000; quick: 500)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    return parser.parse_args(arguments)


def _machine() -> str:
    return f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"


if __name__ == "__main__":
    sys.exit(main())
