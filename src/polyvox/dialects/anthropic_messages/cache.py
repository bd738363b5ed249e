"""Where a provider is asked to cache the prompt ("Prompt caching" in Anthropic's documentation)."""

from polyvox.dialects.anthropic_messages.wire import Json, cache_control
from polyvox.messages import CacheHint

__all__ = ["CacheMarks"]

_MOST = 4


class CacheMarks:
    """Collects the breakpoints of a request in the prompt's order: tools, system, messages.

    Of more than four, which the API refuses, the last four stay: each covers all before it. A long
    one behind a short one, which it refuses too, becomes short.
    """

    def __init__(self, *, long: bool) -> None:
        self._long = long
        self._marks: list[tuple[Json, CacheHint]] = []

    def add(self, block: Json, hint: CacheHint | None) -> None:
        """Ask to cache up to and including this block, if there is a hint."""
        if hint is not None:
            self._marks.append((block, hint))

    def write(self) -> list[str]:
        """Put the breakpoints onto their blocks; returns what had to be changed."""
        notes: list[str] = []
        if len(self._marks) > _MOST:
            notes.append(f"only the last {_MOST} of {len(self._marks)} cache hints can be sent")
        long = self._long
        shortened = 0
        for block, hint in self._marks[-_MOST:]:
            if hint == "long" and not long:
                hint, shortened = "short", shortened + 1
            long = long and hint == "long"
            block["cache_control"] = cache_control(hint)
        if shortened:
            notes.append(f"{shortened} long cache hints were sent as short ones")
        return notes
