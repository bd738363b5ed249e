"""What was tried, told by the error that ends it all."""

from collections import Counter
from collections.abc import Sequence

from polyvox.attempt import Attempt
from polyvox.errors import PolyvoxError

__all__ = ["account_of", "tell"]

_MOST_NAMED = 5


def tell(error: PolyvoxError, attempts: Sequence[Attempt]) -> None:
    """Give the error the attempts that were made; its hint says what they were.

    A wrapper within may have told of some of them already: that account gives way to this one.
    """
    told = account_of(error.attempts)
    hint = (error.hint or "").removesuffix(told).rstrip() if told else error.hint
    error.attempts = list(attempts)
    error.hint = "\n".join(part for part in (hint, account_of(attempts)) if part) or None


def account_of(attempts: Sequence[Attempt]) -> str:
    """What several attempts came to, in a sentence; of a single one the error itself tells."""
    if len(attempts) < 2:
        return ""
    began = min(attempt.started for attempt in attempts)
    ended = max(attempt.started + attempt.seconds for attempt in attempts)
    outcomes = Counter(map(_outcome, attempts))
    named = [
        f"{outcome} x {count}" if count > 1 else outcome
        for outcome, count in list(outcomes.items())[:_MOST_NAMED]
    ]
    if len(outcomes) > _MOST_NAMED:
        named.append(f"and {len(outcomes) - _MOST_NAMED} other outcomes")
    return f"Asked {len(attempts)} times in {ended - began:.1f} s: {', '.join(named)}."


def _outcome(attempt: Attempt) -> str:
    status = f" ({attempt.status})" if attempt.status is not None else ""
    return f"{attempt.name} {attempt.error or 'answered'}{status}"
