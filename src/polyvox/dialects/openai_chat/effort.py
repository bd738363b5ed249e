"""How much to think, in the words of each style (``Quirks.reasoning_style``).

Sources: ``reasoning_effort`` in OpenAI's API reference; "Reasoning Tokens" in OpenRouter's
documentation; "Thinking Mode" in those of DeepSeek and Z.ai; "Deep thinking" in Alibaba's.
"""

from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from polyvox.dialects.base import Quirks
from polyvox.dialects.effort import budget_of, effort_of, nearest_effort
from polyvox.dialects.openai_notes import takes_choice
from polyvox.request import Effort, Reasoning, Request

_Note: TypeAlias = tuple[str, str]

_EFFORT, _BUDGET = "reasoning.effort", "reasoning.budget_tokens"


_NOT_BESIDE_TOOLS = (
    "not sent: with tools this model can't be asked to think here;"
    " the provider openai-responses can ask for both"
)


class ReasoningFields(NamedTuple):
    """The fields of the body, and (field, what became of it) for what of the wish they can't tell."""

    fields: dict[str, Any]
    notes: list[_Note]


def beside_tools(request: Request, quirks: Quirks) -> tuple[Request, tuple[_Note, ...]]:
    """The request without a wish to think that is refused beside tools, and what became of it.

    From GPT-5.4 on, Chat Completions refuses an effort together with tools; from GPT-5.6 on also the
    effort that a model has by default, so that "none" has to be said. (OpenAI's error 400 "Function
    tools with reasoning_effort are not supported", openai-openapi issue 541.)
    """
    rule = quirks.effort_with_tools
    if rule is True or not takes_choice(request):
        return request, ()
    wanted = request.reasoning or Reasoning()
    if _is_off(wanted):
        return request, ()
    if rule is False and wanted == Reasoning():
        return request, ()
    told = Reasoning("none") if rule == "none" else None
    return replace(request, reasoning=told), (("reasoning", _NOT_BESIDE_TOOLS),)


def write_reasoning(
    wanted: Reasoning | None, quirks: Quirks, max_tokens: int | None
) -> ReasoningFields:
    """How to ask for it. A budget stays below ``max_tokens``, which limits the whole answer."""
    if wanted is None or wanted == Reasoning():
        return ReasoningFields({}, [])
    if _is_off(wanted):
        wanted = Reasoning("none")
    match quirks.reasoning_style:
        case "effort":
            effort, notes = _graded(wanted, quirks)
            return ReasoningFields({"reasoning_effort": effort}, notes)
        case "openrouter":
            return _openrouter(wanted, quirks, max_tokens)
        case "thinking":
            return _thinking(wanted, quirks)
        case "enable_thinking":
            return _enable_thinking(wanted, max_tokens)
        case "none":
            return ReasoningFields(
                {}, [("reasoning", "not sent: this model is not asked to think")]
            )


def _is_off(wanted: Reasoning) -> bool:
    return wanted.effort == "none" or (wanted.effort is None and wanted.budget_tokens == 0)


def _openrouter(wanted: Reasoning, quirks: Quirks, max_tokens: int | None) -> ReasoningFields:
    if wanted.budget_tokens is None or wanted.budget_tokens <= 0:
        effort, notes = _graded(wanted, quirks)
        return ReasoningFields({"reasoning": {"effort": effort}}, notes)
    budget, notes = _limited(wanted.budget_tokens, max_tokens)
    if wanted.effort:
        notes.append(("reasoning", "of effort and budget one is taken: the budget"))
    return ReasoningFields({"reasoning": {"max_tokens": budget}}, notes)


def _thinking(wanted: Reasoning, quirks: Quirks) -> ReasoningFields:
    if wanted.effort == "none":
        return ReasoningFields({"thinking": {"type": "disabled"}}, [])
    on = {"thinking": {"type": "enabled"}}
    if quirks.efforts:
        effort, notes = _graded(wanted, quirks)
        return ReasoningFields({**on, "reasoning_effort": effort}, notes)
    field = _EFFORT if wanted.effort else _BUDGET
    return ReasoningFields(on, [(field, "sent as on: this model only knows on and off")])


def _enable_thinking(wanted: Reasoning, max_tokens: int | None) -> ReasoningFields:
    if wanted.effort == "none":
        return ReasoningFields({"enable_thinking": False}, [])
    if wanted.budget_tokens is not None:
        budget, notes = _limited(wanted.budget_tokens, max_tokens)
    else:
        budget = budget_of(wanted.effort or "medium", max_tokens)
        notes = [(_EFFORT, f"sent as a budget of {budget} tokens: this model takes no effort")]
    return ReasoningFields({"enable_thinking": True, "thinking_budget": budget}, notes)


def _graded(wanted: Reasoning, quirks: Quirks) -> tuple[Effort, list[_Note]]:
    """The effort to send."""
    notes: list[_Note] = []
    asked = wanted.effort
    if asked is None:
        asked = effort_of(wanted.budget_tokens or 0)
    sent = nearest_effort(asked, quirks.efforts)
    if wanted.budget_tokens is not None:
        notes.append((_BUDGET, f"this model takes no budget: {sent!r} effort is asked for"))
    elif sent != asked:
        notes.append((_EFFORT, f"sent as {sent!r}, the nearest that this model takes"))
    return sent, notes


def _limited(budget: int, max_tokens: int | None) -> tuple[int, list[_Note]]:
    """The budget to send: below the limit of the whole answer."""
    if max_tokens is None or budget < max_tokens:
        return budget, []
    lowered = max(max_tokens - 1, 1)
    return lowered, [(_BUDGET, f"lowered to {lowered}: it must be below max_tokens")]
