"""What the parts of a gateway count themselves, read whenever somebody asks for the metrics."""

from collections.abc import Callable
from typing import Protocol

from polyvox.gateway.operations.health import Books, Counted, Stated, Stored
from polyvox.gateway.operations.log_lines import LogLines
from polyvox.gateway.operations.metrics import Metrics

__all__ = ["watch_admission", "watch_journal", "watch_log", "watch_store"]


class Doors(Counted, Protocol):
    """What lets calls in: how many are in, how many wait, how many were refused and why."""

    @property
    def refused(self) -> dict[str, int]: ...


class Behind(Protocol):
    """How far something is behind."""

    @property
    def seconds(self) -> float: ...


class Ships(Protocol):
    """What takes records into the database."""

    @property
    def lag(self) -> Behind: ...
    @property
    def shipped(self) -> int: ...
    @property
    def refused(self) -> int: ...


def watch_admission(metrics: Metrics, admission: Doors) -> None:
    """Calls that are in, that wait, and that were not let in."""
    metrics.watch("in_flight", "Calls that are worked on.", lambda: admission.in_flight)
    metrics.watch("queued", "Calls that wait for their turn.", lambda: admission.queued)
    about = "Calls that were not let in: the queue was full, they waited in vain, or it drained."
    for why in admission.refused:
        metrics.watch("not_admitted", about, _reading(admission.refused, why), why=why)


def watch_journal(metrics: Metrics, journal: Books, shipper: Ships) -> None:
    """What is not in the database yet, and what never will be."""
    metrics.watch(
        "journal_waiting_bytes",
        "Bytes of records that are not in the database yet.",
        lambda: journal.waiting_bytes,
    )
    metrics.watch("journal_dropped", "Lines that were not recorded.", lambda: journal.dropped)
    metrics.watch(
        "journal_failing", "1 while the journal can't be written.", lambda: bool(journal.failing)
    )
    metrics.watch(
        "shipper_lag_seconds",
        "How old the oldest record is that is not in the database yet.",
        lambda: shipper.lag.seconds,
    )
    metrics.watch("shipper_shipped", "Calls that are in the database.", lambda: shipper.shipped)
    metrics.watch(
        "shipper_refused", "Calls that the database would not take.", lambda: shipper.refused
    )


def watch_store(metrics: Metrics, name: str, store: Stated | Stored) -> None:
    """Whether the database, or a Redis, answers: 1 or 0; the state of its breaker."""

    def up() -> float:
        state = store.state
        return (state if isinstance(state, str) else state.status) != "down"

    metrics.watch("store_up", "Whether it answered when it was last asked.", up, store=name)


def watch_log(metrics: Metrics, lines: LogLines) -> None:
    """Lines of the log that nobody was quick enough to read."""
    metrics.watch("log_dropped", "Lines of the log that were dropped.", lambda: lines.dropped)


def _reading(counts: dict[str, int], name: str) -> Callable[[], float]:
    return lambda: counts[name]
