"""The server half, inwards: the body that a client sends as a ``Request``.

From the page "Converse" of the Amazon Bedrock API reference. What our vocabulary has no word for is
kept in ``options["bedrock-converse"]``, in the shape in which the client half lays it over the body
again.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.bedrock_converse.blocks_in import read_blocks, read_cache, with_caches
from polyvox.dialects.bedrock_converse.prompt_out import GONE
from polyvox.dialects.bedrock_converse.reasoning import read_thinking
from polyvox.dialects.bedrock_converse.request_out import STOP_PATH
from polyvox.dialects.bedrock_converse.wire import NAME, Json
from polyvox.dialects.fields import Fields
from polyvox.dialects.read_turns import GIVEN, TurnReader
from polyvox.messages import Text, ToolMessage
from polyvox.request import (
    Effort,
    NamedTool,
    Reasoning,
    Request,
    ResponseFormat,
    ToolChoice,
    ToolDefinition,
)

__all__ = ["read_counted", "read_request"]

_EFFORT: Any = Effort


def read_counted(body: bytes, model: str) -> Request:
    """The prompt in the body of a call that counts its tokens."""
    given = Fields.parse(body).take_object("input")
    converse = None if given is None else given.take_object("converse")
    if converse is None:
        raise Fields({}).wrong("input.converse", "is missing; only such prompts are counted here")
    return _read(converse, model, stream=False)


def read_request(body: bytes, model: str, stream: bool) -> Request:
    """The request in this body. Raises ``BadRequestError`` naming the field that is wrong."""
    return _read(Fields.parse(body), model, stream=stream)


def _read(fields: Fields, model: str, *, stream: bool) -> Request:
    options: Json = {}
    tools, choice = _read_tools(fields, options)
    infer = fields.take_object("inferenceConfig") or Fields({}, "inferenceConfig")
    reasoning, response_format = _read_output(fields, options)
    stop = infer.take("stopSequences", list[str], [])
    if stop and fields.rest.get("additionalModelResponseFieldPaths") == [STOP_PATH]:
        del fields.rest["additionalModelResponseFieldPaths"]
    request = Request(
        model=model,
        messages=TurnReader(_content, read_blocks, _read_result).read(fields),
        system=read_blocks(with_caches(fields.take_list("system")), (Text,)),
        tools=tools,
        tool_choice=choice,
        response_format=response_format,
        max_tokens=infer.take("maxTokens", int, None),
        temperature=infer.take("temperature", float, None),
        top_p=infer.take("topP", float, None),
        stop=stop,
        reasoning=reasoning,
        metadata=fields.take("requestMetadata", dict[str, str], {}),
        stream=stream,
    )
    if infer.rest:
        options["inferenceConfig"] = infer.rest
    options.update(fields.rest)
    if options:
        request.options = {NAME: options}
    return request


def _content(turn: Fields) -> list[Fields]:
    return with_caches(turn.take_list("content"))


def _read_result(block: Fields) -> ToolMessage | None:
    """The result of a tool, if the block is one."""
    result = block.take_object("toolResult")
    if result is None:
        return None
    id = result.take("toolUseId", str)
    content = read_blocks(result.take_list("content"), GIVEN)
    is_error = result.take("status", str, "success") == "error"
    return ToolMessage(id, content, is_error=is_error, cache=read_cache(block))


# ------------------------------------------------------------------------------------------ tools


def _read_tools(fields: Fields, options: Json) -> tuple[list[ToolDefinition], ToolChoice | None]:
    config = fields.take_object("toolConfig")
    if config is None:
        return [], None
    listed = with_caches(config.take_list("tools"))
    tools = [_read_tool(each) for each in listed if "toolSpec" in each.rest]
    choice = _read_choice(config)
    if others := [each.rest for each in listed if each.rest]:
        config.rest["tools"] = others
    if config.rest:
        options["toolConfig"] = config.rest
    return [tool for tool in tools if tool.description != GONE], choice


def _read_tool(fields: Fields) -> ToolDefinition:
    spec = fields.take_object("toolSpec") or Fields({})
    schema = spec.take_object("inputSchema") or Fields({}, spec.at("inputSchema"))
    return ToolDefinition(
        name=spec.take("name", str),
        description=spec.take("description", str, ""),
        parameters=schema.take("json", dict[str, Any]),
        strict=spec.take("strict", bool, None),
        cache=read_cache(fields),
    )


def _read_choice(config: Fields) -> ToolChoice | None:
    choice = config.take_object("toolChoice")
    if choice is None:
        return None
    if (named := choice.take_object("tool")) is not None:
        return NamedTool(named.take("name", str))
    if "any" in choice.rest:
        return "required"
    if "auto" in choice.rest:
        return "auto"
    raise config.wrong("toolChoice", "must have one of the fields auto, any, tool")


# ----------------------------------------------------------------------------------------- output


def _read_output(fields: Fields, options: Json) -> tuple[Reasoning | None, ResponseFormat | None]:
    """``additionalModelRequestFields`` and ``outputConfig``."""
    output = fields.take_object("outputConfig") or Fields({}, "outputConfig")
    more = fields.take_object("additionalModelRequestFields") or Fields({})
    effort: Effort | None = output.take("effort", _EFFORT, None)
    reasoning = read_thinking(more, effort)
    text = output.take_object("textFormat")
    response_format = None if text is None else _read_format(text)
    if output.rest:
        options["outputConfig"] = output.rest
    if more.rest:
        options["additionalModelRequestFields"] = more.rest
    return reasoning, response_format


def _read_format(text: Fields) -> ResponseFormat:
    structure = text.take_object("structure")
    definition = None if structure is None else structure.take_object("jsonSchema")
    if definition is None:
        raise text.wrong("structure", "must have the field jsonSchema")
    try:
        schema: Json = jsontext.decode(definition.take("schema", str), dict[str, Any])
    except msgspec.DecodeError as error:
        raise definition.wrong("schema", f"is no JSON of a schema: {error}") from None
    name, description = (
        definition.take("name", str, "answer"),
        definition.take("description", str, ""),
    )
    return ResponseFormat(schema, name, description)
