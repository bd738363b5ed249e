"""What is entered into the trace about each who was asked."""

import time

from msgspec.structs import replace

from polyvox.errors import AbortedError, PolyvoxError, RequestTimeoutError
from polyvox.messages import AssistantMessage
from polyvox.model import Call
from polyvox.trace import NodeStatus, TraceNode, beginning
from polyvox.trace_text import clean
from polyvox.usage import NO_USAGE, ZERO_USAGE, Cost, Usage

__all__ = ["Timeline", "note", "status_of", "summary"]

_SHORT = 160
_STAGES = ("stage", "layer", "window", "ranking")


class Timeline:
    """Seconds since the root of a trace began."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def now(self) -> float:
        """How long ago that was."""
        return time.perf_counter() - self._began


def note(
    node: TraceNode, call: Call, message: AssistantMessage | None, error: PolyvoxError | None
) -> None:
    """Enter into a node how asking its model went: ``call`` is what it was asked through."""
    heard = message or (error and error.message) or call.partial
    if error is not None:
        node.status, node.error = status_of(error), error.text
    spent = sum((attempt.usage for attempt in call.attempts), ZERO_USAGE)
    if heard is not None:
        node.preview = beginning(heard.text)
    if heard is not None and heard.trace is not None and not heard.cached:
        # A composite: its parts have their own usage. Those of an answer out of a cache were paid before.
        node.children = [*node.children, _shifted(heard.trace, node.started)]
        node.usage = _without(spent, heard.trace.total)
    elif call.attempts:
        node.usage = spent
    elif message is not None:
        node.usage = _told(message.usage)


def _without(usage: Usage, part: Usage) -> Usage:
    """What was spent besides, such as by an earlier try of the same composite."""
    if usage == part:
        return NO_USAGE
    cost = replace(usage.cost, **_differences(usage.cost, part.cost))
    return replace(usage, **_differences(usage, part), cost=cost)


def _differences(one: Usage | Cost, other: Usage | Cost) -> dict[str, int]:
    """Of the fields that are numbers, how much more ``one`` has."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in one.__struct_fields__}
    return {name: max(0, a - b) for name, (a, b) in pairs.items() if isinstance(a, int)}


def _told(usage: Usage) -> Usage:
    """The usage of a model that keeps no books; if it told none either, the sum is to say so."""
    return replace(usage) if usage is NO_USAGE else usage


def _shifted(node: TraceNode, seconds: float) -> TraceNode:
    children = [_shifted(child, seconds) for child in node.children]
    return replace(node, started=node.started + seconds, children=children)


def status_of(error: PolyvoxError) -> NodeStatus:
    """How a node ended that ended with this error."""
    if isinstance(error, RequestTimeoutError):
        return "timeout"
    return "aborted" if isinstance(error, AbortedError) else "error"


def summary(root: TraceNode) -> str:
    """What was done so far, for a person: a section for each stage.

    >>> layer = TraceNode(kind="layer", label="layer 1")
    >>> layer.children = [TraceNode(kind="proposal", label="a", preview="Air scatters blue light.")]
    >>> print(summary(TraceNode(kind="moa", children=[layer])))
    Layer 1
    - a: Air scatters blue light.
    """
    sections: dict[str, list[TraceNode]] = {}
    for node in root.children:
        if node.kind in _STAGES:
            sections.setdefault(node.label, []).extend(node.children)
        else:  # the last stage: a node for each who was asked
            sections.setdefault(node.kind, []).append(node)
    return "\n\n".join(
        "\n".join([title[:1].upper() + title[1:], *map(_line, nodes)])
        for title, nodes in sections.items()
        if nodes
    )


def _line(node: TraceNode) -> str:
    said = f"left out: {node.error}" if node.error else node.preview
    short = beginning(clean(said), _SHORT)
    return f"- {node.label}: {short}" if short else f"- {node.label}"
