"""What ``polyvox usage`` and ``polyvox budget`` show."""

import csv
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from io import StringIO
from zoneinfo import ZoneInfo

import click
import msgspec

from polyvox.cli.budget import NAMES as NAMES_OF_LIMITS
from polyvox.cli.budget import BudgetOptions
from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway
from polyvox.cli.gateway_times import local_time
from polyvox.cli.log_views import seconds_ago
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless, is_terminal, note
from polyvox.cli.usage import NAMES, WINDOWS, UsageOptions
from polyvox.suggestions import hint_for
from polyvox.usage import Cost, PriceStatus

__all__ = ["filters_said", "key_called", "show_budget", "show_usage"]

_NUMBERS = ("calls", "failures", "in", "out")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class _Row(msgspec.Struct, kw_only=True):
    by: dict[str, str] = {}
    start: float | None = None
    calls: int = 0
    failures: int = 0
    unsettled: int = 0
    cached: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    dollars: str | None = None
    nanos: int = 0
    unpriced: int = 0
    cost_status: PriceStatus = "free"

    @property
    def cells(self) -> list[str]:
        counts = (self.calls, self.failures, self.input_tokens, self.output_tokens)
        return [*(f"{count:,}" for count in counts), str(Cost(self.cost_status, self.nanos))]


class _Report(msgspec.Struct):
    rows: list[_Row]
    total: _Row


class _Left(msgspec.Struct, kw_only=True):
    level: str
    name: str
    unit: str
    per: str
    limit: float
    used: float | None = None
    reserved: float | None = None
    left: float | None = None
    resets: float | None = None
    shadow: bool = False
    title: str = ""

    @property
    def of(self) -> str:
        """Whose it is; in the file each has a name of its own."""
        return f"the file's {self.name}" if self.level == "file" else self.title or self.level


class _Own(msgspec.Struct, kw_only=True):
    limits: list[_Left]
    admin: bool = False


async def show_usage(options: UsageOptions) -> int:
    """Print a row for each that was asked by, and the sum of all."""
    if options.as_csv and options.as_json:
        raise InputError("--csv and --json are two forms of the same", "Give one of them.")
    per, by = _rows_asked(options.by)
    query: dict[str, object | None] = {
        "per": per,
        "by": by,
        "zone": options.zone,
        "since": seconds_ago(options.since) if options.since else None,
        "until": seconds_ago(options.until) if options.until else None,
        "of": "organisation" if options.organisation else None,
    }
    filters = filters_said(options.filters, NAMES)
    async with Gateway(options) as gateway:
        if "key" in filters:
            filters["key"] = await key_called(filters["key"], gateway, query["of"])
        raw = await gateway.get("/v1/usage", msgspec.Raw, query | filters)
    report = msgspec.json.decode(raw, type=_Report)
    if options.as_json:
        click.echo(bytes(raw).decode())
    elif options.as_csv:
        click.echo(_csv(report.rows, per, by, options.zone), nl=False)
    elif report.rows:
        _print(report, per, by, options.zone)
    else:
        note("Nothing was used.")
    return 0 if report.rows else FAILED


async def key_called(name: str, gateway: Gateway, of: object | None) -> str:
    """The id of the key of that name, if something was used with one. Raises ``InputError`` for several."""
    report = await gateway.get("/v1/usage", _Report, {"by": "key", "of": of})
    ids = [row.by["key"] for row in report.rows if row.by["key_name"] == name]
    if len(ids) > 1:
        raise InputError(
            f"several keys are called {name!r}", f"Name one by its id: {', '.join(ids[:5])}."
        )
    return ids[0] if ids else name


async def show_budget(options: BudgetOptions) -> int:
    """Print what is left of each limit."""
    asked = filters_said(options.filters, NAMES_OF_LIMITS)
    async with Gateway(options) as gateway:
        if asked or options.everybody:
            found = await gateway.all("/admin/limits", asked)
            raw = msgspec.Raw(msgspec.json.encode({"limits": found}))
        else:
            raw = await gateway.get("/v1/key", msgspec.Raw)
    if options.as_json:
        click.echo(bytes(raw).decode())
        return 0
    own = msgspec.json.decode(raw, type=_Own)
    if own.limits:
        _print_limits(own.limits)
    elif own.admin:
        note("Nothing limits the administrator's key. --all shows what limits others.")
    else:
        note("There are no limits." if asked or options.everybody else "Nothing limits this key.")
    return 0


