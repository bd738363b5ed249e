"""Whom to ask first: the strategies, each over the lanes that may be asked now.

A strategy is told of every lane that may be asked, of every change of its load, and when it may not
be asked any more. Nothing here takes more steps than the logarithm of the number of lanes, but for
the lowest cost, which asks one lane of each model for its quote.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from random import Random
from typing import Literal, NamedTuple, Protocol, TypeAlias

from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.routing.deployment import Lane
from polyvox.routing.ranking import Ranking, Weights
from polyvox.usage import Cost

__all__ = ["STRATEGIES", "Chance", "Choice", "Strategy", "Tiers", "cost_rank"]

Strategy: TypeAlias = Literal[
    "priority", "weighted", "round-robin", "least-busy", "lowest-latency", "lowest-cost"
]


class Chance(NamedTuple):
    """What is not in the lanes: the time, and luck."""

    clock: Callable[[], float]
    random: Random


class Choice(Protocol):
    """The lanes that may be asked, and which of them is asked next."""

    def __len__(self) -> int: ...

    def put(self, lane: Lane) -> None:
        """The lane may be asked; or it may be already, and its load has changed."""
        ...

    def drop(self, lane: Lane) -> None:
        """The lane may not be asked, if it was among them."""
        ...

    def choose(self, request: Request) -> Lane | None:
        """Who is asked next. The lane stays among them."""
        ...


class _Ranked:
    """The lane of the least rank."""

    def __init__(self, rank: Callable[[Lane], float]) -> None:
        self._rank = rank
        self._lanes: Ranking[Lane] = Ranking()

    def __len__(self) -> int:
        return len(self._lanes)

    def put(self, lane: Lane) -> None:
        self._lanes.put(lane, self._rank(lane))

    def drop(self, lane: Lane) -> None:
        self._lanes.drop(lane)

    def choose(self, request: Request) -> Lane | None:
        least = self._lanes.least()
        return least and least[1]


class _Weighted:
    """Each lane with a chance that is as large as its weight."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._weights = Weights()
        self._places: dict[Lane, int] = {}
        self._lanes: list[Lane] = []
        self._present: set[Lane] = set()

    def __len__(self) -> int:
        return len(self._present)

    def put(self, lane: Lane) -> None:
        if lane in self._present:
            return
        self._present.add(lane)
        if lane in self._places:
            self._weights.set(self._places[lane], lane.deployment.weight)
        else:
            self._places[lane] = self._weights.append(lane.deployment.weight)
            self._lanes.append(lane)

    def drop(self, lane: Lane) -> None:
        if lane in self._present:
            self._present.discard(lane)
            self._weights.set(self._places[lane], 0)

    def choose(self, request: Request) -> Lane | None:
        if not self._present:
            return None
        return self._lanes[self._weights.at(self._random.randrange(self._weights.total))]


class _InTurn:
    """One after the other."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[Lane, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._lanes)

    def put(self, lane: Lane) -> None:
        self._lanes.setdefault(lane)

    def drop(self, lane: Lane) -> None:
        self._lanes.pop(lane, None)

    def choose(self, request: Request) -> Lane | None:
        lane = next(iter(self._lanes), None)
        if lane is not None:
            self._lanes.move_to_end(lane)
        return lane


class _Quickest:
    """Of two lanes drawn by lot the one that will answer sooner, by its latency and its load.

    Two are enough: the best of all, chosen by everyone at once, would not be the best for long.
    """

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._lanes: list[Lane] = []
        self._places: dict[Lane, int] = {}

    def __len__(self) -> int:
        return len(self._lanes)

    def put(self, lane: Lane) -> None:
        if lane not in self._places:
            self._places[lane] = len(self._lanes)
            self._lanes.append(lane)

    def drop(self, lane: Lane) -> None:
        place = self._places.pop(lane, None)
        if place is None:
            return
        last = self._lanes.pop()
        if last is not lane:
            self._lanes[place] = last
            self._places[last] = place

    def choose(self, request: Request) -> Lane | None:
        count, random = len(self._lanes), self._chance.random
        if count < 2:
            return self._lanes[0] if self._lanes else None
        first = int(random.random() * count)  # randrange() takes several times as long
        second = (first + 1 + int(random.random() * (count - 1))) % count
        one, other, now = self._lanes[first], self._lanes[second], self._chance.clock()
        return one if _expected(one, now) <= _expected(other, now) else other


def _expected(lane: Lane, now: float) -> float:
    """How long an answer may take: one that nobody has seen yet is tried, by one call."""
    latency = lane.latency
    if not latency.known:
        return float(lane.in_flight and 1e9)
    return latency.at(now) * (lane.in_flight + 1) / lane.deployment.weight


class _Cheapest:
    """A lane of the model with the lowest quote; those of one model have one price, and take turns."""

    def __init__(self) -> None:
        self._models: dict[str, _InTurn] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, lane: Lane) -> None:
        self._change(lane, _InTurn.put)

    def drop(self, lane: Lane) -> None:
        self._change(lane, _InTurn.drop)

    def choose(self, request: Request) -> Lane | None:
        offers = [lane for lanes in self._models.values() if (lane := lanes.choose(request))]
        if len(offers) < 2:
            return offers[0] if offers else None
        return min(offers, key=lambda lane: cost_rank(quote_of(lane.model, request).cost))

    def _change(self, lane: Lane, change: Callable[[_InTurn, Lane], None]) -> None:
        lanes = self._models.setdefault(lane.model.name, _InTurn())
        before = len(lanes)
        change(lanes, lane)
        self._count += len(lanes) - before
        if not lanes:
            del self._models[lane.model.name]


def cost_rank(cost: Cost) -> tuple[bool, int]:
    """Cheap before dear; a price that nobody knows comes last."""
    return cost.status == "unknown", cost.nanos


STRATEGIES: Mapping[Strategy, Callable[[Chance], Choice]] = {
    "priority": lambda _: _Ranked(lambda lane: lane.place),
    "weighted": lambda chance: _Weighted(chance.random),
    "round-robin": lambda _: _InTurn(),
    "least-busy": lambda _: _Ranked(lambda lane: lane.in_flight / lane.deployment.weight),
    "lowest-latency": _Quickest,
    "lowest-cost": lambda _: _Cheapest(),
}


class Tiers:
    """A strategy for each priority: the lowest that has somebody to ask is asked."""

    def __init__(self, make: Callable[[], Choice], *, by_load: bool) -> None:
        self._make = make
        self._by_load = by_load
        self._tiers: dict[int, Choice] = {}
        self._manned: Ranking[int] = Ranking()

    def put(self, lane: Lane) -> None:
        """The lane may be asked, or its load has changed, which means something to few strategies."""
        if lane.open and not self._by_load:
            return
        lane.open = True
        priority = lane.deployment.priority
        if priority not in self._tiers:
            self._tiers[priority] = self._make()
        self._tiers[priority].put(lane)
        self._manned.put(priority, priority)

    def drop(self, lane: Lane) -> None:
        """The lane may not be asked."""
        if not lane.open:
            return
        lane.open = False
        priority = lane.deployment.priority
        tier = self._tiers.get(priority)
        if tier is not None:
            tier.drop(lane)
            if not len(tier):
                self._manned.drop(priority)

    def choose(self, request: Request) -> Lane | None:
        """Who is asked next."""
        least = self._manned.least()
        return self._tiers[least[1]].choose(request) if least else None
