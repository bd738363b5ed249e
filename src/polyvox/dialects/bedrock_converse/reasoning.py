"""How much a model shall think: our ``Reasoning`` in the words of each family of models, and back.

From "Extended thinking" and "Adaptive thinking" (Claude) and "Converse" in the Amazon Bedrock user
guide and API reference, "Using reasoning" in that of Amazon Nova 2, and OpenAI's page on gpt-oss.
Each family has its own fields in ``additionalModelRequestFields``.
"""

from typing import Any, NamedTuple

from polyvox.dialects.bedrock_converse.wire import Json
from polyvox.dialects.claude_thinking import ask_for, default_max_tokens
from polyvox.dialects.claude_traits import Traits, traits_of
from polyvox.dialects.effort import effort_of, nearest_effort
from polyvox.dialects.fields import Fields
from polyvox.request import Effort, Reasoning

__all__ = ["Asked", "ask_to_think", "goes_on", "is_claude", "read_thinking"]

_EFFORT: Any = Effort
_THREE: tuple[Effort, ...] = ("low", "medium", "high")


class Asked(NamedTuple):
    """What to send, and what could not be said.

    ``fields`` go into ``additionalModelRequestFields``, ``effort`` into ``outputConfig``;
    ``max_tokens`` is the limit that goes with them; ``thinking`` says that other wishes are bound by
    Claude's rules for it, ``traits`` which the model has; ``notes`` are (field, text).
    """

    fields: Json | None = None
    effort: Effort | None = None
    max_tokens: int | None = None
    thinking: bool = False
    notes: tuple[tuple[str, str], ...] = ()
    traits: Traits = Traits()


def is_claude(model: str) -> bool:
    """Whether a model of this name is one of Anthropic's."""
    return "claude" in model


def goes_on(model: str) -> bool:
    """Whether a model of this name goes on with an answer that has been begun for it.

    Claude up to 4.5 and Nova do ("Prefill Claude's response", "Prefilling" in the guide to Nova). Of
    others Bedrock demands that the last turn be the user's, and an ARN may hide any model.
    """
    return traits_of(model).prefill if is_claude(model) else "nova" in model


def ask_to_think(
    reasoning: Reasoning | None, model: str, max_tokens: int | None, limit: int | None
) -> Asked:
    """How to ask this model for so much thinking; ``limit`` is the most that it can write."""
    if is_claude(model):
        return _claude(reasoning, model, max_tokens, limit)
    if reasoning is None or reasoning == Reasoning():
        return Asked(max_tokens=max_tokens)
    wanted = reasoning.effort or effort_of(reasoning.budget_tokens or 0)
    if "nova-2" in model:
        return _nova(wanted, max_tokens)
    effort = nearest_effort(wanted, _THREE, of_two="lower")
    if "gpt-oss" in model:
        notes = (("reasoning", f"asked for {effort} effort"),) if effort != wanted else ()
        return Asked({"reasoning_effort": effort}, max_tokens=max_tokens, notes=notes)
    if wanted == "none":
        return Asked(max_tokens=max_tokens)
    note = "reasoning", "dropped: this model can't be told how much to think"
    return Asked(max_tokens=max_tokens, notes=(note,))


def _claude(
    reasoning: Reasoning | None, model: str, max_tokens: int | None, limit: int | None
) -> Asked:
    traits = traits_of(model)
    room = default_max_tokens(reasoning, limit, traits) if max_tokens is None else max_tokens
    asked = ask_for(reasoning, traits, room)
    budgeted = asked.thinking is not None and "budget_tokens" in asked.thinking
    notes = (("reasoning", asked.note),) if asked.note else ()
    fields: Json | None = {"thinking": asked.thinking} if asked.thinking else None
    # A budget must stay below the limit, so that this can't be left to the server.
    told = room if budgeted else max_tokens
    return Asked(fields, asked.effort, told, asked.on, notes, traits)


def _nova(wanted: Effort, max_tokens: int | None) -> Asked:
    if wanted == "none":
        return Asked({"reasoningConfig": {"type": "disabled"}}, None, max_tokens)
    effort = nearest_effort(wanted, _THREE, of_two="lower")
    config = {"type": "enabled", "maxReasoningEffort": effort}
    notes = [("reasoning", f"asked for {effort} effort")] if effort != wanted else []
    if effort == "high":  # then neither a limit nor samplers may be set
        notes += [("max_tokens", "dropped: it can't be combined with high effort")] * bool(
            max_tokens
        )
        max_tokens = None
    traits = Traits(samplers=0 if effort == "high" else 2)
    return Asked({"reasoningConfig": config}, None, max_tokens, False, tuple(notes), traits)


def read_thinking(more: Fields, effort: Effort | None) -> Reasoning | None:
    """The wish in the fields of any family; they are taken out."""
    thinking, config = more.take_object("thinking"), more.take_object("reasoningConfig")
    told = more.take("reasoning_effort", _EFFORT, None) or effort
    if thinking is not None:
        return _read_claude(thinking, told)
    if config is not None:
        on = config.take("type", str, "") == "enabled"
        return Reasoning(config.take("maxReasoningEffort", _EFFORT, "medium") if on else "none")
    return Reasoning(told) if told else None


def _read_claude(thinking: Fields, effort: Effort | None) -> Reasoning:
    match thinking.take("type", str):
        case "disabled":
            return Reasoning("none")
        case "enabled":
            return Reasoning(effort, thinking.take("budget_tokens", int))
        case "adaptive":
            return Reasoning(effort or "high")  # the API's default
        case other:
            raise thinking.wrong("type", f"{other!r} is not known")
