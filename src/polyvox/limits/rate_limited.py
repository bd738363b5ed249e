"""A model that is asked no more often than it may be."""

import time
from collections.abc import AsyncGenerator

from polyvox.around import Around
from polyvox.errors import ConfigurationError
from polyvox.events import Event
from polyvox.limits.gate import Admission, Gate, admitted, answered
from polyvox.limits.memory import MemoryLimits
from polyvox.limits.rate_limit import RateLimit, limits_of, no_room
from polyvox.limits.store import LimitStore
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.waiting import Waiter

__all__ = ["RateLimited"]


class RateLimited(Around):
    """Ask only if every rate limit has room; wait for that so long at most, else fail at once.

    The error is a ``RateLimitError`` that says in ``retry_after`` when there will be room.

    Args:
        model: who is asked.
        limits: those that must all have room.
        store: where the accounts are; in this process by default. Give several models the same
            store, and limits of the same name are one.
        wait_seconds: how long a call may wait for its turn.

    Raises ``ConfigurationError`` without a limit, or for two of the same name.
    """

    def __init__(
        self,
        model: Model,
        *limits: RateLimit,
        store: LimitStore | None = None,
        wait_seconds: float = 0.0,
    ) -> None:
        if not limits:
            raise ConfigurationError(
                "RateLimited has no limit", hint="Give one: RateLimit(requests=60)."
            )
        super().__init__(model)
        self.wait_seconds = wait_seconds
        self._limits = [limit for rate in limits for limit in limits_of(rate)]
        self._gate = Gate(MemoryLimits() if store is None else store, self._limits)

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer, or ``RateLimitError`` as its only event."""
        return admitted(self._admit, request, call)

    async def answer(self, request: Request, call: Call) -> AssistantMessage:
        """The whole answer. Raises ``RateLimitError``, and whatever the model raises."""
        return await answered(self._admit, request, call)

    async def _admit(self, request: Request, call: Call) -> Admission:
        """Let the call in, when it is its turn. Raises ``RateLimitError``."""
        quote = quote_of(self.model, request)
        patience = time.monotonic() + self.wait_seconds
        if call.deadline is not None:
            patience = min(patience, call.deadline)
        while True:
            admission = await self._gate.enter(self.model, quote, call)
            if not admission.over:
                return admission
            last = max(admission.over, key=lambda standing: standing.wait or 0.0)
            wait = last.wait or 0.0
            due = time.monotonic() + wait
            if due > patience:
                raise no_room(self._limits[last.place], wait)
            with Waiter(call) as waiter:
                await waiter.until(due)
