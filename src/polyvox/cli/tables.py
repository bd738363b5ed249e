"""Tables: drawn for a person, aligned and plain for a pipe."""

import sys
from collections.abc import Iterable, Sequence

import click
import msgspec

from polyvox.cli.terminal import coloured, harmless, is_terminal, styled

__all__ = ["Column", "print_facts", "print_table"]


class Column(msgspec.Struct, frozen=True):
    """The head of a column. Numbers stand to the right; cells that are ``whole`` are never folded.

    Others are folded to ``least`` characters at the least. Where a terminal has no room even so, ``spare``
    columns are left out, the last first. ``styles`` are those of single words that may stand in it.
    """

    title: str
    right: bool = False
    whole: bool = False
    least: int = 6
    spare: bool = False
    style: str = ""
    styles: dict[str, str] = {}


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Print the rows on stdout: with rich on a terminal, else with blanks between the columns."""
    if is_terminal(sys.stdout):
        _draw(columns, rows)
        return
    titles = [column.title.upper() for column in columns]
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        cells = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for column, cell, width in zip(columns, row, widths, strict=True)
        )
        click.echo("  ".join(cells).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Print what is known of one thing, a line for each fact."""
    for name, value in facts:
        shown = harmless(value) if is_terminal(sys.stdout) else value
        click.echo(styled(f"{name:<13}", sys.stdout, dim=True) + shown)


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Fold what may be folded, leave out what is spare; a terminal too narrow even so breaks the lines."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    console = Console(no_color=not coloured(sys.stdout), highlight=False)
    shown = [[harmless(cell) for cell in row] for row in rows]
    widths = [_least(column, *cells) for column, *cells in zip(columns, *shown, strict=True)]
    places = _with_room(columns, widths, console.width)
    for place in places:
        column = columns[place]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            style=column.style or None,
            overflow="fold",
            no_wrap=column.right or column.whole,
            min_width=widths[place],
        )
    for row in shown:
        cells = ((columns[place], row[place]) for place in places)
        table.add_row(*(Text(cell, column.styles.get(cell, "")) for column, cell in cells))
    console.width = max(console.width, _whole(widths, places))
    console.print(table)
    if missing := [each.title for place, each in enumerate(columns) if place not in places]:
        told = f"Not shown, for want of room: {', '.join(missing)}."
        click.echo(styled(told, sys.stdout, dim=True))


def _least(column: Column, *cells: str) -> int:
    """How wide a column with these cells is at the least."""
    from rich.cells import cell_len

    widest = max(map(cell_len, (column.title, *cells)))
    return widest if column.right or column.whole else min(widest, column.least)


def _with_room(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The places of the columns that are shown: all, or all but as many spare ones as have no room."""
    places = list(range(len(columns)))
    for place in reversed(places.copy()):
        if columns[place].spare and _whole(widths, places) > room:
            places.remove(place)
    return places


def _whole(widths: Sequence[int], places: Sequence[int]) -> int:
    """How wide a table of these columns is at the least, its gaps included."""
    return sum(widths[place] + 2 for place in places)
