"""A trace as text: a tree, and beside it what each part used, when it was at work and what it said."""

import unicodedata
from collections.abc import Callable, Iterator
from math import ceil
from typing import NamedTuple, TypeAlias

from polyvox.trace import TraceNode
from polyvox.usage import NO_USAGE, Basis, Cost

Paint: TypeAlias = Callable[[str, str], str]
"""Gives a text a look: that of a status, or "dim"."""

_TITLES = ("START", "SECONDS", "IN", "OUT", "COST")
_LEAST_NAME, _LEAST_SAID, _LEAST_BAR, _MOST_BAR = 30, 20, 12, 24
_SURE: dict[Basis, str] = {"reported": "", "estimated": "~", "partial": "≥", "missing": "≥"}


class Columns(NamedTuple):
    """How wide everything is; 0 for what there is no room for. Of the numbers the last ones are shown."""

    name: int
    numbers: tuple[int, ...]
    bar: int
    said: int


def drawn(root: TraceNode, width: int, paint: Paint = lambda text, look: text) -> str:
    """The tree in lines of at most so many characters, of which wide ones count twice.

    Each line counts what is below it, too. Where there is room a bar tells which part of the root's
    time a part took.
    """
    rows = list(_rows(root, "", ""))
    whole = end_of(root)
    cells = [numbers(node, whole) for _, node in rows]
    columns = _columns([_wide(branch + name(node)) for branch, node in rows], cells, width)
    lines = [paint(_line(_cell("PART", columns.name), _TITLES, "WHEN", "SAID", columns), "dim")]
    for (branch, node), counted in zip(rows, cells, strict=True):
        who = _cell(branch + name(node), columns.name)
        look = "" if node.status == "ok" else node.status
        painted = paint(who[: len(branch)], "dim") + paint(who[len(branch) :], look)
        bar = paint(_bar(node, whole, columns.bar), node.status) if columns.bar else ""
        said = paint(_cut(said_by(node), columns.said), look or "dim")
        lines.append(_line(painted, counted, bar, said, columns))
    return "\n".join(lines)


def name(node: TraceNode) -> str:
    """How it ended when not well, who it was, as what, and by which model.

    >>> name(TraceNode(kind="review", label="ann", model="acme/one", status="left_out"))
    '[left out] ann (review) · acme/one'
    """
    label, kind, model = names(node)
    ended = "" if node.status == "ok" else f"[{node.status.replace('_', ' ')}] "
    return f"{ended}{label}{kind and f' ({kind})'}{model and f' · {model}'}"


def names(node: TraceNode) -> tuple[str, str, str]:
    """Label, kind and model, "" for those that would only say the same again."""
    kind, model = clean(node.kind), clean(node.model)
    label = clean(node.label) or model or kind
    return label, "" if label == kind else kind, "" if label.startswith(model) else model


def numbers(node: TraceNode, whole: float) -> tuple[str, ...]:
    """Start, seconds, tokens in and out, cost; nothing of what used nothing. ``whole`` is all the time.

    What is not whole is a lower bound, "≥", and what is estimated has "~" before it.
    """
    digits = 2 if whole >= 1 else 3
    times = (f"{node.started:.{digits}f}", f"{node.seconds:.{digits}f}")
    if all(each.usage is NO_USAGE for each in node.walk()):
        return (*times, "", "", "")
    used = node.total
    if used.basis == "missing" and not used.total_tokens:
        return (*times, "?", "?", money(used.cost))
    sure = _SURE[used.basis]
    return (
        *times,
        f"{sure}{used.input_tokens:,}",
        f"{sure}{used.output_tokens:,}",
        money(used.cost),
    )


def money(cost: Cost) -> str:
    """A cost in few characters."""
    bound = cost.status == "unknown" and cost.nanos
    return f"≥{Cost('known', cost.nanos)}" if bound else str(cost)


def said_by(node: TraceNode) -> str:
    """The beginning of what it said, or why it did not."""
    return clean(node.error or node.preview)


def end_of(root: TraceNode) -> float:
    """When the last part of it was over."""
    return max(node.started + node.seconds for node in root.walk())


def clean(text: str) -> str:
    """The text in one line, without characters that can't be seen or that move others about.

    >>> clean("one\\n two\\x1b[31m\\u202e")
    'one two[31m'
    """
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(filter(str.isprintable, line))


def _rows(node: TraceNode, branch: str, below: str) -> Iterator[tuple[str, TraceNode]]:
    yield branch, node
    for place, child in enumerate(node.children, start=1):
        last = place == len(node.children)
        edge, under = ("└─ ", "   ") if last else ("├─ ", "│  ")
        yield from _rows(child, below + edge, below + under)


def _columns(names: list[int], cells: list[tuple[str, ...]], width: int) -> Columns:
    """The name gets what it needs, or two fifths; the bar and what was said share what is left."""
    widths = tuple(max(map(len, column)) for column in zip(_TITLES, *cells, strict=True))
    while widths and _LEAST_NAME + sum(widths) + 2 * len(widths) > width:
        widths = widths[1:]
    room = width - sum(widths) - 2 * len(widths)
    who = min(max(names), max(_LEAST_NAME, min(room, width * 2 // 5)), width)
    left = room - who
    bar = min(_MOST_BAR, left - 4 - _LEAST_SAID)
    bar = bar if bar >= _LEAST_BAR else 0
    said = left - 2 - (bar + 2 if bar else 0)
    return Columns(who, widths, bar, said if said >= _LEAST_SAID // 2 else 0)


def _line(who: str, counted: tuple[str, ...], bar: str, said: str, columns: Columns) -> str:
    """One line; what is given whole must be as wide as its column already."""
    shown = counted[len(counted) - len(columns.numbers) :]
    parts = [who, *(text.rjust(wide) for text, wide in zip(shown, columns.numbers, strict=True))]
    if columns.bar:
        parts.append(bar.ljust(columns.bar))
    if columns.said:
        parts.append(said)
    return "  ".join(parts).rstrip()


def _bar(node: TraceNode, whole: float, cells: int) -> str:
    """Where in all the time this part lay; one cell at least.

    >>> _bar(TraceNode(kind="review", started=2.0, seconds=1.0), 4.0, 8)
    '····██··'
    """
    if whole <= 0:
        return "█" * cells
    scale = cells / whole
    begin = min(int(node.started * scale), cells - 1)
    end = min(max(ceil((node.started + node.seconds) * scale), begin + 1), cells)
    return "·" * begin + "█" * (end - begin) + "·" * (cells - end)


def _cell(text: str, width: int) -> str:
    """The text in just so many columns of a terminal."""
    text = _cut(text, width)
    return text + " " * (width - _wide(text))


def _cut(text: str, width: int) -> str:
    """The text in at most so many columns of a terminal, with an ellipsis where it was longer."""
    if _wide(text) <= width:
        return text
    room = width - 1
    for place, character in enumerate(text):
        room -= _wide(character)
        if room < 0:
            return f"{text[:place]}…" if width > 0 else ""
    return text


def _wide(text: str) -> int:
    """How many columns of a terminal it takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1
        for each in text
    )
