"""What is asked: one request, whoever it goes to."""

from typing import Any, Literal, TypeAlias

import msgspec

from polyvox.messages import CacheHint, Message, Text

Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def _no_parameters() -> dict[str, Any]:
    return {"type": "object", "properties": {}}


class ToolDefinition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tool that the model may call.

    ``parameters`` is a JSON schema of type "object". ``strict`` asks the provider to hold the model
    to the schema, where it can.

    >>> weather = ToolDefinition(
    ...     "weather",
    ...     "The weather in a city.",
    ...     {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ... )
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = msgspec.field(default_factory=_no_parameters)
    strict: bool | None = None
    cache: CacheHint | None = None


class NamedTool(msgspec.Struct, frozen=True):
    """A tool choice: the model must call this tool."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool


class ResponseFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """Ask for JSON: of this JSON schema, or any object when ``schema`` is None."""

    schema: dict[str, Any] | None = None
    name: str = "answer"
    description: str = ""
    strict: bool = True


class Reasoning(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much the model shall think: on the effort scale, or as a budget in tokens."""

    effort: Effort | None = None
    budget_tokens: int | None = None


class Request(msgspec.Struct, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """One request to a model.

    None means "not said": the provider's default holds. ``temperature`` and ``top_p`` are
    dimensionless, ``max_tokens`` counts all output (reasoning too). ``cache`` asks the provider to
    cache the whole prompt of this request; "auto" lets the dialect mark what is likely to come again,
    beside the marks that blocks have, and means nothing to a provider that caches by itself.
    ``options`` are vendor fields, by provider or dialect name, and go into the body untouched:
    ``{"openai": {"service_tier": "flex"}}``.
    """

    messages: list[Message]
    model: str = ""
    system: list[Text] = []
    tools: list[ToolDefinition] = []
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: list[str] = []
    seed: int | None = None
    reasoning: Reasoning | None = None
    cache: CacheHint | Literal["auto"] | None = None
    metadata: dict[str, str] = {}
    options: dict[str, dict[str, Any]] = {}
    stream: bool = True
