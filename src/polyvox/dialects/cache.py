"""Where to ask a provider to cache a prompt, in formats that take marks ("breakpoints") for it.

From "Prompt caching" in Anthropic's API documentation, whose marks others take too: each covers all
of the prompt before it, in the order tools, instructions, messages; a request may hold four.
"""

from collections.abc import Iterable, Sequence

from polyvox.messages import CacheHint, ToolMessage
from polyvox.request import Request

__all__ = ["MOST_MARKS", "auto_marks", "has_marks", "turn_ends"]

MOST_MARKS = 4
"""How many marks a request may hold."""


def has_marks(request: Request) -> bool:
    """Whether the request itself says where to cache; "auto" leaves that to us."""
    if request.cache not in (None, "auto"):
        return True
    for message in request.messages:
        for block in message.content:
            if block.cache:
                return True
        if isinstance(message, ToolMessage) and message.cache:
            return True
    return any(block.cache for block in (*request.system, *request.tools))


def auto_marks(
    marked: Sequence[CacheHint | None], ends: Iterable[int], most: int = MOST_MARKS
) -> dict[int, CacheHint]:
    """The marks to add to a prompt for ``cache="auto"``: the hint by place.

    ``marked`` is what the user has marked, place by place in the prompt's order; ``ends`` are places
    where parts of it end, the most useful first. A long mark must not follow a short one, so those
    before a long one are long.

    >>> auto_marks([None, "long", None, None], [3, 2, 0])
    {3: 'short', 2: 'short', 0: 'long'}
    """
    free = most - sum(hint is not None for hint in marked)
    added: dict[int, CacheHint] = {}
    for end in ends:
        if len(added) < free and marked[end] is None:
            added[end] = "long" if "long" in marked[end:] else "short"
    return added


def turn_ends(roles: Sequence[str], markable: Sequence[bool]) -> list[int]:
    """The messages whose ends ``cache="auto"`` marks: the last one, and where the last request ended.

    That one ended with what stands before the last answer; so what it wrote into the cache is found,
    however much was added since.

    >>> turn_ends(["user", "assistant", "user", "user"], [True, True, True, True])
    [3, 0]
    """
    answers = [place for place, role in enumerate(roles) if role == "assistant"]
    stops = [len(roles), *answers[-1:]]
    found = [next((i for i in range(stop - 1, -1, -1) if markable[i]), None) for stop in stops]
    return list(dict.fromkeys(place for place in found if place is not None))
