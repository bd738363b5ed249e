"""What calls cost, added up while they are made."""

import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager

from polyvox.around import Around
from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError
from polyvox.events import Event
from polyvox.ledger.tally import Groups, Sum, Tally, numbers_of
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.usage import Cost, Usage
from polyvox.whole import whole

__all__ = ["CostTracker", "Tracked"]

_MOST_PENDING = 128
"""So many are added up in one go, which is quicker than each by itself."""


class CostTracker:
    """Adds up what calls used and cost: in all, and by model, session and tag.

    Each attempt counts once, however it ended. An unknown price makes ``running_cost`` a lower
    bound whose status says so. Any number of threads may add to one tracker.

    Args:
        max_groups: how many models, tenants, sessions and tags are told apart, each. When there are more,
            the one that was quiet for the longest is forgotten, and ``forgotten`` counts it; the
            sums in all stay exact.

    >>> tracker = CostTracker()
    >>> print(tracker.running_cost, tracker.calls)
    free 0
    """

    def __init__(self, *, max_groups: int = 1_000) -> None:
        if max_groups < 1:
            raise ConfigurationError(f"max_groups is {max_groups}; give 1 or more")
        self._max_groups = max_groups
        self._lock = threading.Lock()
        self._pending: deque[tuple[_Counted, Attempt | None]] = deque()
        self.reset()

    def __repr__(self) -> str:
        return f"CostTracker({self.calls} calls: {self.running_cost})"

    @property
    def running_cost(self) -> Cost:
        """The exact sum of all costs; ``str`` writes it in dollars."""
        return self.total.usage.cost

    @property
    def token_usage(self) -> Usage:
        """All tokens that were used."""
        return self.total.usage

    @property
    def calls(self) -> int:
        """How many calls were made, however they ended."""
        return self.total.calls

    @property
    def total(self) -> Tally:
        """Everything together."""
        with self._gathered():
            return self._total.tally()

    @property
    def forgotten(self) -> dict[str, int]:
        """How many "models", "tenants", "sessions" and "tags" are no longer told apart."""
        with self._gathered():
            return {
                "models": self._models.forgotten,
                "tenants": self._tenants.forgotten,
                "sessions": self._sessions.forgotten,
                "tags": self._tags.forgotten,
            }

    def by_model(self) -> dict[str, Tally]:
        """The sums by who was asked: "provider/model"."""
        with self._gathered():
            return dict(self._models.items())

    def by_tenant(self) -> dict[str, Tally]:
        """The sums by ``tenant``; calls without one are in none."""
        with self._gathered():
            return dict(self._tenants.items())

    def by_session(self) -> dict[str, Tally]:
        """The sums by ``session``; calls without one are in none."""
        with self._gathered():
            return dict(self._sessions.items())

    def by_tag(self, key: str) -> dict[str, Tally]:
        """The sums by the value of one tag; calls without it are in none."""
        with self._gathered():
            return {value: tally for (name, value), tally in self._tags.items() if name == key}

    def reset(self) -> None:
        """Begin at nothing again."""
        with self._lock:
            self._pending.clear()
            self._total = Sum()
            self._models: Groups[str] = Groups(self._max_groups)
            self._tenants: Groups[str] = Groups(self._max_groups)
            self._sessions: Groups[str] = Groups(self._max_groups)
            self._tags: Groups[tuple[str, str]] = Groups(self._max_groups)

    def add(
        self,
        message: AssistantMessage,
        *,
        tenant: str = "",
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Cost:
        """Count an answer by hand, and give its cost: one that did not come through ``Tracked``."""
        failed = message.stop_reason in ("error", "aborted")
        attempt = Attempt(
            provider=message.provider,
            model=message.model,
            started=0.0,
            seconds=0.0,
            usage=message.usage,
            error=message.stop_reason if failed else None,
        )
        self.counter(tenant=tenant, session=session, tags=tags)(attempt)
        return message.usage.cost

    def add_attempts(
        self,
        attempts: Iterable[Attempt],
        *,
        tenant: str = "",
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Count one call, made of these attempts."""
        count = self.counter(tenant=tenant, session=session, tags=tags)
        for attempt in attempts:
            count(attempt)

    def counter(
        self,
        *,
        tenant: str = "",
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Callable[[Attempt], None]:
        """Count a call, and get what counts each of its attempts."""
        counted = _Counted(tenant, session, tags)
        pending = self._pending

        def count(attempt: Attempt | None) -> None:
            pending.append((counted, attempt))
            if len(pending) > _MOST_PENDING and self._lock.acquire(blocking=False):
                try:
                    self._gather()
                finally:
                    self._lock.release()

        count(None)
        return count

    @contextmanager
    def _gathered(self) -> Generator[None]:
        """With everything added up, and nobody else at it."""
        with self._lock:
            self._gather()
            yield

    def _gather(self) -> None:
        """Add up what was counted since the last time."""
        pending = self._pending
        for _ in range(len(pending)):
            counted, attempt = pending.popleft()
            sums = [self._total]
            if counted.tenant:
                sums.append(self._tenants[counted.tenant])
            if counted.session is not None:
                sums.append(self._sessions[counted.session])
            if counted.tags:
                sums.extend([self._tags[tag] for tag in counted.tags])
            if attempt is None:
                for each in sums:
                    each.calls += 1
                continue
            model = self._models[attempt.name]
            model.calls += counted.is_new(attempt.name)
            numbers = numbers_of(attempt.usage)
            for each in (model, *sums):
                each.add(attempt, numbers)


class _Counted:
    """A call that is counted: whose it is, and who was asked."""

    __slots__ = ("_asked", "session", "tags", "tenant")

    def __init__(self, tenant: str, session: str | None, tags: Mapping[str, str] | None) -> None:
        self.tenant = tenant
        self.session = session
        self.tags = tuple(tags.items()) if tags else ()
        hash((session, self.tags))  # what can name no group is told here, not to who adds it up
        self._asked: tuple[str, ...] = ()

    def is_new(self, name: str) -> bool:
        """Whether this model was not asked before in this call."""
        if name in self._asked:
            return False
        self._asked += (name,)
        return True


class Tracked(Around):
    """Add up what every call costs, however it ends: each attempt once, also of a stream left early."""

    def __init__(self, model: Model, tracker: CostTracker) -> None:
        super().__init__(model)
        self.tracker = tracker

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as it is."""
        return self.model.stream(request, self._counted(call))

    async def answer(self, request: Request, call: Call) -> AssistantMessage:
        """The whole answer as it is."""
        return await whole(self.model, request, self._counted(call))

    def _counted(self, call: Call) -> Call:
        inner = call.child()
        inner.on_attempt = self.tracker.counter(
            tenant=call.tenant, session=call.session, tags=call.tags
        )
        return inner
