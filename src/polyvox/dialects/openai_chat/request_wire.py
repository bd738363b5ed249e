"""What is read of a request that a client sends. What stands here is understood; other fields of
the body are kept as vendor options.

After "Create chat completion" in OpenAI's API reference; fields that others added are named so.
"""

from typing import Any, Literal, TypeAlias

import msgspec

from polyvox.request import Effort


class CacheControl(msgspec.Struct):
    """Anthropic's mark, which OpenRouter and others take too."""

    ttl: str | None = None


class Part(msgspec.Struct, tag_field="type"):
    """A part of a message's content."""

    cache_control: CacheControl | None = None


class TextPart(Part, tag="text", kw_only=True):
    """Text."""

    text: str


class RefusalPart(Part, tag="refusal", kw_only=True):
    """A refusal that the assistant wrote earlier."""

    refusal: str


class ThinkingPart(Part, tag="thinking", kw_only=True):
    """Reasoning that the assistant wrote earlier (Mistral)."""

    thinking: list[TextPart]


class ImageUrl(msgspec.Struct):
    """A picture's address, or the picture itself as a data URL."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Part, tag="image_url", kw_only=True):
    """A picture."""

    image_url: ImageUrl | str  # Mistral: the URL itself


class FileData(msgspec.Struct):
    """A file as a data URL (OpenRouter: any URL), or the id of an upload."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str = ""


class FilePart(Part, tag="file", kw_only=True):
    """A file."""

    file: FileData | None = None
    file_id: str | None = None  # Mistral


class DocumentPart(Part, tag="document_url", kw_only=True):
    """A document by its URL, or as a data URL (Mistral)."""

    document_url: str
    document_name: str | None = None


class AudioData(msgspec.Struct):
    """Sound in base64, and the word for its format."""

    data: str
    format: str


class AudioPart(Part, tag="input_audio", kw_only=True):
    """Sound."""

    input_audio: AudioData | str  # Mistral: the base64, or a URL


AnyPart: TypeAlias = TextPart | ImagePart | FilePart | DocumentPart | AudioPart
SaidPart: TypeAlias = TextPart | RefusalPart | ThinkingPart


class CallFunction(msgspec.Struct):
    """The function of a tool call."""

    name: str
    arguments: str = ""


class Call(msgspec.Struct):
    """A tool call that the assistant made earlier."""

    id: str
    function: CallFunction
    extra_content: dict[str, Any] | None = None  # Gemini


class Instructions(msgspec.Struct, tag_field="role", tag="system"):
    """A system message."""

    content: str | list[TextPart]


class DeveloperInstructions(Instructions, tag="developer"):
    """The same, under its newer name."""


class Asked(msgspec.Struct, tag_field="role", tag="user"):
    """A user message."""

    content: str | list[AnyPart]


class Said(msgspec.Struct, tag_field="role", tag="assistant"):
    """An assistant message."""

    content: str | list[SaidPart] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    reasoning_content: str | None = None  # DeepSeek, and many after it
    reasoning: str | None = None  # OpenRouter, Groq, Together
    reasoning_details: list[dict[str, Any]] | None = None  # OpenRouter


class Result(msgspec.Struct, tag_field="role", tag="tool"):
    """A tool's result."""

    tool_call_id: str
    content: str | list[AnyPart]
    name: str = ""  # Mistral


AnyMessage: TypeAlias = Instructions | DeveloperInstructions | Asked | Said | Result


class ToolFunction(msgspec.Struct):
    """The function that a tool is."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct):
    """A tool that the model may call."""

    function: ToolFunction
    type: Literal["function"] = "function"
    cache_control: CacheControl | None = None


class Chosen(msgspec.Struct):
    """The function that must be called."""

    name: str


class ChosenTool(msgspec.Struct, tag_field="type", tag="function"):
    """A tool choice by name."""

    function: Chosen


class JsonSchema(msgspec.Struct):
    """The schema of a structured answer."""

    name: str = "answer"
    description: str | None = None
    schema_: dict[str, Any] | None = msgspec.field(default=None, name="schema")
    strict: bool | None = None


class AnswerFormat(msgspec.Struct):
    """``response_format``."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class WireRequest(msgspec.Struct):
    """The body, as far as it is understood."""

    model: str
    messages: list[AnyMessage]
    stream: bool | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["auto", "none", "required", "any"] | ChosenTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: AnswerFormat | None = None
    reasoning_effort: Effort | None = None
    metadata: dict[str, str] | None = None
