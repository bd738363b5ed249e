"""Traces as a page of HTML: parts within parts that can be folded, each with a bar for its time."""

from collections.abc import Iterator, Sequence

from polyvox.page import framed, safe
from polyvox.trace import TraceNode
from polyvox.trace_text import clean, end_of, names, numbers

_STYLE = """
body { max-width: 80rem; }
ul { list-style: none; margin: 0; padding: 0 0 0 1.2rem; } .facts { opacity: .75; }
li { border-top: 1px solid var(--line); }
summary { list-style: none; position: relative; }
summary::-webkit-details-marker { display: none; }
summary::before { content: "▸"; position: absolute; left: -1.1rem; }
details[open] > summary::before { content: "▾"; }
.row { display: grid; grid-template-columns: 1fr 12rem 15rem 12rem; gap: 0 1rem; align-items: center; }
.kind { opacity: .75; } .numbers { text-align: right; font-variant-numeric: tabular-nums; }
.track { background: var(--faint); height: .8rem; } .bar { display: block; height: 100%; }
.ok > .row .bar, .ok > details > summary .bar { background: #3a8a; } .bar { background: #c66b; }
.text { background: var(--faint); margin: .2rem 0 .4rem; padding: .4rem .6rem; }
@media (max-width: 60rem) { .row { grid-template-columns: 1fr; } .numbers { text-align: left; } }
"""


def page(title: str, roots: Sequence[TraceNode], facts: str = "") -> str:
    """A page on these traces; the same traces are always the same page."""
    trees = [f"<ul>\n{_item(root, end_of(root))}\n</ul>" for root in roots]
    about = [f'<p class="facts">{_shown(facts)}</p>'] if facts else []
    return framed(clean(title), "\n".join(about + trees), _STYLE)


def _item(node: TraceNode, whole: float) -> str:
    """A part, to be folded if there is something within."""
    inside = list(_inside(node, whole))
    ended = "ok" if node.status == "ok" else "not-ok"
    if not inside:
        return f'<li class="{ended}">{_row(node, whole)}</li>'
    parts = "\n".join(inside)
    row = _row(node, whole)
    return f'<li class="{ended}"><details open>\n<summary>{row}</summary>\n{parts}\n</details></li>'


def _inside(node: TraceNode, whole: float) -> Iterator[str]:
    if node.error:
        yield f'<div class="text error">{_shown(node.error)}</div>'
    if node.preview:
        yield f'<div class="text" dir="auto">{_shown(node.preview)}</div>'
    if node.children:
        items = "\n".join(_item(child, whole) for child in node.children)
        yield f"<ul>\n{items}\n</ul>"


def _row(node: TraceNode, whole: float) -> str:
    """One line of facts. The bar says nothing that the numbers don't, so it is not read out."""
    start, seconds, given, made, cost = numbers(node, whole)
    label, kind, model = map(safe, names(node))
    who = [
        f"<b>{label}</b>",
        *(f'<span class="kind">{each}</span>' for each in (kind, model) if each),
    ]
    if node.status != "ok":
        who.append(f'<strong class="error">{node.status.replace("_", " ")}</strong>')
    used = f"{given} in, {made} out, {cost}" if cost else ""
    return (
        f'<span class="row"><span>{" ".join(who)}</span>'
        f'<span class="numbers">at {start} s, for {seconds} s</span>'
        f'<span class="numbers">{used}</span>'
        f'<span class="track" aria-hidden="true">{_bar(node, whole)}</span></span>'
    )


def _bar(node: TraceNode, whole: float) -> str:
    whole = whole or 1.0
    begin = min(node.started / whole * 100, 99.0)
    length = min(max(node.seconds / whole * 100, 1.0), 100.0 - begin)
    return f'<span class="bar" style="margin-left:{begin:.2f}%;width:{length:.2f}%"></span>'


def _shown(text: str) -> str:
    """The text without characters that can't be seen, and harmless in HTML."""
    lines = text.splitlines()
    return safe("\n".join(map(clean, lines)))
