"""What a section of the benchmark found, and how it is printed."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One contender; its numbers by column. None where there is nothing to say."""

    name: str
    cells: dict[str, float | None]


class Limit(NamedTuple):
    """A number that must not be above another; below 1 both are shown as fractions."""

    what: str
    measured: float
    most: float
    unit: str = "x"

    @property
    def verdict(self) -> str:
        """Either "ok" or "over"."""
        return "ok" if self.measured <= self.most else "over"


class Section(NamedTuple):
    """One table."""

    name: str
    title: str
    rows: list[Row]
    limits: list[Limit]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "title": self.title,
            "rows": [{"name": row.name, **row.cells} for row in self.rows],
            "limits": [{**limit._asdict(), "verdict": limit.verdict} for limit in self.limits],
            "notes": self.notes,
        }


def render(section: Section) -> str:
    """The section as aligned text."""
    columns = list(dict.fromkeys(column for row in section.rows for column in row.cells))
    measured = [[row.name, *(_cell(row, column) for column in columns)] for row in section.rows]
    parts = [section.title, "", *_aligned([["", *columns], *measured])]
    if section.limits:
        judged = [
            (
                limit.what,
                _with_unit(limit, limit.measured),
                _with_unit(limit, limit.most),
                limit.verdict,
            )
            for limit in section.limits
        ]
        parts += ["", *_aligned([("limit", "measured", "at most", "verdict"), *judged])]
    parts += [f"  {note}" for note in section.notes]
    return "\n".join(parts)


def _cell(row: Row, column: str) -> str:
    value = row.cells.get(column)
    if value is None:
        return "-"
    return _ratio(value) if column.startswith("x ") else _number(value)


def _with_unit(limit: Limit, value: float) -> str:
    return _ratio(value) if limit.unit == "x" else f"{_number(value)} {limit.unit}"


def _ratio(value: float) -> str:
    if 0 < value < 0.5:
        return f"1/{_number(1 / value)}"
    return f"{_number(value)}x"


def _number(value: float) -> str:
    if float(value).is_integer() or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _aligned(lines: Iterable[Sequence[str]]) -> Iterator[str]:
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for name, *cells in lines:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        yield "  ".join(["  " + name.ljust(widths[0]), *padded]).rstrip()
