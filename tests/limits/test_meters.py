"""Windows of the calendar, also on the days on which clocks are changed."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.errors import ConfigurationError
from polyvox.limits.meters import Calendar, Leak, zone_named

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Havana",
    "Asia/Beirut",
    "Atlantic/Azores",
    "Pacific/Apia",
]
PERS = ["hour", "day", "week", "month"]
HOUR = 3600


def at(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25)]
)
def test_a_day_is_as_long_as_it_is_in_its_zone(day: str, hours: int):
    calendar = Calendar("day", ZoneInfo("Europe/Berlin"))
    window = calendar.window(at(f"{day}T15:00", "Europe/Berlin"))
    assert window.start == at(f"{day}T00:00", "Europe/Berlin")
    assert window.end - window.start == hours * HOUR


def test_a_day_begins_where_its_midnight_does_not_exist():
    calendar = Calendar("day", ZoneInfo("Asia/Beirut"))  # clocks go from 0:00 to 1:00
    window = calendar.window(at("2026-03-29T12:00", "Asia/Beirut"))
    assert window.start == at("2026-03-29T01:00", "Asia/Beirut")
    assert window.end - window.start == 23 * HOUR


def test_a_week_begins_on_monday_and_a_month_on_its_first_day():
    now = at("2026-02-18T12:00", "America/New_York")
    week = Calendar("week", ZoneInfo("America/New_York")).window(now)
    month = Calendar("month", ZoneInfo("America/New_York")).window(now)
    assert week.start == at("2026-02-16T00:00", "America/New_York")
    assert week.end == at("2026-02-23T00:00", "America/New_York")
    assert month.start == at("2026-02-01T00:00", "America/New_York")
    assert month.end == at("2026-03-01T00:00", "America/New_York")


def test_both_hours_of_a_repeated_hour_are_windows_of_their_own():
    calendar = Calendar("hour", ZoneInfo("Europe/Berlin"))
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    windows = [calendar.window(each.timestamp()) for each in (first, first.replace(fold=1))]
    assert windows[1].number == windows[0].number + 1
    assert windows[0].end == windows[1].start


def test_hours_begin_on_the_clock_of_the_zone():
    window = Calendar("hour", ZoneInfo("Asia/Kolkata")).window(at("2026-01-01T10:45", "UTC"))
    assert window.start == at("2026-01-01T10:30", "UTC")


@pytest.mark.parametrize("per", PERS)
@pytest.mark.parametrize("zone", ZONES)
@given(now=st.floats(0, 4e9))
def test_a_window_holds_its_time_and_the_next_one_begins_at_its_end(
    per: str, zone: str, now: float
):
    window = Calendar(per, ZoneInfo(zone)).window(now)
    assert window.start <= now < window.end
    after = Calendar(per, ZoneInfo(zone)).window(window.end)
    assert after.number > window.number or "Lord_Howe" in zone
    assert after.start == window.end or per == "hour"


@pytest.mark.parametrize("per", ["day", "week", "month"])
@pytest.mark.parametrize("zone", ZONES)
def test_the_windows_of_ten_years_follow_one_another_without_a_gap(per: str, zone: str):
    calendar = Calendar(per, zone_named(zone))
    now, last = at("2020-01-01T00:00", "UTC"), at("2030-01-01T00:00", "UTC")
    windows = []
    while now < last:
        windows.append(calendar.window(now))
        now = windows[-1].end
    for one, other in pairwise(windows):
        assert (other.start, one.number < other.number) == (one.end, True)


def test_a_total_has_one_window_for_ever():
    calendar = Calendar("total")
    assert calendar.mark(0) == calendar.mark(9e9)
    assert calendar.wait(1, 10, 0) is None


def test_waiting_for_a_calendar_is_waiting_for_its_next_window():
    now = datetime(2026, 5, 5, 23, 59, 30, tzinfo=UTC)
    assert Calendar("day").wait(1, 10, now.timestamp()) == 30
    assert (
        Calendar("hour").passed(
            Calendar("hour").mark(now.timestamp()), (now + timedelta(hours=3)).timestamp()
        )[0]
        == 3
    )


def test_a_leak_counts_parts_of_periods_and_no_time_that_was_put_back():
    leak = Leak(60)
    assert leak.passed(1000, 1090) == (1.5, 1090)
    assert leak.passed(1000, 900) == (0, 900)
    assert leak.wait(5, 10, 0) == 30


def test_an_unknown_time_zone_is_named():
    with pytest.raises(ConfigurationError, match=r"no time zone 'Mars/Olympus'(.|\n)*tzdata"):
        zone_named("Mars/Olympus")
