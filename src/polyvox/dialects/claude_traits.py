"""What sets one generation of Claude apart from another, as far as requests show it.

From the pages "Adaptive thinking", "Effort", "Extended thinking", "Mid-conversation system
messages", "Models overview" and "What's new in Claude Opus 5.5" of Anthropic's documentation. A
model is placed by the version in its name, so that the next one is served like its elders. Names
without a version, and those of other makers who speak this format, get the oldest rules: everything
may be sent.
"""

import re
from functools import lru_cache
from typing import Literal

import msgspec
from msgspec.structs import replace

from polyvox.request import Effort

__all__ = ["Traits", "traits_of"]


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """How to ask a model.

    ``adaptive``       it takes ``thinking: adaptive`` and an effort instead of a budget in tokens
    ``efforts``        ... of these grades
    ``always_thinks``  thinking can't be turned off
    ``forced_calls``   a tool call may be demanded
    ``samplers``       how many of ``temperature`` and ``top_p`` may be given
    ``system_role``    instructions may stand in the middle of a conversation
    ``prefill``        a conversation may end with an answer that is to be gone on with
    ``most_output``    the highest limit of an answer in tokens, where it is known
    """

    adaptive: bool = False
    efforts: tuple[Effort, ...] = ()
    always_thinks: bool = False
    forced_calls: bool = True
    samplers: Literal[0, 1, 2] = 2
    system_role: bool = False
    prefill: bool = True
    most_output: int | None = None


_EFFORTS_46: tuple[Effort, ...] = ("low", "medium", "high", "max")
_EFFORTS_47: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")

_ADAPTIVE = Traits(adaptive=True, samplers=0, prefill=False, most_output=128_000)

_GENERATIONS: tuple[tuple[tuple[int, int], Traits], ...] = (
    ((4, 8), replace(_ADAPTIVE, efforts=_EFFORTS_47, system_role=True)),
    ((4, 7), replace(_ADAPTIVE, efforts=_EFFORTS_47)),
    ((4, 6), replace(_ADAPTIVE, efforts=_EFFORTS_46, samplers=1)),
    ((4, 5), Traits(samplers=1, most_output=64_000)),
    ((4, 1), Traits(samplers=1, most_output=32_000)),
    ((4, 0), Traits(most_output=32_000)),
    ((3, 7), Traits(most_output=64_000)),
)
"""The first version of each generation, newest first."""

_FAMILIES: dict[str, dict[str, bool]] = {
    "fable": {"always_thinks": True},
    "mythos": {"always_thinks": True},
    "sonnet": {"system_role": False},
    "fable-5-1": {"forced_calls": False},
    "fable-5-2": {"forced_calls": False},
    "mythos-5-2": {"forced_calls": False},
    "opus-5-5": {"always_thinks": True, "forced_calls": False},
}
"""Where a family differs from its generation."""

_UNVERSIONED = {
    "claude-mythos-preview": replace(_ADAPTIVE, efforts=_EFFORTS_46, always_thinks=True),
}

# Both orders: claude-sonnet-4-5-20250929 and claude-3-7-sonnet-20250219. A date is no version.
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?!\d)(?:[-.](\d{1,2})(?!\d))?")


@lru_cache(64)
def traits_of(model: str) -> Traits:
    """How the model of this name wants to be asked.

    >>> traits_of("claude-opus-5").adaptive, traits_of("claude-sonnet-4-5-20250929").adaptive
    (True, False)
    """
    for name, traits in _UNVERSIONED.items():
        if name in model:
            return traits
    found = _VERSION.search(model)
    if found is None:
        return Traits()
    version = int(found[1]), int(found[2] or 0)
    traits = next((each for first, each in _GENERATIONS if version >= first), Traits())
    changes = [change for family, change in _FAMILIES.items() if family in model]
    for change in changes if traits.adaptive else []:
        traits = replace(traits, **change)
    return traits
