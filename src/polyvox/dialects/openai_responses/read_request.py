"""Requests, read: what OpenAI's SDKs and others send to a server of this dialect."""

from typing import Any, Literal

import msgspec

from polyvox.dialects.base import ANYWHERE, Place
from polyvox.dialects.convert import convert, read_object
from polyvox.dialects.openai_responses.items import NAME
from polyvox.dialects.openai_responses.read_input import read_input
from polyvox.dialects.openai_responses.wire import Json
from polyvox.errors import BadRequestError
from polyvox.messages import SystemMessage, Text
from polyvox.request import (
    Effort,
    NamedTool,
    Reasoning,
    Request,
    ResponseFormat,
    ToolChoice,
    ToolDefinition,
)


class _Function(msgspec.Struct):
    """A tool that is a function."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Reasoning(msgspec.Struct):
    """``reasoning``."""

    effort: Effort | None = None


class _Format(msgspec.Struct):
    """``text.format``."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "answer"
    description: str | None = None
    schema_: dict[str, Any] | None = msgspec.field(default=None, name="schema")
    strict: bool | None = None


class _Text(msgspec.Struct):
    """``text``."""

    format: _Format | None = None


class _Body(msgspec.Struct):
    """The body, as far as it is understood. All else is kept as options."""

    model: str
    input: str | list[Json] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: list[Json] | None = None
    tool_choice: str | Json | None = None
    parallel_tool_calls: bool | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    metadata: dict[str, str] | None = None


_UNDERSTOOD = frozenset(_Body.__struct_fields__)
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")


def decode_request(body: bytes, place: Place = ANYWHERE) -> Request:
    """The request, wherever it came in. Raises ``BadRequestError`` naming the field that is wrong."""
    fields = read_object(body)
    read = convert(fields, _Body)
    options = _options(fields, read)
    messages = read_input(read.input or [])
    if not messages and not any(fields.get(name) for name in _ELSEWHERE):
        raise BadRequestError("input: there is none")
    system = [Text(read.instructions)] if read.instructions else []
    first = messages[0] if messages and not system else None
    if isinstance(first, SystemMessage):
        system = first.content
        messages.pop(0)
    return Request(
        messages=messages,
        model=read.model,
        system=system,
        tools=[
            _tool(tool, index)
            for index, tool in enumerate(read.tools or ())
            if tool.get("type") == "function"
        ],
        tool_choice=_tool_choice(read.tool_choice),
        parallel_tool_calls=read.parallel_tool_calls,
        response_format=_response_format(read.text),
        max_tokens=read.max_output_tokens,
        temperature=read.temperature,
        top_p=read.top_p,
        reasoning=_reasoning(read.reasoning),
        metadata=read.metadata or {},
        options={NAME: options} if options else {},
        stream=bool(read.stream),
    )


def _options(fields: Json, read: _Body) -> Json:
    """What is not ours to understand, so that it goes on to a provider of this dialect untouched.

    That includes tools of the provider's own, for whose sake all tools are kept.
    """
    options = {name: value for name, value in fields.items() if name not in _UNDERSTOOD}
    for name, own in (("reasoning", "effort"), ("text", "format")):
        given: Json = fields.get(name) or {}
        rest = {key: value for key, value in given.items() if key != own}
        if rest:
            options[name] = rest
    if any(tool.get("type") != "function" for tool in read.tools or ()):
        options["tools"] = read.tools
    if isinstance(read.tool_choice, dict) and read.tool_choice.get("type") != "function":
        options["tool_choice"] = read.tool_choice
    return options


def _reasoning(wanted: _Reasoning | None) -> Reasoning | None:
    return Reasoning(wanted.effort) if wanted and wanted.effort else None


def _tool(fields: Json, index: int) -> ToolDefinition:
    function = convert(fields, _Function, f"tools[{index}]")
    tool = ToolDefinition(function.name, function.description or "", strict=function.strict)
    if function.parameters is None:
        return tool
    return msgspec.structs.replace(tool, parameters=function.parameters)


def _tool_choice(choice: str | Json | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case "auto" | "none" | "required":
            return choice
        case {"type": "function", "name": str(name)}:
            return NamedTool(name)
        case dict() if choice.get("type") != "function":
            return None
        case _:
            raise BadRequestError(f"tool_choice: {choice!r} is none")


def _response_format(text: _Text | None) -> ResponseFormat | None:
    wanted = text and text.format
    if not wanted or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ResponseFormat()
    if wanted.schema_ is None:
        raise BadRequestError("text.format.schema: is missing")
    return ResponseFormat(
        wanted.schema_, wanted.name, wanted.description or "", strict=bool(wanted.strict)
    )
