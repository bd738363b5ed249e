"""Few against many: choosing among deployments, and reserving and settling on budgets.

Run as ``python -S -c "from bench.crowds import main; main(COUNTS, TIMES)"``.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from random import Random
from statistics import median

from polyvox.attempt import Attempt
from polyvox.errors import RateLimitError
from polyvox.events import Event
from polyvox.limits import Budget, MemoryLimits
from polyvox.limits.budget import BudgetLimit
from polyvox.limits.gate import Gate
from polyvox.messages import user
from polyvox.model import Call
from polyvox.request import Request
from polyvox.routing import Pool
from polyvox.routing.pool import Seat
from polyvox.routing.strategies import STRATEGIES, Strategy
from polyvox.usage import Cost, Usage

_ROUNDS = 10
_MODELS = 3
_DAY = 86_400.0
_REQUEST = Request(messages=[user("Why is the sky blue?")])
_QUOTE = Usage(20, 100, basis="estimated", cost=Cost("known", nanos=1_000))
_ATTEMPT = Attempt(provider="p", model="m", started=0.0, seconds=1.0, usage=_QUOTE)


class Idle:
    """A model that nobody asks: only who would be asked is measured."""

    def __init__(self, number: int) -> None:
        self.name = f"p/model-{number % _MODELS}"
        self._quote = Usage(20, 100, cost=Cost("known", nanos=1_000 + number % _MODELS))

    def quote(self, request: Request) -> Usage:
        """A price at hand."""
        return self._quote

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """Not called."""
        raise NotImplementedError


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def main(deployments: list[int], budgets: list[int], times: int) -> None:
    """Print, as JSON, microseconds by what is done: a list, one number for each size."""
    found: dict[str, list[float]] = {}
    for name in STRATEGIES:
        found[f"choose: {name}"] = _turns([_chooser(name, count) for count in deployments], times)
    found["return from a cooldown"] = [_returning(count) for count in deployments]
    found |= asyncio.run(_budgets(budgets, times))
    print(json.dumps(found))


def _turns(work: list[Callable[[int], float]], times: int) -> list[float]:
    """Each in its turn, several times, so that a noisy moment hurts all alike."""
    spent = [[each(times) for each in work] for _ in range(_ROUNDS)]
    return [median(column) for column in zip(*spent, strict=True)]


def _chooser(strategy: Strategy, count: int) -> Callable[[int], float]:
    """The microseconds of a call's seat: taken, answered, left."""
    pool = _pool(strategy, count, time.monotonic)
    call = Call()

    def choose(times: int) -> float:
        began = time.process_time()
        for _ in range(times):
            seat = pool.take(_REQUEST, call)
            assert isinstance(seat, Seat)
            with seat:
                seat.answered()
        return (time.process_time() - began) * 1e6 / times

    choose(2 * count)  # every deployment once or so: one that nobody has asked comes first
    return choose


def _returning(count: int) -> float:
    """The microseconds for each deployment when all of them may be asked again at once."""
    spent: list[float] = []
    for _ in range(max(3, 1_000 // count)):
        clock = Clock()
        pool = _pool("least-busy", count, clock)
        for _ in range(count):
            seat = pool.take(_REQUEST, Call())
            assert isinstance(seat, Seat)
            with seat:
                seat.failed(RateLimitError("not now", retry_after=60.0))
        clock.now += 61.0
        began = time.process_time()
        pool.take(_REQUEST, Call())
        spent.append((time.process_time() - began) * 1e6 / count)
    return median(spent)


def _pool(strategy: Strategy, count: int, clock: Callable[[], float]) -> Pool:
    models = [Idle(number) for number in range(count)]
    return Pool(models, strategy, clock=clock, random=Random(7))


async def _budgets(counts: list[int], times: int) -> dict[str, list[float]]:
    crowds = [await _Accounts.filled(count) for count in counts]
    within = [[await crowd.cpu_us(times) for crowd in crowds] for _ in range(_ROUNDS)]
    after = [[await crowd.cpu_us_of_a_new_day() for crowd in crowds] for _ in range(_ROUNDS)]
    return {
        "reserve and settle": [median(column) for column in zip(*within, strict=True)],
        "first of a new window": [median(column) for column in zip(*after, strict=True)],
    }


class _Accounts:
    """A daily budget with an account for each of so many tenants."""

    _FIRST = 100

    def __init__(self, count: int) -> None:
        self.clock = Clock()
        self.store = MemoryLimits(clock=self.clock)
        self.gate = Gate(self.store, [BudgetLimit(Budget("$100", per="day", scope="tenant"))])
        self.calls = [Call(tenant=f"tenant-{number}") for number in range(count)]
        self.random = Random(7)

    @classmethod
    async def filled(cls, count: int) -> "_Accounts":
        """Every tenant has spent something."""
        accounts = cls(count)
        await accounts._spend(accounts.calls)
        return accounts

    async def cpu_us(self, times: int) -> float:
        """For one call of some tenant."""
        return await self._spend(self.random.choices(self.calls, k=times))

    async def cpu_us_of_a_new_day(self) -> float:
        """For the first call of a tenant after all accounts were reset."""
        self.clock.now += _DAY
        return await self._spend(self.random.sample(self.calls, self._FIRST))

    async def _spend(self, calls: list[Call]) -> float:
        model = Idle(0)
        began = time.process_time()
        for call in calls:
            admission = await self.gate.enter(model, _QUOTE, call)
            await admission.settle([_ATTEMPT])
        return (time.process_time() - began) * 1e6 / len(calls)
