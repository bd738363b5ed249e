"""What a call was made of, as a tree: who was asked in it, when, for how long, and what came of it."""

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from polyvox.usage import NO_USAGE, ZERO_USAGE, Usage

__all__ = ["NodeStatus", "TraceNode", "beginning"]

NodeStatus: TypeAlias = Literal["ok", "error", "timeout", "aborted", "left_out", "fallback"]
"""How a part of a call ended: "left_out" was not used, "fallback" stands in for what failed."""


_HALF_WORD = re.compile(r"\S*\Z")
_HALF_KEY = re.compile(r"[\w.+/=~-]*\Z", re.ASCII)


def beginning(text: str, most: int = 200) -> str:
    """The first words of a text, for a trace: a key that is cut would not be known for one, and not masked.

    >>> beginning("The key is sk-0123456789abcdef.", 20)
    'The key is …'
    """
    if len(text) <= most:
        return text
    words = _HALF_WORD.sub("", text[:most])
    if len(words) < most // 2:  # a script without blanks, or data
        words = _HALF_KEY.sub("", text[:most])
    return f"{words}…"


class TraceNode(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One part of a call, and the parts it was made of.

    ``kind`` is "moa", "council", "stage", "proposal", "review", ...; ``label`` how others of the tree
    are told of it. ``started`` is in seconds since the root began, ``seconds`` how long it took.
    ``usage`` is its own; ``total`` counts what is below it, too. ``preview`` is the beginning of what
    it said. ``str(node)`` draws the tree.
    """

    kind: str
    model: str = ""
    label: str = ""
    started: float = 0.0
    seconds: float = 0.0
    status: NodeStatus = "ok"
    error: str = ""
    preview: str = ""
    usage: Usage = NO_USAGE
    children: "list[TraceNode]" = []

    def walk(self) -> "Iterator[TraceNode]":
        """The part itself and all below it, each before those that it was made of."""
        yield self
        for child in self.children:
            yield from child.walk()

    @property
    def total(self) -> Usage:
        """What this part and all below it have used together."""
        return sum((node.usage for node in self.walk() if node.usage is not NO_USAGE), ZERO_USAGE)

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = 100) -> str:
        """The tree as lines of at most so many characters: who was asked, when, and what it took."""
        from polyvox.trace_text import drawn

        return drawn(self, width)

    def html(self, title: str = "Trace") -> str:
        """The tree as a page of HTML that needs no other file."""
        from polyvox.trace_page import page

        return page(title, [self])
