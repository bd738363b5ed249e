"""The most that a composite's calls may use and cost together."""

from collections.abc import Sequence

from msgspec.structs import replace

from polyvox.composite.tool_loop import ToolLoop
from polyvox.request import Request
from polyvox.routing.strategies import cost_rank
from polyvox.usage import ZERO_USAGE, Usage

__all__ = ["as_long", "dearest", "in_all", "rounds_of"]

_CHARACTERS_PER_TOKEN = 4  # as in polyvox.estimate


def as_long(quote: Usage) -> str:
    """A text of as many tokens as an answer may have at most."""
    return "x" * (_CHARACTERS_PER_TOKEN * quote.output_tokens)


def dearest(quotes: Sequence[Usage]) -> Usage:
    """The one that may cost most; a price that nobody knows counts as that."""
    return max(quotes, key=lambda quote: (*cost_rank(quote.cost), quote.total_tokens))


def rounds_of(tools: ToolLoop | None, request: Request) -> int:
    """How often the last stage may be asked again, because it called tools."""
    return tools.rounds if tools is not None and request.tools else 0


def in_all(before: Sequence[Usage], last: Usage, rounds: int) -> Usage:
    """What comes before the last stage, and that once and again in each round of tools."""
    total = sum((*before, *[last] * (rounds + 1)), ZERO_USAGE)
    return replace(total, basis="estimated")
