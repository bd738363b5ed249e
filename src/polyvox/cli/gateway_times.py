"""Times, amounts and spans as they are given on the command line."""

import re
import time
from datetime import datetime

from polyvox.cli.log_views import seconds_ago
from polyvox.cli.options import InputError

__all__ = ["limit_said", "local_time", "seconds_from_now", "span_said"]

_SPAN = re.compile(r"\d+\s*[smhdw]")


def span_said(text: str) -> float:
    """How many seconds "30m" or "7d" are. Raises ``InputError``.

    >>> span_said("2h")
    7200.0
    """
    if not _SPAN.fullmatch(text.strip()):
        raise InputError(f"{text!r} is no span of time", "Give 30m, 12h, 7d or 2w.")
    now = datetime.now().astimezone()
    return now.timestamp() - seconds_ago(text, now)


def seconds_from_now(text: str) -> float:
    """The point in time that is "30d" from now, or the date that is said. Raises ``InputError``."""
    if _SPAN.fullmatch(text.strip()):
        return round(time.time() + span_said(text))
    return seconds_ago(text)


def local_time(seconds: float | None, otherwise: str = "") -> str:
    """A point in time as a person here reads it."""
    if seconds is None:
        return otherwise
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"


def limit_said(text: str, otherwise: str) -> tuple[str, str]:
    """The amount and the period of "$10/day".

    >>> limit_said("$10/day", "total"), limit_said("$10", "total")
    (('$10', 'day'), ('$10', 'total'))
    """
    amount, _, per = text.strip().partition("/")
    return amount.strip(), per.strip() or otherwise
