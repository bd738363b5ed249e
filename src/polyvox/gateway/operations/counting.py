"""Counters and histograms that cost next to nothing to add to, and are put into words when somebody asks.

Those of prometheus_client take a lock for each number, of which a call has a dozen. These take none: one
thread adds, any thread may read, and sees at worst a call of which half is counted.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["Count", "Counts", "Readings", "Spread", "Spreads"]

Read: TypeAlias = Callable[[], Mapping[tuple[str, ...], float]]
"""Gives numbers by the values of their labels."""


class Count:
    """One number: ``count.value += 1``."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0


class Counts:
    """A number for each combination of labels, as a collector of prometheus_client."""

    def __init__(self, name: str, about: str, labels: tuple[str, ...]) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._made: dict[tuple[str, ...], Count] = {}

    def of(self, *values: str) -> Count:
        """The number of these values of the labels."""
        count = self._made.get(values)
        if count is None:
            count = self._made[values] = Count()
        return count

    def collect(self) -> Iterable["Metric"]:
        """Everything, for the registry."""
        from prometheus_client.metrics_core import CounterMetricFamily

        family = CounterMetricFamily(self._name, self._about, labels=self._labels)
        for values, count in list(self._made.items()):
            family.add_metric(values, count.value)
        return [family]


class Readings:
    """Numbers that somebody else keeps, read when they are asked for, as a collector of prometheus_client.

    They go up and down, unless they are ``counts``.
    """

    def __init__(self, name: str, about: str, labels: tuple[str, ...], *, counts: bool) -> None:
        self._name, self._about, self._labels, self._counts = name, about, labels, counts
        self.reads: list[Read] = []

    def collect(self) -> Iterable["Metric"]:
        """Everything, for the registry."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        kind = CounterMetricFamily if self._counts else GaugeMetricFamily
        family = kind(self._name, self._about, labels=self._labels)
        for read in self.reads:
            for values, number in read().items():
                family.add_metric(values, number)
        return [family]


class Spread:
    """How often a value was within each of some bounds, and the sum of all."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Spreads:
    """A histogram for each combination of labels, as a collector of prometheus_client."""

    def __init__(
        self, name: str, about: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        self._name, self._about, self._labels = name, about, labels
        self._bounds = bounds
        self._made: dict[tuple[str, ...], Spread] = {}

    def of(self, *values: str) -> Spread:
        """The histogram of these values of the labels."""
        spread = self._made.get(values)
        if spread is None:
            spread = self._made[values] = Spread(self._bounds)
        return spread

    def collect(self) -> Iterable["Metric"]:
        """Everything, for the registry."""
        from prometheus_client.metrics_core import HistogramMetricFamily

        family = HistogramMetricFamily(self._name, self._about, labels=self._labels)
        for values, spread in list(self._made.items()):
            family.add_metric(values, self._buckets(spread), spread.sum)
        return [family]

    def _buckets(self, spread: Spread) -> list[tuple[str, float]]:
        """How many values were up to each bound."""
        bounds = [*(repr(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(spread.counts), strict=True))
