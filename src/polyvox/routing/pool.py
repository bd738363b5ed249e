"""A pool: deployments, how each of them stands, and who is asked next."""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import NamedTuple

from polyvox.errors import AbortedError, ConfigurationError, PolyvoxError
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.routing.deployment import Deployment, DeploymentStatus, Lane
from polyvox.routing.ranking import Ranking
from polyvox.routing.strategies import STRATEGIES, Chance, Strategy, Tiers
from polyvox.routing.window import Used
from polyvox.waiting import Waiter

__all__ = ["Busy", "Pool", "Seat"]

_log = logging.getLogger(__name__)

MOST_LOOKED_AT = 32
"""So many lanes without room for this call's tokens are passed over; then it counts as limited."""


class Busy(NamedTuple):
    """Nobody can be asked before ``due``, on the pool's clock; infinity: nobody knows when."""

    due: float


class Pool:
    """Choose among deployments, and remember how they do. Several routers may share one.

    Args:
        deployments: who may be asked; a bare model is a deployment of it.
        strategy: who is asked first among those of the lowest priority.
        clock: seconds that only ever grow.
        random: where chance comes from.

    It may be used from several threads and event loops. Raises ``ConfigurationError``.
    """

    def __init__(
        self,
        deployments: Sequence[Deployment | Model],
        strategy: Strategy = "priority",
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        if strategy not in STRATEGIES:
            raise ConfigurationError(
                f"there is no strategy {strategy!r}", hint=f"There are {', '.join(STRATEGIES)}."
            )
        self.clock = clock
        self.random = random or Random()
        self.lanes = _lanes(deployments)
        # Reentrant: the garbage collector may find a forgotten stream, whose end gives its place back.
        self._lock = threading.RLock()
        chance = Chance(clock, self.random)
        self._by_load = strategy == "least-busy"
        self._open = Tiers(lambda: STRATEGIES[strategy](chance), by_load=self._by_load)
        self._resting: Ranking[Lane] = Ranking()
        self._waiting: OrderedDict[Waiter, None] = OrderedDict()
        for lane in self.lanes:
            self._open.put(lane)

    def take(self, request: Request, call: Call, passed: Sequence[Lane] = ()) -> "Seat | Busy":
        """A place at the deployment that is asked next, one that is not among ``passed``."""
        with self._lock:
            now = self.clock()
            if self._resting:
                self._wake(now)
            aside = list(passed)
            for lane in passed:
                self._open.drop(lane)
            try:
                seat, due = self._seat(request, call, aside, now)
            finally:
                for lane in aside:
                    self._place(lane, now)
            if seat is not None:
                self._place(seat.lane, now)
                return seat
            resting = self._resting.least()
            return Busy(min(due, resting[0]) if resting else due)

    def status(self) -> list[DeploymentStatus]:
        """How each deployment stands, in the order in which they were given."""
        with self._lock:
            now = self.clock()
            return [lane.status(now) for lane in self.lanes]

    @contextmanager
    def waiting(self, waiter: Waiter) -> Generator[None]:
        """Wake the waiter when somebody may have become free."""
        with self._lock:
            self._waiting[waiter] = None
        try:
            yield
        finally:
            with self._lock:
                del self._waiting[waiter]
                self._wake_one()  # it may have been woken in vain

    def answered(self, seat: "Seat") -> None:
        """The answer has begun."""
        with self._lock:
            now, lane = self.clock(), seat.lane
            lane.answered += 1
            seat.sound = True
            lane.latency.observe(now - seat.since, now)
            probed, seat.probe = seat.probe, False
            if probed:
                lane.breaker.answered(probe=True)
                self._place(lane, now)
                self._wake_one()
        if probed:
            _tell(lane, now)

    def failed(self, seat: "Seat", error: PolyvoxError) -> None:
        """The call failed, before or after the answer had begun."""
        with self._lock:
            now, lane = self.clock(), seat.lane
            rested = lane.breaker.level > 0
            lane.note(error)
            seat.sound = False
            lane.breaker.failed(error, now, probe=seat.probe)
            seat.probe = False
            self._place(lane, now)
            rests = lane.breaker.level > 0
        if rests != rested:
            _tell(lane, now)

    def leave(self, seat: "Seat") -> None:
        """The call is over, however it ended."""
        with self._lock:
            now, lane = self.clock(), seat.lane
            lane.in_flight -= 1
            if seat.sound:
                lane.breaker.completed()
            if seat.probe:
                lane.breaker.left(probe=True)
            if not lane.unlimited:
                seat.settle(now)
            self._place(lane, now)
            if self._waiting:
                self._wake_one()

    def _seat(
        self, request: Request, call: Call, aside: list[Lane], now: float
    ) -> "tuple[Seat | None, float]":
        """A place at the lane chosen, or when there may be one; who has no room now is put aside."""
        soonest = float("inf")
        for _ in range(MOST_LOOKED_AT):
            lane = self._open.choose(request)
            if lane is None:
                break
            tokens = quote_of(lane.model, request).total_tokens if lane.tokens else 0
            due = lane.room_at(tokens, now) if lane.tokens else 0.0
            if due <= now:
                return Seat(self, lane, call, tokens, now), soonest
            soonest = min(soonest, due)
            self._open.drop(lane)
            aside.append(lane)
        return None, soonest

    def _wake(self, now: float) -> None:
        """Those whose rest is over may be asked again."""
        while (resting := self._resting.least()) and resting[0] <= now:
            self._place(resting[1], now)

    def _place(self, lane: Lane, now: float) -> None:
        """Put the lane where it belongs: among those that may be asked, or those that rest."""
        if lane.open and lane.unlimited and not lane.breaker.level and not self._by_load:
            return  # nearly always
        due = lane.due(now)
        if due <= now:
            self._resting.drop(lane)
            self._open.put(lane)
            return
        self._open.drop(lane)
        if due == float("inf"):
            self._resting.drop(lane)  # it comes back when one of its calls ends
        else:
            self._resting.put(lane, due)

    def _wake_one(self) -> None:
        if self._waiting:
            waiter = next(iter(self._waiting))
            self._waiting.move_to_end(waiter)
            waiter.wake()


class Seat:
    """One call's place at a deployment; leaving the block gives it back, however the call ended."""

    __slots__ = (
        "_requests",
        "_tokens",
        "_worst",
        "call",
        "lane",
        "pool",
        "probe",
        "since",
        "sound",
    )

    def __init__(self, pool: Pool, lane: Lane, call: Call, tokens: int, now: float) -> None:
        self.pool = pool
        self.lane = lane
        self.since = now
        self.probe = lane.breaker.ask()
        self.sound = False
        self._worst = tokens
        self._requests: Used | None = lane.requests.add(1, now) if lane.requests else None
        self._tokens: Used | None = lane.tokens.add(tokens, now) if lane.tokens else None
        self.call = call.child() if self._requests or self._tokens else call
        lane.in_flight += 1
        lane.asked += 1

    def __enter__(self) -> "Seat":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.pool.leave(self)

    def answered(self) -> None:
        """The first content is there."""
        self.pool.answered(self)

    def failed(self, error: PolyvoxError) -> None:
        """The call failed. When it was the caller's doing, that says nothing about the deployment."""
        if isinstance(error, AbortedError) or self.call.is_late:
            return
        self.pool.failed(self, error)

    def settle(self, now: float) -> None:
        """Give back what was reserved and not used, or take what was used beyond it."""
        attempts = self.call.attempts
        if self._requests is not None and self.lane.requests is not None:
            self.lane.requests.correct(self._requests, len(attempts) - 1, now)
        if self._tokens is not None and self.lane.tokens is not None:
            used = sum(attempt.usage.total_tokens for attempt in attempts)
            self.lane.tokens.correct(self._tokens, used - self._worst, now)


def _tell(lane: Lane, now: float) -> None:
    """Log that a deployment rests from now on, or no more; a program without a log has no such lines."""
    if not _log.hasHandlers():
        return
    name = lane.name if lane.name == lane.model.name else f"{lane.name} ({lane.model.name})"
    what = "answers again"
    if lane.breaker.level:
        what = f"is not asked for {lane.breaker.until - now:.0f} s: {lane.last_error}"
    _log.warning("%s %s", name, what, extra={"repeats_of": lane.name})


def _lanes(deployments: Sequence[Deployment | Model]) -> list[Lane]:
    """The lanes, each with a name of its own."""
    if isinstance(deployments, str):  # or else each of its letters would be one
        raise ConfigurationError(
            f"deployments are a list of models, and {deployments!r} is a string",
            hint=f"Give [client.model({deployments!r})].",
        )
    all_of_them = [
        each if isinstance(each, Deployment) else Deployment(each) for each in deployments
    ]
    names = [each.name or each.model.name for each in all_of_them]
    count, seen = Counter(names), Counter[str]()
    lanes: list[Lane] = []
    for place, (deployment, name) in enumerate(zip(all_of_them, names, strict=True)):
        seen[name] += 1
        unique = f"{name}#{seen[name]}" if count[name] > 1 else name
        lanes.append(Lane(deployment, unique, place))
    return lanes
