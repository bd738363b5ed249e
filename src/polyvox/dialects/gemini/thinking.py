"""How much a model shall think: our ``Reasoning`` as the format's ``thinkingConfig``, and back.

From "Thinking" in the Gemini API documentation: Gemini 3 takes a level, Gemini 2.5 a budget in
tokens, where 0 is none and -1 leaves it to the model.
"""

from typing import Any, NamedTuple, cast

from polyvox.dialects.effort import budget_of, effort_of, nearest_effort
from polyvox.dialects.gemini.traits import Traits
from polyvox.dialects.gemini.wire import Json
from polyvox.request import Effort, Reasoning

__all__ = ["Thinking", "ask_for", "read_thinking"]

_LEVELS = ("minimal", "low", "medium", "high")


class Thinking(NamedTuple):
    """The ``thinkingConfig`` to send, if any, and what could not be said."""

    config: Json | None = None
    note: str | None = None


def ask_for(reasoning: Reasoning | None, traits: Traits, max_tokens: int | None) -> Thinking:
    """How to ask this model for so much thinking; where there is some, its summary is asked for too."""
    if reasoning is None or (reasoning.effort is None and reasoning.budget_tokens is None):
        return Thinking()
    if not traits.thinks:
        unsaid = None if reasoning.effort == "none" else "dropped: this model does not think"
        return Thinking(note=unsaid)
    if reasoning.effort == "none" or reasoning.budget_tokens == 0:
        return _off(traits)
    by_level = traits.levels and (reasoning.budget_tokens is None or traits.budgets is None)
    return _level(reasoning, traits) if by_level else _budget(reasoning, traits, max_tokens)


def _off(traits: Traits) -> Thinking:
    if traits.can_stop:
        return Thinking({"thinkingBudget": 0})
    if traits.levels:
        least = traits.levels[0]
        note = f"this model always thinks; asked for {least} effort"
        return Thinking({"thinkingLevel": least}, note)
    least_tokens = traits.budgets[0] if traits.budgets else 0
    note = f"this model always thinks; asked for {least_tokens} tokens"
    return Thinking({"thinkingBudget": least_tokens}, note)


def _level(reasoning: Reasoning, traits: Traits) -> Thinking:
    note = None
    wanted = reasoning.effort
    if wanted is None:
        wanted = effort_of(reasoning.budget_tokens or 0)
    level = nearest_effort(wanted, traits.levels)
    if reasoning.budget_tokens is not None:
        note = f"this model takes no budget in tokens; asked for {level} effort"
    elif level != wanted:
        note = f"this model does not know {wanted!r}; asked for {level} effort"
    return Thinking({"thinkingLevel": level, "includeThoughts": True}, note)


def _budget(reasoning: Reasoning, traits: Traits, max_tokens: int | None) -> Thinking:
    least, most = traits.budgets or (0, 1 << 30)
    wanted = reasoning.budget_tokens
    tokens = budget_of(reasoning.effort or "medium", max_tokens) if wanted is None else wanted
    budget = max(least, min(tokens, most))
    note = None
    if wanted is not None and budget != wanted:
        note = f"the budget must be {least} to {most} here; asked for {budget} tokens"
    return Thinking({"thinkingBudget": budget, "includeThoughts": True}, note)


def read_thinking(config: Json) -> tuple[Reasoning | None, Json]:
    """The wish in a ``thinkingConfig``, and the fields that say something else."""
    rest = dict(config)
    level: Any = rest.get("thinkingLevel")
    budget: Any = rest.get("thinkingBudget")
    reasoning = None
    if isinstance(level, str) and level.lower() in _LEVELS:
        reasoning = Reasoning(cast(Effort, level.lower()))
        del rest["thinkingLevel"]
    elif isinstance(budget, int) and budget >= 0:
        reasoning = Reasoning(budget_tokens=budget) if budget else Reasoning("none")
        del rest["thinkingBudget"]
    off = reasoning is not None and reasoning.effort == "none"
    if reasoning is not None and rest == ({} if off else {"includeThoughts": True}):
        return reasoning, {}
    return reasoning, config
