"""How much a model shall think: our ``Reasoning`` and the format's two ways of asking for it.

Older models take a budget in tokens ("Extended thinking": at least 1,024 and below ``max_tokens``),
newer ones decide themselves, within an effort ("Adaptive thinking", "Effort").
"""

from typing import NamedTuple

from polyvox.dialects.anthropic_messages.traits import Traits
from polyvox.dialects.anthropic_messages.wire import Json
from polyvox.dialects.effort import budget_of, effort_of, nearest_effort
from polyvox.request import Effort, Reasoning

__all__ = ["FALLBACK_MAX_TOKENS", "Thinking", "ask_for", "default_max_tokens"]

FALLBACK_MAX_TOKENS = 8192
"""The limit of an answer in tokens when neither the request nor the catalog names one.

The format demands a limit; this is the lowest maximum among the models still served.
"""

_LEAST_BUDGET = 1024


class Thinking(NamedTuple):
    """The fields to send, and what could not be said: ``thinking``, ``output_config.effort``, a note."""

    thinking: Json | None = None
    effort: Effort | None = None
    note: str | None = None

    @property
    def on(self) -> bool:
        """Whether the model is told to think."""
        return self.thinking is not None and self.thinking["type"] != "disabled"


def default_max_tokens(reasoning: Reasoning | None, limit: int | None, traits: Traits) -> int:
    """The output limit of a request that names none: the model's own, else one with room to think."""
    if limit is not None:
        return limit
    budget = 0 if traits.adaptive else _wanted_budget(reasoning)
    return FALLBACK_MAX_TOKENS + budget


def ask_for(reasoning: Reasoning | None, traits: Traits, max_tokens: int) -> Thinking:
    """How to ask this model for so much thinking."""
    if reasoning is None or (reasoning.effort is None and reasoning.budget_tokens is None):
        return Thinking()
    if reasoning.effort == "none" or (reasoning.effort is None and reasoning.budget_tokens == 0):
        if traits.always_thinks:
            return Thinking(effort="low", note="this model always thinks; asked for low effort")
        return Thinking({"type": "disabled"})
    if traits.adaptive:
        return _adaptive(reasoning, traits)
    return _budgeted(reasoning, max_tokens)


def _adaptive(reasoning: Reasoning, traits: Traits) -> Thinking:
    note = None
    wanted = reasoning.effort
    if reasoning.budget_tokens is not None:
        wanted = wanted or effort_of(reasoning.budget_tokens)
        note = f"this model takes no budget in tokens; asked for {wanted} effort"
    effort = nearest_effort(wanted or "high", traits.efforts, of_two="lower")
    if effort != wanted:
        note = f"this model does not know {wanted!r}; asked for {effort} effort"
    return Thinking({"type": "adaptive"}, effort, note)


def _budgeted(reasoning: Reasoning, max_tokens: int) -> Thinking:
    if max_tokens <= _LEAST_BUDGET:
        return Thinking(note=f"dropped: thinking needs max_tokens above {_LEAST_BUDGET}")
    wanted = _wanted_budget(reasoning)
    # An effort leaves half of the output to the answer; who names a budget knows what is left.
    room = max_tokens // 2 if reasoning.budget_tokens is None else max_tokens - 1
    budget = max(_LEAST_BUDGET, min(wanted, room))
    note = None
    if reasoning.budget_tokens is not None and budget != wanted:
        note = f"the budget must be {_LEAST_BUDGET} to max_tokens - 1; asked for {budget} tokens"
    return Thinking({"type": "enabled", "budget_tokens": budget}, note=note)


def _wanted_budget(reasoning: Reasoning | None) -> int:
    if reasoning is None:
        return 0
    if reasoning.budget_tokens is not None:
        return reasoning.budget_tokens
    return budget_of(reasoning.effort or "none")
