"""The most that a composite's calls may use and cost together."""

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from polyvox.composite.members import Member
from polyvox.composite.tool_loop import ToolLoop
from polyvox.messages import assistant
from polyvox.model import Model
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.routing.strategies import cost_rank
from polyvox.usage import ZERO_USAGE, Usage

__all__ = ["as_long", "in_all", "last_stage"]

_CHARACTERS_PER_TOKEN = 4  # as in polyvox.estimate


def as_long(quote: Usage) -> str:
    """A text of as many tokens as an answer may have at most."""
    return "x" * (_CHARACTERS_PER_TOKEN * quote.output_tokens)


def last_stage(
    members: Sequence[Member], asked: Callable[[Member], Request], tools: ToolLoop | None
) -> list[Usage]:
    """The most of the last stage. Its calls are read again in each round of tools; what tools give
    back is not known before, and not counted.

    Each counts once, since one may fail when its tokens are spent; but only one gets as far as to tools.
    """
    first: list[Usage] = []
    later: list[Usage] = []
    for member in members:
        quote, *again = _rounds(member.asked, asked(member), tools)
        first.append(quote)
        later.append(sum(again, ZERO_USAGE))
    return [*first, max(later, key=_dearness)]


def in_all(quotes: Sequence[Usage]) -> Usage:
    """All together."""
    return replace(sum(quotes, ZERO_USAGE), basis="estimated")


def _rounds(model: Model, request: Request, tools: ToolLoop | None) -> Iterator[Usage]:
    """Of one who is asked, and again after each round of tools."""
    yield (quote := quote_of(model, request))
    for _ in range(tools.rounds if tools is not None and request.tools else 0):
        told = assistant(as_long(quote))
        request = replace(request, messages=[*request.messages, told])
        yield (quote := quote_of(model, request))


def _dearness(quote: Usage) -> tuple[bool, int, int]:
    """A price that nobody knows counts as the dearest."""
    return (*cost_rank(quote.cost), quote.total_tokens)
