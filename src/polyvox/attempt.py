"""One attempt: what was asked of one provider once, however it ended.

A call that is retried, routed or made of several models is several attempts, each of which may cost
money. Whoever asks a provider tells ``Call.record`` once per attempt; trackers, budgets and logs add
up what they find there, so that each attempt is counted exactly once.
"""

import time

import msgspec

from polyvox.errors import PolyvoxError
from polyvox.messages import AssistantMessage
from polyvox.usage import NO_USAGE, Usage

__all__ = ["Attempt", "Stopwatch"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Who was asked, when, how it went and what it cost.

    ``started`` is seconds since the epoch, ``seconds`` how long it took in all, ``first_byte`` how
    long until the answer's first byte (None if there was none). ``error`` is the kind of the failure
    ("rate_limit", "network", ...; "aborted" also for an answer whose reader left), ``status`` its
    HTTP status, ``code`` the provider's own word for it, and ``reason`` what it says.
    """

    provider: str
    model: str
    started: float
    seconds: float
    first_byte: float | None = None
    usage: Usage = NO_USAGE
    error: str | None = None
    status: int | None = None
    code: str | None = None
    reason: str | None = None
    response_model: str = ""
    request_id: str | None = None

    @property
    def name(self) -> str:
        """Who was asked, as "provider/model"."""
        return f"{self.provider}/{self.model}"

    def __str__(self) -> str:
        outcome = self.error or "answered"
        if self.status is not None:
            outcome += f" ({self.status})"
        return f"{self.name} {outcome} after {self.seconds:.2f} s"


class Stopwatch:
    """Times one attempt, from now on."""

    __slots__ = ("_begin", "_first_byte", "_started")

    def __init__(self) -> None:
        self._started = time.time()
        self._begin = time.perf_counter()
        self._first_byte: float | None = None

    def first_byte(self) -> None:
        """The first byte of the answer is there."""
        self._first_byte = time.perf_counter() - self._begin

    def attempt(
        self, provider: str, model: str, message: AssistantMessage, error: PolyvoxError | None
    ) -> Attempt:
        """The attempt, which ends now with this message."""
        return Attempt(
            provider=provider,
            model=model,
            started=self._started,
            seconds=time.perf_counter() - self._begin,
            first_byte=self._first_byte,
            usage=message.usage,
            error=error.kind if error else None,
            status=error.status if error else None,
            code=error.provider_code if error else None,
            reason=error.text if error else None,
            response_model=message.response_model,
            request_id=message.request_id,
        )
