"""When an account drains: evenly, at the turn of a calendar's window, or never.

A meter turns the time into a *mark*: the time itself, or the number of a window. It tells how many
periods have passed since an earlier mark.
"""

import math
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from polyvox.errors import ConfigurationError
from polyvox.limits.accounts import Account

__all__ = ["Calendar", "Leak", "Meter", "Per", "Window", "zone_named"]

Per: TypeAlias = Literal["total", "hour", "day", "week", "month"]

_HOUR = 3600


class Window(NamedTuple):
    """A span of time from ``start`` to before ``end``, in seconds since the epoch, and its number."""

    number: int
    start: float
    end: float


_ALWAYS = Window(0, -math.inf, math.inf)


class Meter(Protocol):
    """Counts the periods of an account. Times are in seconds since the epoch."""

    def mark(self, now: float) -> float:
        """The mark of the time ``now``."""
        ...

    def passed(self, mark: float, now: float) -> tuple[float, float]:
        """How many periods have passed since ``mark``, and the mark of ``now``."""
        ...

    def drain(self, account: Account, limit: float, now: float) -> None:
        """Bring an account of this limit up to ``now``."""
        ...

    def wait(self, excess: float, limit: float, now: float) -> float | None:
        """In how many seconds so much will have drained from an account; None: never."""
        ...


class Leak:
    """A limit per so many seconds that comes back evenly, as from a bucket that leaks."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def mark(self, now: float) -> float:
        """The time itself."""
        return now

    def passed(self, mark: float, now: float) -> tuple[float, float]:
        """The periods that have passed; none when the clock was put back."""
        return ((now - mark) / self.seconds if now > mark else 0.0), now

    def drain(self, account: Account, limit: float, now: float) -> None:
        """Take off what has leaked meanwhile; a clock that was put back goes on from there."""
        mark = account.mark
        if now > mark:
            account.drain(limit, (now - mark) / self.seconds, now)
        else:
            account.mark = now

    def wait(self, excess: float, limit: float, now: float) -> float | None:
        """How long the excess needs to leak away."""
        return math.ceil(excess / limit * self.seconds * 1000) / 1000


class Calendar:
    """A limit per calendar window of a time zone, which comes back whole when the next one begins.

    A day is a day of that zone, be it 23, 24 or 25 hours long; a week begins on Monday.
    """

    __slots__ = ("_window", "per", "zone")

    def __init__(self, per: Per, zone: tzinfo = UTC) -> None:
        self.per: Per = per
        self.zone = zone
        self._window = Window(0, math.inf, -math.inf)  # none yet

    def window(self, now: float) -> Window:
        """The window that holds the time ``now``."""
        window = self._window
        if not window.start <= now < window.end:
            window = self._window = _window(self.per, self.zone, now)
        return window

    def mark(self, now: float) -> float:
        """The window's number."""
        return self.window(now).number

    def passed(self, mark: float, now: float) -> tuple[float, float]:
        """How many windows were turned. A clock that was put back does not bring an old one back."""
        window = self._window
        present = (window if window.start <= now < window.end else self.window(now)).number
        return (present - mark, present) if present > mark else (0, mark)

    def drain(self, account: Account, limit: float, now: float) -> None:
        """Take off the limit's worth for each window that was turned."""
        window = self._window
        if window.number != account.mark or not window.start <= now < window.end:  # seldom
            passed, mark = self.passed(account.mark, now)
            account.drain(limit, passed, mark)

    def wait(self, excess: float, limit: float, now: float) -> float | None:
        """How long until the next window begins; a debt may outlive that."""
        return None if self.per == "total" else math.ceil(self.window(now).end - now)


@lru_cache(maxsize=64)
def zone_named(name: str) -> tzinfo:
    """The time zone of that name. Raises ``ConfigurationError`` when there is none."""
    if name == "UTC":
        return UTC  # also where the system has no list of zones
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"there is no time zone {name!r}",
            hint="Give a name such as 'UTC' or 'Europe/Berlin'. A system without a list of zones"
            " needs one: pip install tzdata",
        ) from error


def _window(per: Per, zone: tzinfo, now: float) -> Window:
    if per == "total":
        return _ALWAYS
    local = datetime.fromtimestamp(now, zone)
    if per == "hour":
        return _hour(local, now)
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if per == "day":
        return _days(day.toordinal(), day, 1)
    if per == "week":
        monday = day - timedelta(days=day.weekday())
        return _days(monday.toordinal() // 7, monday, 7)
    first = day.replace(day=1)
    after = (first + timedelta(days=32)).replace(day=1)
    return Window(first.year * 12 + first.month, first.timestamp(), after.timestamp())


def _hour(local: datetime, now: float) -> Window:
    """An hour of real time, beginning where the zone's clocks show a whole one."""
    offset = (local.utcoffset() or timedelta()).total_seconds() % _HOUR
    number = int((now + offset) // _HOUR)
    start = number * _HOUR - offset
    return Window(number, start, start + _HOUR)


def _days(number: int, first: datetime, count: int) -> Window:
    # Arithmetic of aware datetimes is that of the wall clock: the day after begins at its midnight.
    return Window(number, first.timestamp(), (first + timedelta(days=count)).timestamp())
