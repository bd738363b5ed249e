"""Rate limits: so many requests and tokens per period, for all calls or for each of a kind."""

import math
from collections.abc import Sequence

import msgspec

from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError, RateLimitError
from polyvox.limits.gate import Limit, scope_of
from polyvox.limits.meters import Leak
from polyvox.limits.store import Hold
from polyvox.model import Call
from polyvox.usage import Usage

__all__ = ["RateLimit", "limits_of", "no_room"]

PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
"""The words for a time, in seconds."""


class RateLimit(msgspec.Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True):
    """So many requests, or tokens, or both, per period.

    The limit is a bucket that leaks evenly: a pause is saved up as room for a burst of the whole
    limit, so that within one period at most twice the limit passes. Of tokens the most that a call
    may use is reserved, at most the whole limit, and what it didn't use comes back; what it used
    beyond that is a debt. A call that asks a provider several times is as many requests.

    ``requests``  how many times providers may be asked per period
    ``tokens``    how many tokens, input and output together, may be used per period
    ``per``       "second", "minute", "hour", "day", or a number of seconds
    ``scope``     "global", one account for all calls; or one for each "tenant", "session" or
                  "tag:<name>". Calls that don't say whose they are have one account together
    ``name``      how it is called in errors and in the store. Limits of the same name in one store
                  are the same limit

    Raises ``ConfigurationError`` for what makes no sense.
    """

    requests: int | None = None
    tokens: int | None = None
    per: str | float = "minute"
    scope: str = "global"
    name: str = ""

    def __post_init__(self) -> None:
        if self.requests is None and self.tokens is None:
            raise ConfigurationError(
                "a rate limit needs a number of requests or of tokens",
                hint='For instance RateLimit(requests=60, per="minute").',
            )
        for field in ("requests", "tokens"):
            number = getattr(self, field)
            if number is not None and not number > 0:
                raise ConfigurationError(
                    f"{field} is {number}, which lets nothing through",
                    hint="Give a number above 0, or leave it out.",
                )
        _seconds(self.per)
        scope_of(self.scope, self.name)


def limits_of(rate: RateLimit, owner: str = "") -> list[Limit]:
    """The limits that a rate limit consists of, for the gate; ``owner`` is whose they are, for errors."""
    limits: list[Limit] = []
    if rate.requests is not None:
        limits.append(_Requests(rate, rate.requests, "requests", owner))
    if rate.tokens is not None:
        limits.append(_Tokens(rate, rate.tokens, "tokens", owner))
    return limits


def no_room(limit: Limit, wait: float) -> RateLimitError:
    """The error of a call for which there is no room before so many seconds are over."""
    less = " A call that gives max_tokens reserves less." if isinstance(limit, _Tokens) else ""
    seconds = math.ceil(wait) if wait >= 1 else round(wait, 3)
    return RateLimitError(
        f"the rate limit {limit.told!r} has no room for this call",
        hint=f"There will be room in {seconds} seconds.{less}",
        retry_after=wait,
    )


class _Rate:
    """What a limit of requests and one of tokens have in common."""

    def __init__(self, rate: RateLimit, limit: int, what: str, owner: str) -> None:
        period = f"per {rate.per}" if isinstance(rate.per, str) else f"in {rate.per:g} seconds"
        self.limit = limit
        self._one = min(1, limit)
        self.name = f"{rate.name or rate.scope} {what} {period}"
        self.told = f"{what} {period} of {owner}" if owner else self.name
        self._key = scope_of(rate.scope, f"rate:{self.name}")
        self._meter = Leak(_seconds(rate.per))


class _Requests(_Rate):
    """So many times that providers are asked."""

    def hold(self, quote: Usage, call: Call) -> Hold:
        """One time."""
        return Hold(self._key(call), self._meter, self.limit, self._one)

    def actual(self, attempts: Sequence[Attempt], reserved: float) -> float:
        """As often as they were asked."""
        return len(attempts)


class _Tokens(_Rate):
    """So many tokens, input and output together."""

    def hold(self, quote: Usage, call: Call) -> Hold:
        """The most that the call may use."""
        most = quote.input_tokens + quote.output_tokens
        return Hold(self._key(call), self._meter, self.limit, min(most, self.limit))

    def actual(self, attempts: Sequence[Attempt], reserved: float) -> float:
        """What the attempts have used; where nobody said, no less than was reserved."""
        used, missing = 0, False
        for attempt in attempts:
            usage = attempt.usage
            used += usage.input_tokens + usage.output_tokens
            missing = missing or usage.basis == "missing"
        return max(used, reserved) if missing else used


def _seconds(per: str | float) -> float:
    seconds = PERIODS.get(per, 0.0) if isinstance(per, str) else per
    if not 0 < seconds < math.inf:
        raise ConfigurationError(
            f"a rate limit can't be per {per!r}",
            hint=f"It is one of {', '.join(PERIODS)}, or a number of seconds.",
        )
    return seconds
