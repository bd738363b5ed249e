"""Tables: drawn for a person, aligned and plain for a pipe."""

import sys
from collections.abc import Sequence

import click
import msgspec

from polyvox.cli.terminal import coloured, harmless, is_terminal

__all__ = ["Column", "print_table"]

_LEAST = 6
"""The fewest characters to which a cell is folded."""


class Column(msgspec.Struct, frozen=True):
    """The head of a column. Numbers stand to the right; cells that are ``whole`` are never folded.

    ``styles`` are those of single words that may stand in it.
    """

    title: str
    right: bool = False
    whole: bool = False
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


def _draw(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Fold what may be folded; a terminal too narrow even so breaks the lines, and nothing is lost."""
    from rich.box import SIMPLE_HEAD
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    shown = [[harmless(cell) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        whole = column.right or column.whole
        widest = max(cell_len(cell) for cell in (column.title, *(row[place] for row in shown)))
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            style=column.style or None,
            overflow="fold",
            no_wrap=whole,
            min_width=widest if whole else min(widest, _LEAST),
        )
    for row in shown:
        cells = zip(columns, row, strict=True)
        table.add_row(*(Text(cell, column.styles.get(cell, "")) for column, cell in cells))
    console = Console(no_color=not coloured(sys.stdout), highlight=False)
    gaps = 2 * len(columns)
    console.width = max(console.width, gaps + sum(each.min_width or 0 for each in table.columns))
    console.print(table)
