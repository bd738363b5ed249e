"""Asking the same model again."""

import time
from collections.abc import AsyncGenerator
from random import Random

import msgspec

from polyvox.around import Around
from polyvox.assembly import failed
from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.events import Event, Failed
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.routing.account import tell
from polyvox.routing.commit import opening
from polyvox.waiting import Waiter

__all__ = ["RetryPolicy", "Retrying"]


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and after which pause.

    ``attempts``  how often the model is asked in all
    ``base``      the longest pause before the second attempt, in seconds; it doubles with each further one
    ``cap``       ... up to this. The pause is drawn evenly from nothing up to the longest ("full jitter").
    ``max_wait``  the longest time to wait because the provider asks for it; if it asks for more, the
                  error is given at once, and its ``retry_after`` says how long
    ``seconds``   how long the whole call may take, its answer included; None: as long as it likes

    Raises ``ConfigurationError`` for a number that is out of range.
    """

    attempts: int = 3
    base: float = 0.5
    cap: float = 30.0
    max_wait: float = 60.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigurationError(
                f"attempts is {self.attempts}; the first one counts: 1 or more"
            )
        for name in ("base", "cap", "max_wait", "seconds"):
            if (value := getattr(self, name)) is not None and not value >= 0:
                raise ConfigurationError(f"{name} is {value}; give seconds, 0 or more")

    def pause(self, asked: int, error: PolyvoxError, random: Random) -> float | None:
        """The seconds to wait after that many attempts, of which the last failed so; None: give up."""
        wanted = error.retry_after or 0.0
        if asked >= self.attempts or not error.retryable or wanted > self.max_wait:
            return None
        return wanted + random.uniform(0, min(self.cap, self.base * 2.0 ** min(asked - 1, 60)))


class Retrying(Around):
    """Ask again where that is safe: nothing of the answer was given yet, and the error is retryable.

    The error that ends it all has the ``attempts``, and its hint says what they were.
    """

    def __init__(
        self, model: Model, policy: RetryPolicy | None = None, *, random: Random | None = None
    ) -> None:
        super().__init__(model)
        self.policy = policy or RetryPolicy()
        self._random = random or Random()

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The first answer that begins, or the last failure."""
        own = self._limited(call)
        asked = 0
        while True:
            asked += 1
            events = self.model.stream(request, own)
            try:
                begun = await opening(events)
                if begun.failed is None:
                    for event in begun.events:
                        yield event
                    async for event in events:
                        if type(event) is Failed:
                            tell(event.error, own.attempts)
                        yield event
                    return
            finally:
                await events.aclose()
            if (ended := await self._wait(asked, begun.failed, own)) is None:
                continue
            tell(ended.error, own.attempts)
            for event in begun.events if ended is begun.failed else [ended]:
                yield event
            return

    def _limited(self, call: Call) -> Call:
        own = call.child()
        if self.policy.seconds is not None:
            deadline = time.monotonic() + self.policy.seconds
            own.deadline = deadline if call.deadline is None else min(deadline, call.deadline)
        return own

    async def _wait(self, asked: int, last: Failed, own: Call) -> Failed | None:
        """Wait until the model may be asked again; else the end of the call."""
        seconds = self.policy.pause(asked, last.error, self._random)
        if seconds is None:
            return last
        due = time.monotonic() + seconds
        if own.deadline is not None and due >= own.deadline:
            return last
        try:
            with Waiter(own) as waiter:
                await waiter.until(due)
        except PolyvoxError as error:
            error.provider, error.model = last.error.provider, last.error.model
            return failed(error)
        return None