def _print_limits(limits: Sequence[_Left]) -> None:
    columns = (
        Column("of", whole=True),
        Column("limit"),
        Column("left", right=True, style="bold"),
        Column("used", right=True),
        Column("reserved", right=True, spare=True),
        Column("whole again", whole=True, spare=True),
    )
    print_table(columns, [_limit_cells(each) for each in limits])


def _rows_asked(by: Sequence[str]) -> tuple[str, list[str]]:
    """The span of time and what else makes a row. Raises ``InputError`` for two times."""
    times = [each for each in dict.fromkeys(by) if each in WINDOWS]
    others = [each for each in dict.fromkeys(by) if each not in WINDOWS]
    if len(times) > 1:
        raise InputError(
            f"--by {' --by '.join(times)} is too much", "Give one time: day, or month, ..."
        )
    return (times or ["total"])[0], others


def filters_said(given: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """The values by name. Raises ``InputError`` for one without, and for a name that isn't known."""
    said = [each.partition("=") for each in given]
    for name, sign, _ in said:
        if name not in known:
            hint = f"{hint_for(name, known, '')} There are {', '.join(known)}.".lstrip()
            raise InputError(f"--only {name}: nothing is found by that", hint)
        if not sign:
            raise InputError(f"--only {name!r} has no value", "Such as --only team=core.")
    return {name: value for name, _, value in said}


def _csv(rows: Sequence[_Row], per: str, by: Sequence[str], zone: str) -> str:
    """A line of names and one for each row. What a spreadsheet would calculate gets an apostrophe."""
    names = [part for each in by for part in ((each, "key_name") if each == "key" else (each,))]
    numbers = _Row.__struct_fields__[2:]
    written = StringIO(newline="")
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow([*(["start"] if per != "total" else []), *names, *numbers])
    for row in rows:
        start = [] if row.start is None else [_moment(row.start, zone).isoformat()]
        said = [_as_text(row.by[name]) for name in names]
        lines.writerow([*start, *said, *(getattr(row, name) for name in numbers)])
    return written.getvalue()


def _as_text(name: str) -> str:
    shown = harmless(name) if is_terminal(sys.stdout) else name
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _print(report: _Report, per: str, by: Sequence[str], zone: str) -> None:
    titles = [*([per] if per != "total" else []), *by]
    columns = [Column(title, whole=title == per, least=12) for title in titles]
    columns += [Column(title, right=True) for title in (*_NUMBERS, "cost")]
    called = {each: _called(each, report.rows) for each in by}
    rows = [
        [*_time(row, per, zone), *(called[each][row.by[each]] for each in by), *row.cells]
        for row in report.rows
    ]
    if len(rows) > 1:
        rows.append(["sum", *[""] * (len(titles) - 1), *report.total.cells])
    print_table(columns, rows)


def _called(by: str, rows: Sequence[_Row]) -> dict[str, str]:
    """What each model, team, ... is called; a key by its name. Of two of a name the ids are told too."""
    name = "key_name" if by == "key" else by
    titles = {row.by[by]: row.by[name] or row.by[by] or "-" for row in rows}
    times = Counter(titles.values())
    return {id: f"{title} ({id})" if times[title] > 1 else title for id, title in titles.items()}


def _time(row: _Row, per: str, zone: str) -> list[str]:
    if per == "total" or row.start is None:
        return []
    form = "%Y-%m-%d %H:%M" if per == "hour" else "%Y-%m" if per == "month" else "%Y-%m-%d"
    return [_moment(row.start, zone).strftime(form)]


def _moment(at: float, zone: str) -> datetime:
    return datetime.fromtimestamp(at, ZoneInfo(zone))


def _limit_cells(left: _Left) -> list[str]:
    def amount(value: float | None) -> str:
        if value is None:
            return "?"
        if left.unit != "nano-dollars":
            return f"{value:,.0f}"
        return f"{'-' if value < 0 else ''}{Cost('known', abs(round(value)))}"

    unit = "" if left.unit == "nano-dollars" else f" {left.unit}"
    per = "in total" if left.per == "total" else f"per {left.per}"
    told = f"{amount(left.limit)}{unit} {per}" + (" (shadow)" if left.shadow else "")
    used = None if left.used is None else left.used - (left.reserved or 0)
    numbers = [amount(each) for each in (left.left, used, left.reserved)]
    return [left.of, told, *numbers, local_time(left.resets)]
