"""Readiness: whether calls should be sent here. 200 or 503.

A worker is ready as long as it can serve calls:

- it has opened, and is not being stopped
- it knows callers' keys: those of its configuration, or of a database that it has read once, be it
  before it was last started. While the database is away afterwards it stays ready: taking all workers
  out because of it would turn a degraded service into none.
- its journal can be written, or calls may go on without it (``on_failure = "allow"``)

Nothing is asked for it, as for ``health``.
"""

from collections.abc import Callable

import msgspec

from polyvox.model import Interrupt

__all__ = ["Readiness", "ReadyReport"]


class ReadyReport(msgspec.Struct, frozen=True):
    """Whether calls should be sent to this worker, and if not, why."""

    ready: bool
    reasons: list[str]


class Readiness:
    """Says whether calls should be sent here.

    Args:
        draining: set when the worker is being stopped.
        opened: whether everything has begun.
        keys_known: whether somebody's key would be known.
        refuses_all: whether every call is refused now because it can't be recorded.
    """

    def __init__(
        self,
        draining: Interrupt,
        *,
        opened: Callable[[], bool] = lambda: True,
        keys_known: Callable[[], bool] = lambda: True,
        refuses_all: Callable[[], bool] = lambda: False,
    ) -> None:
        self._draining = draining
        self._opened = opened
        self._keys_known = keys_known
        self._refuses_all = refuses_all

    def report(self) -> ReadyReport:
        """Whether it is ready now."""
        reasons: list[str] = []
        if self._draining.is_set:
            reasons.append("the worker is being stopped")
        if not self._opened():
            reasons.append("the worker is starting")
        elif not self._keys_known():
            reasons.append("no keys are known: the database has not been read yet")
        if self._refuses_all():
            reasons.append("the journal can't be written, and calls must be recorded")
        return ReadyReport(not reasons, reasons)
