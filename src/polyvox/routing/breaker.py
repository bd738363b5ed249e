"""When a deployment is left alone, and for how long: a circuit breaker over a table of errors.

After so many failures in a row it rests; then a single call is let through to see. If that is
answered all is well again, if not it rests twice as long.
"""

from collections.abc import Mapping
from math import inf

import msgspec

from polyvox.errors import ConfigurationError, PolyvoxError, RateLimitError

__all__ = ["COOLDOWNS", "Breaker", "Cooldown", "cooldown_kind"]

LONGEST_RETRY_AFTER = 86_400.0
"""A provider that asks to be left alone for longer is asked again after a day."""


class Cooldown(msgspec.Struct, frozen=True):
    """What one kind of error means for the deployment that it came from.

    ``after``      after so many failures in a row it rests; with 0 never: the request was at fault
    ``seconds``    how long it rests first; each time that it fails again twice as long
    ``longest``    ... up to this, or to ``seconds`` if that is more
    ``elsewhere``  whether another deployment may do better

    Raises ``ConfigurationError`` for a number that is out of range.
    """

    after: int
    seconds: float = 0.0
    longest: float = 0.0
    elsewhere: bool = True

    def __post_init__(self) -> None:
        for name in ("after", "seconds", "longest"):
            if not 0 <= (value := getattr(self, name)) < inf:
                raise ConfigurationError(f"{name} is {value}; give 0 or more")

    def length(self, level: int, retry_after: float | None) -> float:
        """The seconds of the rest at this level, counted from 1. The first is what the provider asks for."""
        asked = min(retry_after or 0.0, LONGEST_RETRY_AFTER)
        if level == 1 and asked:
            return asked
        return max(
            asked, min(max(self.longest, self.seconds), self.seconds * 2.0 ** min(level - 1, 60))
        )


_REQUEST_AT_FAULT = Cooldown(0, elsewhere=False)

COOLDOWNS: Mapping[str, Cooldown] = {
    # it has too much to do
    "rate_limit": Cooldown(1, 5, 120),
    "overloaded": Cooldown(1, 5, 120),
    # it fails, perhaps not every time
    "server": Cooldown(3, 10, 300),
    "protocol": Cooldown(3, 10, 300),
    "network": Cooldown(2, 5, 120),
    "timeout": Cooldown(2, 10, 300),
    "error": Cooldown(3, 10, 300),
    # somebody must do something about it
    "out_of_quota": Cooldown(1, 300, 3600),
    "authentication": Cooldown(1, 300, 3600),
    "missing_key": Cooldown(1, 300, 3600),
    "permission_denied": Cooldown(1, 300, 3600),
    "not_found": Cooldown(1, 300, 3600),
    "unknown_price": Cooldown(1, 300, 3600),
    "budget_exceeded": Cooldown(1, 60, 600),
    # it works, but not for this request
    "bad_request": _REQUEST_AT_FAULT,
    "context_window_exceeded": _REQUEST_AT_FAULT,
    "content_filter": _REQUEST_AT_FAULT,
    "invalid_answer": _REQUEST_AT_FAULT,
    "configuration": _REQUEST_AT_FAULT,
}
"""What each kind of error means. "out_of_quota" is a ``RateLimitError`` that waiting does not lift.

What is missing here, above all "aborted", says nothing about a deployment.
"""


def cooldown_kind(error: PolyvoxError) -> str:
    """The error's word in the table."""
    if isinstance(error, RateLimitError) and not error.retryable:
        return "out_of_quota"
    return error.kind


class Breaker:
    """Whether one deployment may be asked. Times are those of the pool's clock."""

    __slots__ = ("_cooldowns", "_failures", "level", "probing", "until")

    def __init__(self, cooldowns: Mapping[str, Cooldown]) -> None:
        self._cooldowns = cooldowns
        self._failures = 0
        self.level = 0
        self.until = 0.0
        self.probing = False

    def due(self) -> float:
        """From when on it may be asked; while the call that tries it out is under way, nobody knows."""
        if self.level == 0:
            return 0.0
        return float("inf") if self.probing else self.until

    def ask(self) -> bool:
        """It is asked now. Says whether this is the call that tries it out."""
        self.probing = self.level > 0
        return self.probing

    def answered(self, *, probe: bool) -> None:
        """It has begun to answer. What was asked before it failed says nothing about now."""
        if probe:
            self.level, self.until, self.probing = 0, 0.0, False

    def completed(self) -> None:
        """It has answered, and did not break off: the next failure is the first in a row."""
        if self.level == 0:
            self._failures = 0

    def failed(self, error: PolyvoxError, now: float, *, probe: bool) -> None:
        """It has failed."""
        rule = self._cooldowns.get(cooldown_kind(error))
        if rule is None:
            self.left(probe=probe)
            return
        if rule.after == 0:
            self.answered(probe=probe)
            self.completed()
            return
        self._failures += 1
        if probe or (self.level == 0 and self._failures >= rule.after):
            self.level += 1
        if probe:
            self.probing = False
        if self.level:  # a rest that has begun is only ever made longer
            self.until = max(self.until, now + rule.length(self.level, error.retry_after))

    def left(self, *, probe: bool) -> None:
        """The call ended without saying anything about the deployment."""
        if probe:
            self.probing = False
