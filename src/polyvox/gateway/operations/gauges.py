"""What the parts of a gateway count themselves, read whenever somebody asks for the metrics."""

from collections.abc import Callable, Iterable

from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.shipping import Shipper
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.operations.health import Health
from polyvox.gateway.operations.labels import OTHER, Labels
from polyvox.gateway.operations.log_lines import LogLines
from polyvox.gateway.operations.metrics import Metrics
from polyvox.gateway.tenants.overview import BudgetsLeft
from polyvox.limits import RedisLimits
from polyvox.routing import Router

__all__ = [
    "watch_admission",
    "watch_budgets",
    "watch_debts",
    "watch_deployments",
    "watch_journal",
    "watch_log",
    "watch_parts",
    "watch_store",
]

_MOST_ROUTERS = 200


def watch_admission(metrics: Metrics, admission: Admission) -> None:
    """Calls that are in, that wait, and that were not let in."""
    metrics.watch("in_flight", "Calls that are worked on.", lambda: admission.in_flight)
    metrics.watch("queued", "Calls that wait for their turn.", lambda: admission.queued)
    about = "Calls that were not let in: the queue was full, they waited in vain, or it drained."

    def refused() -> dict[tuple[str, ...], float]:
        return {(why,): count for why, count in admission.refused.items()}

    metrics.watch_each("not_admitted_total", about, ("why",), refused, counts=True)


def watch_journal(metrics: Metrics, journal: Journal, shipper: Shipper) -> None:
    """What is not in the database yet, and what never will be."""
    metrics.watch(
        "journal_waiting_bytes",
        "Bytes of records that are not in the database yet.",
        lambda: journal.waiting_bytes,
    )
    about = "Lines that were not recorded."
    metrics.watch("journal_dropped_total", about, lambda: journal.dropped, counts=True)
    metrics.watch(
        "journal_failing", "1 while the journal can't be written.", lambda: bool(journal.failing)
    )
    metrics.watch(
        "shipper_lag_seconds",
        "How old the oldest record is that is not in the database yet.",
        lambda: shipper.lag.seconds,
    )
    about = "Calls that are in the database."
    metrics.watch("shipper_shipped_total", about, lambda: shipper.shipped, counts=True)
    about = "Calls that the database would not take."
    metrics.watch("shipper_refused_total", about, lambda: shipper.refused, counts=True)


def watch_store(metrics: Metrics, name: str, store: Database | RedisLimits) -> None:
    """Whether the database, or a Redis, answers: 1 or 0; the state of its breaker."""

    def up() -> dict[tuple[str, ...], float]:
        state = store.state
        return {(name,): (state if isinstance(state, str) else state.status) != "down"}

    metrics.watch_each("store_up", "Whether it answered when it was last asked.", ("store",), up)


def watch_debts(metrics: Metrics, store: RedisLimits) -> None:
    """What calls used that the store of limits does not know of: not yet, or never will."""
    metrics.watch("limits_owed", "Settlements that wait for Redis.", lambda: store.owed)
    about = "Settlements that were given up."
    metrics.watch("limits_lost_total", about, lambda: store.lost, counts=True)


def watch_budgets(metrics: Metrics, budgets: BudgetsLeft) -> None:
    """How it stands with the budgets of many, which are few."""
    labels = ("level", "budget")
    about = "What is left of a budget of the file, an organisation or a team; below 0: a debt."
    metrics.watch_each("budget_left_dollars", about, labels, lambda: budgets.left)
    about = "What that budget allows."
    metrics.watch_each("budget_limit_dollars", about, labels, lambda: budgets.limit)


def watch_log(metrics: Metrics, lines: LogLines) -> None:
    """Lines of the log that nobody was quick enough to read."""
    about = "Lines of the log that were dropped."
    metrics.watch("log_dropped_total", about, lambda: lines.dropped, counts=True)


def watch_parts(metrics: Metrics, health: Health) -> None:
    """What does not work as it should, as /health says."""

    def degraded() -> dict[tuple[str, ...], float]:
        return {(part.name,): bool(part.degraded) for part in health.report().parts}

    about = "1 while a part of the gateway does not work as it should; /health says why."
    metrics.watch_each("degraded", about, ("part",), degraded)


def watch_deployments(metrics: Metrics, routers: Callable[[], Iterable[Router]]) -> None:
    """Which deployments are left alone since they failed, by the router that asks them."""
    names = Labels(_MOST_ROUTERS)

    def resting() -> dict[tuple[str, ...], float]:
        found: dict[tuple[str, ...], float] = {}
        for router in routers():
            for each in router.status():
                label = names.of(router.name)
                values = label, each.name if label != OTHER else OTHER
                found[values] = max(found.get(values, 0.0), float(each.rests))
        return found

    about = "1 from the failure after which a deployment was left alone until it answers again."
    metrics.watch_each("deployment_resting", about, ("router", "deployment"), resting)
