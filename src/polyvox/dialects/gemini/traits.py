"""What sets one generation of Gemini apart from another, as far as requests show it.

From "Thinking", "Thought signatures" and "What's new in Gemini 3.6 Flash and 3.5 Flash-Lite" in the
Gemini API documentation. A model is placed by the version in its name, so that the next one is
served like its elders; names without one (such as "gemini-flash-latest") count as the newest. Of
models that are no Gemini nothing is known, and all is sent as it was asked for.
"""

import re

import msgspec
from msgspec.structs import replace

from polyvox.request import Effort

__all__ = ["Traits", "traits_of"]


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask a model.

    ``levels``      the thinking levels it takes, if levels are what it takes
    ``budgets``     the least and the most tokens of thinking, if a budget is what it takes
    ``can_stop``    thinking can be turned off
    ``signed``      function calls must bear a thought signature
    ``result_media`` function responses may hold pictures
    ``fetches``     files may be named by any URL
    ``sampling``    temperature and topP are heeded
    ``prefill``     a conversation may end with an answer that is to be gone on with
    """

    levels: tuple[Effort, ...] = ()
    budgets: tuple[int, int] | None = None
    can_stop: bool = False
    signed: bool = False
    result_media: bool = False
    fetches: bool = False
    sampling: bool = True
    prefill: bool = True

    @property
    def thinks(self) -> bool:
        """Whether it can be told how much to think."""
        return bool(self.levels) or self.budgets is not None


_LEVELS: tuple[Effort, ...] = ("minimal", "low", "medium", "high")

_UNKNOWN = Traits(
    levels=_LEVELS, budgets=(0, 1 << 30), can_stop=True, signed=False, result_media=False
)
_THREE = Traits(levels=_LEVELS, signed=True, result_media=True, fetches=True)
_THREE_PRO = Traits(levels=_LEVELS[1:], signed=True, result_media=True, fetches=True)
_FIRST_THREE_PRO = Traits(levels=("low", "high"), signed=True, result_media=True, fetches=True)

_TWO_FIVE: tuple[tuple[str, Traits], ...] = (
    ("image", Traits(fetches=True)),
    ("pro", Traits(budgets=(128, 32768), fetches=True)),
    ("flash-lite", Traits(budgets=(512, 24576), can_stop=True, fetches=True)),
    ("flash", Traits(budgets=(1, 24576), can_stop=True, fetches=True)),
)
"""Gemini 2.5, by a word of the name; the first that is in it counts."""

_NEWEST: tuple[int, int] = (99, 0)
_VERSION = re.compile(r"gemini-(\d+)(?:\.(\d+))?")


def traits_of(model: str) -> Traits:
    """How the model of this name wants to be asked.

    >>> traits_of("gemini-2.5-pro").budgets, traits_of("gemini-3-pro-preview").levels
    ((128, 32768), ('low', 'high'))
    """
    if "gemini" not in model:
        return _UNKNOWN
    found = _VERSION.search(model)
    version = (int(found[1]), int(found[2] or 0)) if found else _NEWEST
    if version >= (3, 0):
        pro = _THREE_PRO if version > (3, 0) else _FIRST_THREE_PRO
        traits = pro if "pro" in model else _THREE
        older = version < (3, 6) and "3.5-flash-lite" not in model
        return replace(traits, sampling=older, prefill=older)
    if version == (2, 5):
        return next((traits for word, traits in _TWO_FIVE if word in model), _TWO_FIVE[-1][1])
    return Traits()
