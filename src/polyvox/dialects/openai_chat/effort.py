"""How much to think, in the words of each style (``Quirks.reasoning_style``).

Sources: ``reasoning_effort`` in OpenAI's API reference; "Reasoning Tokens" in OpenRouter's
documentation; "Thinking Mode" in those of DeepSeek and Z.ai; "Deep thinking" in Alibaba's.
"""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from polyvox.dialects.base import Quirks
from polyvox.request import Effort, Reasoning

_SCALE: tuple[Effort, ...] = get_args(Effort)


def nearest_effort(wanted: Effort, known: tuple[Effort, ...]) -> Effort:
    """The known effort nearest to the one wanted; of two as near, the greater.

    Some thinking never becomes none, unless there is nothing else. Nothing known: all are.

    >>> nearest_effort("medium", ("none", "low", "high"))
    'high'
    """
    usable: list[Effort] = [effort for effort in known if effort != "none" or wanted == "none"]
    place = _SCALE.index(wanted)

    def distance(effort: Effort) -> tuple[int, int]:
        return abs(_SCALE.index(effort) - place), -_SCALE.index(effort)

    choices: Sequence[Effort] = usable or known or (wanted,)
    return min(choices, key=distance)


def write_reasoning(wanted: Reasoning | None, quirks: Quirks) -> dict[str, Any]:
    """The fields of the body that ask for it."""
    if wanted is None or wanted == Reasoning():
        return {}
    on = wanted.effort != "none"
    effort = nearest_effort(wanted.effort, quirks.efforts) if wanted.effort else None
    match quirks.reasoning_style:
        case "effort":
            return {"reasoning_effort": effort} if effort else {}
        case "openrouter":
            budget = wanted.budget_tokens if on else None
            return {"reasoning": {"effort": effort} if budget is None else {"max_tokens": budget}}
        case "thinking":
            graded = {"reasoning_effort": effort} if effort and on and quirks.efforts else {}
            return {"thinking": {"type": "enabled" if on else "disabled"}, **graded}
        case "enable_thinking":
            limited = on and wanted.budget_tokens is not None
            budgeted = {"thinking_budget": wanted.budget_tokens} if limited else {}
            return {"enable_thinking": on, **budgeted}
        case "none":
            return {}


def dropped_reasoning(wanted: Reasoning | None, quirks: Quirks) -> Iterator[tuple[str, str]]:
    """(field, what became of it) for what of it can't be told."""
    if wanted is None or wanted == Reasoning():
        return
    style = quirks.reasoning_style
    if style == "none":
        yield "reasoning", "not sent: this model is not asked to think"
        return
    if wanted.budget_tokens is not None and style in ("effort", "thinking"):
        yield "reasoning.budget_tokens", "not sent: this model takes an effort, not a budget"
    if wanted.effort is None or (
        wanted.effort == "none" and style in ("thinking", "enable_thinking")
    ):
        return
    sent = nearest_effort(wanted.effort, quirks.efforts)
    if style == "openrouter" and wanted.budget_tokens is not None:
        yield (
            "reasoning",
            "of effort and budget one is taken: the budget, unless the effort is none",
        )
    elif style == "enable_thinking" or (style == "thinking" and not quirks.efforts):
        yield "reasoning.effort", "sent as on: this model only knows on and off"
    elif sent != wanted.effort:
        yield "reasoning.effort", f"sent as {sent!r}, the nearest that this model takes"
