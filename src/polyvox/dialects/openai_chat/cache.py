"""Anthropic's cache marks in OpenAI's format ("Prompt Caching" in OpenRouter's documentation)."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from polyvox.dialects.base import Target
from polyvox.dialects.cache import MOST_MARKS, auto_marks, turn_ends
from polyvox.messages import CacheHint

_Json: TypeAlias = dict[str, Any]


def cache_mark(cache: CacheHint | None, target: Target) -> _Json:
    """The mark for a part of the prompt, as a field to add; {} where it is not understood."""
    if cache is None or not target.quirks.cache_control:
        return {}
    longer = {"ttl": "1h"} if cache == "long" and target.quirks.long_cache else {}
    return {"cache_control": {"type": "ephemeral", **longer}}


def mark_last(messages: list[_Json], mark: _Json) -> None:
    """Put a mark on the last part of the last message that has any, unless one is there."""
    for message in reversed(messages):
        content: Any = message.get("content")
        if isinstance(content, str):
            content = message["content"] = [{"type": "text", "text": content}]
        if content:
            if "cache_control" not in content[-1]:
                content[-1].update(mark)
            return


def settle_marks(messages: list[_Json], tools: list[_Json]) -> list[tuple[str, str]]:
    """Leave the last four marks, none of them long behind a short one, and say what had to change.

    More are refused, and so is a long one there.
    """
    places = [*tools, *(place for message in messages for place in _places(message))]
    marked = [place for place in places if "cache_control" in place]
    notes: list[tuple[str, str]] = []
    for place in marked[:-MOST_MARKS]:
        del place["cache_control"]
    if len(marked) > MOST_MARKS:
        notes.append(
            ("cache", f"only the last {MOST_MARKS} of {len(marked)} cache hints can be sent")
        )
    hints = [_hint(place) for place in marked[-MOST_MARKS:]]
    first_short = hints.index("short") if "short" in hints else len(hints)
    if "long" in hints[first_short:]:
        notes.append(("cache", "long cache hints behind a short one were sent as short ones"))
        for place in marked[-MOST_MARKS:][first_short:]:
            place["cache_control"] = {"type": "ephemeral"}
    return notes


def mark_automatically(messages: list[_Json], tools: list[_Json], target: Target) -> None:
    """Mark the ends of what will stand in the next request too, as far as there are marks left."""
    if not target.quirks.cache_control:
        return
    places = [*tools, *(place for message in messages for place in _places(message))]
    number = {id(place): each for each, place in enumerate(places)}
    ends = [number[id(each)] for each in _ends(messages, tools)]
    for place, hint in auto_marks([_hint(each) for each in places], ends).items():
        _put(places[place], cache_mark(hint, target))


def _places(message: _Json) -> list[_Json]:
    """What of a message can be marked: its parts, or the message itself if it is one text."""
    content: str | list[_Json] | None = message.get("content")
    if isinstance(content, str):
        return [message] if content else []
    return content or []


def _ends(messages: list[_Json], tools: list[_Json]) -> Iterator[_Json]:
    roles = [message["role"] for message in messages]
    for place in turn_ends(roles, [bool(_places(message)) for message in messages]):
        yield _places(messages[place])[-1]
    if roles[0] in ("system", "developer"):
        yield from _places(messages[0])[-1:]
    yield from tools[-1:]


def _hint(place: _Json) -> CacheHint | None:
    mark: Any = place.get("cache_control")
    return None if mark is None else "long" if mark.get("ttl") == "1h" else "short"


def _put(place: _Json, mark: _Json) -> None:
    if "role" in place:
        mark_last([place], mark)
    else:
        place.update(mark)
