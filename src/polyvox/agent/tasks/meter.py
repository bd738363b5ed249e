"""What a task has used of what it may use."""

import time
from collections.abc import Sequence
from typing import Any

from polyvox.agent.limits import RunLimits
from polyvox.attempt import Attempt
from polyvox.usage import NANOS_PER_DOLLAR, ZERO_USAGE, Usage

__all__ = ["Meter"]


class Meter:
    """Adds up the attempts of a task, from now on; it must be over at the deadline of the call around it."""

    def __init__(self, limits: RunLimits, deadline: float | None) -> None:
        self.usage: Usage = ZERO_USAGE
        self._limits = limits
        self._turns = 0
        own = None if limits.seconds is None else time.monotonic() + limits.seconds
        self.deadline = min((each for each in (own, deadline) if each is not None), default=None)
        self._late = (
            "the time of the call around it is over"
            if own is None or self.deadline != own
            else f"{limits.seconds:g} seconds are over (limits.seconds)"
        )

    def add(self, turns: int, attempts: Sequence[Attempt]) -> None:
        """An attempt of the task is over; these providers were asked in it."""
        self._turns += turns
        self.usage = sum((attempt.usage for attempt in attempts), self.usage)

    def reached(self) -> str:
        """Which limit the task has come to, in words; "" for none."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return self._late
        usage = self.usage
        return self._limits.reached(self._turns, usage.total_tokens, usage.cost.nanos)

    def left(self, most: RunLimits) -> RunLimits:
        """What the next attempt may use: as much as is left, and never more than ``most``."""
        limits, usage = self._limits, self.usage
        return RunLimits(
            turns=_less(limits.turns, self._turns, most.turns),
            tokens=_less(limits.tokens, usage.total_tokens, most.tokens),
            cost=_less(limits.cost, usage.cost.nanos / NANOS_PER_DOLLAR, most.cost),
            seconds=_less(self.deadline, time.monotonic(), most.seconds),
        )


def _less(limit: float | None, used: float, most: float | None) -> Any:
    left = [] if limit is None else [max(0, limit - used)]
    return min([*left, *([] if most is None else [most])], default=None)
