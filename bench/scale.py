"""Whether many deployments, or many budgets, are chosen and reset as quickly as few."""

import json

from bench.plan import Plan
from bench.processes import HERE, Loopback, run_code
from bench.table import Limit, Row, Section

DEPLOYMENTS = (100, 10_000)
BUDGETS = (100, 100_000)
_MOST = 2.0


def scale(plan: Plan, server: Loopback) -> Section:
    """A hundred, and as many as there may be; in one process, in turns."""
    rows: list[Row] = []
    limits: list[Limit] = []
    with plan.survives("scale"):
        sizes = ", ".join(map(repr, (DEPLOYMENTS, BUDGETS, plan.choices)))
        code = f"from bench.crowds import main; main({sizes})"
        found: dict[str, list[float]] = json.loads(run_code(HERE, code).output)
        for what, (few, many) in found.items():
            rows.append(Row(what, {"us, few": few, "us, many": many, "x few": many / few}))
            limits.append(Limit(f"{what}: many / few", many / few, _MOST))
    title = (
        f"CPU with few and many: {DEPLOYMENTS[0]} and {DEPLOYMENTS[1]:,} deployments,"
        f" {BUDGETS[0]} and {BUDGETS[1]:,} budgets"
    )
    return Section("scale", title, rows, limits, [])
