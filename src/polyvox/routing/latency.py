"""How quick a deployment is of late."""

from math import exp

__all__ = ["Latency"]

_FADES_IN = 30.0
"""Seconds after which a measurement weighs about a third; a slow one is tried again by and by."""


class Latency:
    """Seconds to the first content: a rise counts at once, a fall little by little.

    This is the "peak" variant of an exponentially weighted moving average, which flees from a
    deployment that becomes slow and comes back to it with caution.
    """

    __slots__ = ("_seconds", "_when", "known")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._when = 0.0
        self.known = False

    def observe(self, seconds: float, now: float) -> None:
        """An answer took so long to begin."""
        if seconds < self._seconds:
            weight = exp(-max(0.0, now - self._when) / _FADES_IN)
            seconds = self._seconds * weight + seconds * (1 - weight)
        self._seconds = seconds
        self._when = now
        self.known = True

    def at(self, now: float) -> float:
        """What to expect now: without news, less and less."""
        return self._seconds * exp(-max(0.0, now - self._when) / _FADES_IN)

    @property
    def last(self) -> float | None:
        """The average as of the last answer; None before the first."""
        return self._seconds if self.known else None
