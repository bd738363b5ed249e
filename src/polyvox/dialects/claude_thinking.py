"""How much Claude shall think: our ``Reasoning``, and the two ways of asking for it.

Older models take a budget in tokens ("Extended thinking": at least 1,024 and below ``max_tokens``),
newer ones decide themselves, within an effort ("Adaptive thinking", "Effort").
"""

from typing import Any, NamedTuple, TypeAlias

from polyvox.dialects.claude_traits import Traits
from polyvox.dialects.effort import budget_of, effort_of, nearest_effort
from polyvox.request import Effort, Reasoning, Request

__all__ = [
    "FALLBACK_MAX_TOKENS",
    "Samplers",
    "Thinking",
    "ask_for",
    "default_max_tokens",
    "samplers",
]

Json: TypeAlias = dict[str, Any]

FALLBACK_MAX_TOKENS = 8192
"""The limit of an answer in tokens when neither the request names one nor the model's own is known.

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
    """The output limit of a request that names none: the model's own, else one with room to think.

    A limit costs nothing: what counts against the rate limits is what is written ("Rate limits").
    """
    own = limit or traits.most_output
    return own or FALLBACK_MAX_TOKENS + max(_wanted_budget(reasoning), 0)


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


class Samplers(NamedTuple):
    """What of ``temperature`` and ``top_p`` may be sent, and what became of the rest."""

    temperature: float | None = None
    top_p: float | None = None
    notes: tuple[tuple[str, str], ...] = ()


def samplers(request: Request, traits: Traits, *, thinking: bool) -> Samplers:
    """The request's temperature and top_p, as this model takes them."""
    notes: list[tuple[str, str]] = []
    temperature, top_p = request.temperature, request.top_p
    if temperature is not None and temperature > 1:
        notes.append(("temperature", "lowered to 1, the highest here"))
        temperature = 1.0
    if temperature is not None and temperature != 1 and (thinking or not traits.samplers):
        reason = "it can't be combined with thinking" if thinking else "this model takes none"
        notes.append(("temperature", f"dropped: {reason}"))
        temperature = None
    if not traits.samplers:
        temperature = None  # 1 is what such a model does anyway
    room = traits.samplers - (temperature is not None)
    if top_p is not None and (room < 1 or (thinking and top_p < 0.95)):
        notes.append(("top_p", "dropped: this model does not take it in this request"))
        top_p = None
    return Samplers(temperature, top_p, tuple(notes))
