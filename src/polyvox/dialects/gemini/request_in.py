"""The server half, inwards: the body of a call as a ``Request``.

From "Generating content" and "Counting tokens" in the Gemini API reference. Fields that our
vocabulary has no word for are kept in ``options["gemini"]``; the client half lays them over the body
again.
"""

from typing import Any
from urllib.parse import parse_qs

from polyvox.dialects.base import ANYWHERE, Place
from polyvox.dialects.gemini.fields import Fields
from polyvox.dialects.gemini.parts_in import ConversationReader, in_one, read_text
from polyvox.dialects.gemini.schema import from_openapi
from polyvox.dialects.gemini.thinking import read_thinking
from polyvox.dialects.gemini.wire import NAME, Json
from polyvox.messages import Message
from polyvox.request import (
    NamedTool,
    Reasoning,
    Request,
    ResponseFormat,
    ToolChoice,
    ToolDefinition,
)

__all__ = ["read_request"]

_CHOICES: dict[str, ToolChoice] = {"AUTO": "auto", "ANY": "required", "NONE": "none"}


def read_request(body: bytes, place: Place = ANYWHERE) -> Request:
    """The request in this body. Raises ``BadRequestError`` naming the field that is wrong."""
    fields = Fields.parse(body)
    inner = fields.take_object("generateContentRequest")  # of a call that only counts tokens
    fields = inner or fields
    model = fields.take("model", str, "")
    options: Json = {}
    system = fields.take_object("systemInstruction")
    config = fields.take_object("generationConfig") or Fields({}, "generationConfig")
    request = Request(
        model=place.model or model.removeprefix("models/"),
        messages=_read_contents(fields),
        system=read_text(system) if system else [],
        tools=_read_tools(fields, options),
        tool_choice=_read_tool_choice(fields, options),
        response_format=_read_format(config),
        max_tokens=config.take("maxOutputTokens", int, None),
        temperature=config.take("temperature", float, None),
        top_p=config.take("topP", float, None),
        stop=config.take("stopSequences", list[str], []),
        seed=config.take("seed", int, None),
        reasoning=_read_reasoning(config),
        stream=bool(place.stream),
    )
    if config.rest:
        options["generationConfig"] = config.rest
    options.update(fields.rest)
    if place.stream and "sse" not in parse_qs(place.query).get("alt", ()):
        options["alt"] = "json"
    if options:
        request.options = {NAME: options}
    return request


def _read_contents(fields: Fields) -> list[Message]:
    if "contents" not in fields.rest:
        raise fields.wrong("contents", "is missing")
    reader = ConversationReader()
    return in_one(message for each in fields.take_list("contents") for message in reader.read(each))


def _read_tools(fields: Fields, options: Json) -> list[ToolDefinition]:
    """The client's functions; tools that the API runs itself stay in the options."""
    tools: list[ToolDefinition] = []
    kept: list[Json] = []
    for each in fields.take_list("tools"):
        tools += [_read_tool(function) for function in each.take_list("functionDeclarations")]
        if each.rest:
            kept.append(each.rest)
    if kept:
        options["tools"] = kept
    return tools


def _read_tool(fields: Fields) -> ToolDefinition:
    name, description = fields.take("name", str), fields.take("description", str, "")
    schema: Json | None = fields.take("parametersJsonSchema", dict[str, Any], None)
    if schema is None:
        schema = from_openapi(fields.take("parameters", dict[str, Any], None))
    if schema is None:
        return ToolDefinition(name, description)
    return ToolDefinition(name, description, schema)


def _read_tool_choice(fields: Fields, options: Json) -> ToolChoice | None:
    config = fields.take_object("toolConfig")
    if config is None:
        return None
    calling = config.take_object("functionCallingConfig")
    choice: ToolChoice | None = None
    if calling is not None:
        mode = calling.take("mode", str, "AUTO").upper()
        allowed = calling.take("allowedFunctionNames", list[str], [])
        choice = _CHOICES.get(mode)
        if mode == "ANY" and len(allowed) == 1:
            choice = NamedTool(allowed[0])
        elif allowed or choice is None:
            kept: Json = {"mode": mode, **calling.rest}
            if allowed:
                kept["allowedFunctionNames"] = allowed
            config.rest["functionCallingConfig"] = kept
    if config.rest:
        options["toolConfig"] = config.rest
    return choice


def _read_format(config: Fields) -> ResponseFormat | None:
    """JSON of a schema, in one of the two kinds of schemas, or of any shape."""
    if config.rest.get("responseMimeType") != "application/json":
        return None
    del config.rest["responseMimeType"]
    schema: Json | None = config.take("responseJsonSchema", dict[str, Any], None)
    if schema is None:
        schema = from_openapi(config.take("responseSchema", dict[str, Any], None))
    return ResponseFormat(schema)


def _read_reasoning(config: Fields) -> Reasoning | None:
    thinking = config.take_object("thinkingConfig")
    if thinking is None:
        return None
    reasoning, rest = read_thinking(thinking.rest)
    if rest:
        config.rest["thinkingConfig"] = rest
    return reasoning
