"""What a call was made of, as a tree: who was asked in it, when, for how long, and what came of it."""

from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from polyvox.usage import NO_USAGE, ZERO_USAGE, Usage

__all__ = ["NodeStatus", "TraceNode"]

NodeStatus: TypeAlias = Literal["ok", "error", "timeout", "aborted", "left_out", "fallback"]
"""How a part of a call ended: "left_out" was not used, "fallback" stands in for what failed."""


class TraceNode(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One part of a call, and the parts it was made of.

    ``kind`` is "moa", "council", "stage", "proposal", "review", ...; ``label`` how others of the tree
    are told of it. ``started`` is in seconds since the root began, ``seconds`` how long it took.
    ``usage`` is its own; ``total`` counts what is below it, too. ``preview`` is the beginning of what
    it said.
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
