"""What calls cost, added up while they are made."""

import threading
from collections.abc import AsyncGenerator, Mapping, Sequence

from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError
from polyvox.events import Event
from polyvox.ledger.tally import Groups, Sum, Tally, numbers_of
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.usage import Cost, Usage

__all__ = ["CostTracker", "Tracked"]


class CostTracker:
    """Adds up what calls used and cost: in all, and by model, session and tag.

    Each attempt counts once, however it ended. An unknown price makes ``running_cost`` a lower
    bound whose status says so. Any number of threads may add to one tracker.

    Args:
        max_groups: how many models, sessions and tags are told apart, each. When there are more,
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
        return self._total.calls

    @property
    def total(self) -> Tally:
        """Everything together."""
        with self._lock:
            return self._total.tally()

    @property
    def forgotten(self) -> dict[str, int]:
        """How many "models", "sessions" and "tags" are no longer told apart, because there were more."""
        return {
            "models": self._models.forgotten,
            "sessions": self._sessions.forgotten,
            "tags": self._tags.forgotten,
        }

    def by_model(self) -> dict[str, Tally]:
        """The sums by who was asked: "provider/model"."""
        with self._lock:
            return dict(self._models.items())

    def by_session(self) -> dict[str, Tally]:
        """The sums by ``session``; calls without one are in none."""
        with self._lock:
            return dict(self._sessions.items())

    def by_tag(self, key: str) -> dict[str, Tally]:
        """The sums by the value of one tag; calls without it are in none."""
        with self._lock:
            return {value: tally for (name, value), tally in self._tags.items() if name == key}

    def reset(self) -> None:
        """Begin at nothing again."""
        with self._lock:
            self._total = Sum()
            self._models: Groups[str] = Groups(self._max_groups)
            self._sessions: Groups[str] = Groups(self._max_groups)
            self._tags: Groups[tuple[str, str]] = Groups(self._max_groups)

    def add(
        self,
        message: AssistantMessage,
        *,
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
        self.add_attempts([attempt], session=session, tags=tags)
        return message.usage.cost

    def add_attempts(
        self,
        attempts: Sequence[Attempt],
        *,
        session: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Count one call, made of these attempts."""
        with self._lock:
            sums = [self._total]
            if session is not None:
                sums.append(self._sessions[session])
            if tags:
                sums.extend([self._tags[tag] for tag in tags.items()])
            for each in sums:
                each.calls += 1
            asked: set[str] = set()
            for attempt in attempts:
                name, numbers = attempt.name, numbers_of(attempt.usage)
                model = self._models[name]
                model.calls += name not in asked
                asked.add(name)
                for each in (model, *sums):
                    each.add(attempt, numbers)


class Tracked:
    """Add up what every call costs, however it ends: each attempt once, also of a stream left early."""

    def __init__(self, model: Model, tracker: CostTracker) -> None:
        self.model = model
        self.tracker = tracker

    @property
    def name(self) -> str:
        """The name of the model within."""
        return self.model.name

    def quote(self, request: Request) -> Usage:
        """The most that answering may use, with its cost."""
        return quote_of(self.model, request)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as it is."""
        inner = call.child()
        try:
            events = self.model.stream(request, inner)
            try:
                async for event in events:
                    yield event
            finally:
                await events.aclose()
        finally:
            self.tracker.add_attempts(inner.attempts, session=call.session, tags=call.tags)
