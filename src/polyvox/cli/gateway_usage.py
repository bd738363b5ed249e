"""What ``polyvox usage`` and ``polyvox budget`` show."""

from datetime import datetime
from zoneinfo import ZoneInfo

import click
import msgspec

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway
from polyvox.cli.gateway_options import GatewayOptions
from polyvox.cli.gateway_times import local_time
from polyvox.cli.log_views import seconds_ago
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import note
from polyvox.cli.usage import UsageOptions
from polyvox.usage import Cost, PriceStatus

__all__ = ["show_budget", "show_usage"]

_WINDOWS = ("hour", "day", "week", "month", "total")
_NUMBERS = ("calls", "failures", "in", "out")


class _Row(msgspec.Struct, kw_only=True):
    name: str = ""
    start: float | None = None
    calls: int = 0
    failures: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nanos: int = 0
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


class _Own(msgspec.Struct, kw_only=True):
    limits: list[_Left]


async def show_usage(options: UsageOptions) -> int:
    """Print a row for each that was asked by, and the sum of all."""
    per, by = _rows_asked(options.by)
    query: dict[str, object | None] = {
        "per": per,
        "by": by or None,
        "zone": options.zone,
        "since": seconds_ago(options.since) if options.since else None,
        "until": seconds_ago(options.until) if options.until else None,
        "of": "organisation" if options.organisation else None,
    }
    async with Gateway(options) as gateway:
        raw = await gateway.get("/v1/usage", msgspec.Raw, query | _filters(options.filters))
    report = msgspec.json.decode(raw, type=_Report)
    if options.as_json:
        click.echo(bytes(raw).decode())
    elif report.rows:
        _print(report, per, by, options.zone)
    else:
        note("Nothing was used.")
    return 0 if report.rows else FAILED


async def show_budget(options: GatewayOptions) -> int:
    """Print what is left of each limit."""
    async with Gateway(options) as gateway:
        raw = await gateway.get("/v1/key", msgspec.Raw)
    if options.as_json:
        click.echo(bytes(raw).decode())
        return 0
    limits = msgspec.json.decode(raw, type=_Own).limits
    if not limits:
        note("Nothing limits this key.")
        return 0
    columns = (
        Column("of", whole=True),
        Column("limit"),
        Column("left", right=True, style="bold"),
        Column("used", right=True),
        Column("reserved", right=True, spare=True),
        Column("whole again", whole=True, spare=True),
    )
    print_table(columns, [_limit_cells(each) for each in limits])
    return 0


def _rows_asked(by: tuple[str, ...]) -> tuple[str, str]:
    """The span of time and the other thing that make a row. Raises ``InputError`` for two of a kind."""
    times = [each for each in by if each in _WINDOWS]
    others = [each for each in by if each not in _WINDOWS]
    if len(times) > 1 or len(others) > 1:
        raise InputError(
            f"--by {' --by '.join(times if len(times) > 1 else others)} is too much",
            "Give a time (day, month, ...), something else (model, key, ...), or one of each.",
        )
    return (times or ["total"])[0], (others or [""])[0]


def _filters(given: tuple[str, ...]) -> dict[str, str]:
    said = [each.partition("=") for each in given]
    for name, sign, _ in said:
        if not sign:
            raise InputError(f"--only {name!r} has no value", "Such as --only team=core.")
    return {name: value for name, _, value in said}


def _print(report: _Report, per: str, by: str, zone: str) -> None:
    titles = [title for title in (per if per != "total" else "", by) if title]
    columns = [Column(title, whole=title == per, least=12) for title in titles]
    columns += [Column(title, right=True) for title in (*_NUMBERS, "cost")]
    rows = [[*_heads(row, per, by, zone), *row.cells] for row in report.rows]
    if len(rows) > 1:
        rows.append([*["sum", ""][: len(titles)], *report.total.cells])
    print_table(columns, rows)


def _heads(row: _Row, per: str, by: str, zone: str) -> list[str]:
    heads: list[str] = []
    if per != "total" and row.start is not None:
        form = "%Y-%m-%d %H:%M" if per == "hour" else "%Y-%m" if per == "month" else "%Y-%m-%d"
        heads.append(datetime.fromtimestamp(row.start, ZoneInfo(zone)).strftime(form))
    return [*heads, row.name or "-"] if by else heads


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
    numbers = [amount(each) for each in (left.left, left.used, left.reserved)]
    return [left.level, told, *numbers, local_time(left.resets)]
