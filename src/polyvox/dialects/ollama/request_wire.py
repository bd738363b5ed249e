"""What is read of a request that a client sends. What stands here is understood; other fields of
the body, and of its ``options``, are kept as vendor options.

After "Generate a chat message" and "Generate a response" in Ollama's API documentation.
"""

from typing import Any, Literal, TypeAlias

import msgspec

Think: TypeAlias = bool | Literal["low", "medium", "high", "max"]


class CallFunction(msgspec.Struct):
    """The function of a tool call; its arguments are an object, or JSON text from careless clients."""

    name: str
    arguments: dict[str, Any] | str | None = None


class Call(msgspec.Struct):
    """A tool call that the assistant made earlier. Ollama's own client leaves its id out."""

    function: CallFunction
    id: str | None = None


class WireMessage(msgspec.Struct):
    """A message of any role. Pictures are in base64."""

    role: str
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class ToolFunction(msgspec.Struct):
    """The function that a tool is."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(msgspec.Struct):
    """A tool that the model may call."""

    function: ToolFunction


class Options(msgspec.Struct):
    """The part of ``options`` that has a name of ours."""

    num_predict: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None


class Asked(msgspec.Struct):
    """What both endpoints take."""

    model: str
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    think: Think | None = None
    options: dict[str, Any] | None = None


class ChatAsked(Asked):
    """The body of ``/api/chat``."""

    messages: list[WireMessage] | None = None
    tools: list[Tool] | None = None


class GenerateAsked(Asked):
    """The body of ``/api/generate``."""

    prompt: str | None = None
    system: str | None = None
    images: list[str] | None = None
