"""Where Claude's servers are asked to cache the prompt ("Prompt caching" in Anthropic's documentation)."""

from collections.abc import Callable
from typing import Any, TypeAlias

from polyvox.dialects.cache import MOST_MARKS, auto_marks
from polyvox.messages import CacheHint

__all__ = ["CacheMarks"]

Json: TypeAlias = dict[str, Any]


class CacheMarks:
    """Collects the breakpoints of a request in the prompt's order: tools, system, messages.

    Of more than four, which the API refuses, the last four stay: each covers all before it. A long
    one behind a short one, which it refuses too, becomes short. ``mark`` writes one, for the ``field`` of
    its block.
    """

    def __init__(self, field: str, mark: Callable[[CacheHint], Json], *, long: bool) -> None:
        self._field = field
        self._mark = mark
        self._long = long
        self._marks: list[tuple[Json, CacheHint]] = []

    def add(self, block: Json, hint: CacheHint | None) -> None:
        """Ask to cache up to and including this block, if there is a hint."""
        if hint is not None:
            self._marks.append((block, hint))

    def add_automatically(self, prompt: list[Json], ends: list[Json]) -> None:
        """Mark these ends of parts of the prompt, the first of them first, while there are marks left.

        ``prompt`` is all that can bear a mark, in order.
        """
        ours: dict[int, CacheHint] = {id(block): hint for block, hint in self._marks}
        marked: list[CacheHint | None] = [
            ours.get(id(block)) or self._vendor_hint(block) for block in prompt
        ]
        places = {id(block): place for place, block in enumerate(prompt)}
        ours |= {
            id(prompt[place]): hint
            for place, hint in auto_marks(marked, [places[id(end)] for end in ends]).items()
        }
        self._marks = [(block, ours[id(block)]) for block in prompt if id(block) in ours]

    def write(self) -> list[str]:
        """Put the breakpoints onto their blocks; returns what had to be changed."""
        notes: list[str] = []
        if len(self._marks) > MOST_MARKS:
            notes.append(
                f"only the last {MOST_MARKS} of {len(self._marks)} cache hints can be sent"
            )
        long = self._long
        shortened = 0
        for block, hint in self._marks[-MOST_MARKS:]:
            if hint == "long" and not long:
                hint, shortened = "short", shortened + 1
            long = long and hint == "long"
            block[self._field] = self._mark(hint)
        if shortened:
            notes.append(f"{shortened} long cache hints were sent as short ones")
        return notes

    def _vendor_hint(self, block: Json) -> CacheHint | None:
        """A mark that came with the request's vendor options."""
        mark: Any = block.get(self._field)
        return None if not mark else "long" if mark.get("ttl") == "1h" else "short"
