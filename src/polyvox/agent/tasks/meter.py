"""What a task has used of what it may use."""

import time
from collections.abc import Sequence
from typing import Any

from polyvox.agent.limits import RunLimits
from polyvox.attempt import Attempt
from polyvox.usage import NANOS_PER_DOLLAR, ZERO_USAGE, Usage

__all__ = ["Meter"]


class Meter:
    """Adds up the attempts of a task, from now on."""

    def __init__(self, limits: RunLimits) -> None:
        self.usage: Usage = ZERO_USAGE
        self._limits = limits
        self._turns = 0
        self._began = time.monotonic()

    def add(self, turns: int, attempts: Sequence[Attempt]) -> None:
        """An attempt of the task is over; these providers were asked in it."""
        self._turns += turns
        self.usage = sum((attempt.usage for attempt in attempts), self.usage)

    @property
    def seconds(self) -> float | None:
        """The time that is left; None for as much as it takes."""
        if self._limits.seconds is None:
            return None
        return max(0.0, self._limits.seconds - (time.monotonic() - self._began))

    def left(self, most: RunLimits) -> RunLimits:
        """What the next attempt may use: as much as is left, and never more than ``most``."""
        limits, usage = self._limits, self.usage
        return RunLimits(
            turns=_less(limits.turns, self._turns, most.turns),
            tokens=_less(limits.tokens, usage.total_tokens, most.tokens),
            cost=_less(limits.cost, usage.cost.nanos / NANOS_PER_DOLLAR, most.cost),
            seconds=_less(self.seconds, 0, most.seconds),
        )


def _less(limit: float | None, used: float, most: float | None) -> Any:
    left = [] if limit is None else [max(0, limit - used)]
    return min([*left, *([] if most is None else [most])], default=None)
