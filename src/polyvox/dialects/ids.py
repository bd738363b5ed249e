"""Tool call ids of one provider in the alphabet and length that another accepts."""

import re
from hashlib import sha256
from typing import NamedTuple

__all__ = ["ANY_ID", "FORTY", "NINE", "WORD", "CallIds", "IdRule"]


class IdRule(NamedTuple):
    """What a provider accepts: ``foreign`` matches a character that it refuses.

    ``shortest`` and ``longest`` are in characters. ``prefix`` begins the ids that are made up.
    """

    foreign: re.Pattern[str] | None = None
    shortest: int = 1
    longest: int = 1024
    prefix: str = "call_"

    def accepts(self, id: str) -> bool:
        """Whether this id may be sent as it is."""
        fits = self.shortest <= len(id) <= self.longest
        return fits and not (self.foreign and self.foreign.search(id))


ANY_ID = IdRule()
"""Whatever is not empty."""

FORTY = IdRule(longest=40)
"""OpenAI's: anything up to 40 characters."""

NINE = IdRule(re.compile(r"[^a-zA-Z0-9]"), 9, 9, prefix="")
"""Mistral's: exactly nine letters and digits."""

WORD = IdRule(re.compile(r"[^a-zA-Z0-9_-]"), longest=64)
"""Anthropic's: letters, digits, "_" and "-"."""


class CallIds:
    """Maps the ids of one conversation: always the same way, and never two to one.

    An id that the rule accepts stays. The ids of a conversation that has grown are mapped as before,
    for an id is only ever kept apart from those before it.

    >>> ids = CallIds(WORD)
    >>> ids.of("toolu_01"), ids.of("functions.weather:0"), ids.of("toolu_01")
    ('toolu_01', 'call_...', 'toolu_01')
    """

    def __init__(self, rule: IdRule) -> None:
        self._rule = rule
        self._made: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, id: str) -> str:
        """The id to send for this one."""
        made = self._made.get(id)
        if made is None:
            made = self._made[id] = self._make(id)
            self._taken.add(made)
        return made

    def _make(self, id: str) -> str:
        made, tries = id, 0
        while made in self._taken or not self._rule.accepts(made):
            made = self._digest(f"{id}#{tries}" if tries else id)
            tries += 1
        return made

    def _digest(self, text: str) -> str:
        rule = self._rule
        room = min(rule.longest - len(rule.prefix), 32)
        digits = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return rule.prefix + digits[:room]
