"""The server half, inwards: the body that a client sends as a ``Request``.

From the page "Create a Message" of Anthropic's API documentation, in the forms that the official
SDKs send. What our vocabulary has no word for is kept in ``options["anthropic-messages"]``, in the
shape in which the client half lays it over the body again.
"""

from typing import Any

from polyvox.dialects.anthropic_messages.blocks_in import (
    plain_texts,
    read_blocks,
    read_cache,
    read_content,
)
from polyvox.dialects.anthropic_messages.wire import NAME, Json
from polyvox.dialects.base import ANYWHERE, Place
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

__all__ = ["read_request"]

_EFFORT: Any = Effort


def read_request(body: bytes, place: Place = ANYWHERE) -> Request:
    """The request, wherever it came in. Raises ``BadRequestError`` naming the field that is wrong."""
    fields = Fields.parse(body)
    options: Json = {}
    tools = _read_tools(fields, options)
    tool_choice, parallel = _read_tool_choice(fields)
    reasoning, response_format = _read_output(fields, options)
    request = Request(
        model=fields.take("model", str),
        messages=TurnReader(read_content, read_blocks, _read_result, plain_texts).read(fields),
        system=read_blocks(read_content(fields, "system"), (Text,)),
        tools=tools,
        tool_choice=tool_choice,
        parallel_tool_calls=parallel,
        response_format=response_format,
        max_tokens=fields.take("max_tokens", int, None),
        temperature=fields.take("temperature", float, None),
        top_p=fields.take("top_p", float, None),
        stop=fields.take("stop_sequences", list[str], []),
        reasoning=reasoning,
        cache=read_cache(fields),
        metadata=_read_metadata(fields, options),
        stream=fields.take("stream", bool, False),
    )
    options.update(fields.rest)
    if options:
        request.options = {NAME: options}
    return request


def _read_result(block: Fields) -> ToolMessage | None:
    """The result of a tool, if the block is one."""
    if block.rest.get("type") != "tool_result":
        return None
    id = block.take("tool_use_id", str)
    content = read_blocks(read_content(block), GIVEN)
    is_error = block.take("is_error", bool, False)
    return ToolMessage(id, content, is_error=is_error, cache=read_cache(block))


# ------------------------------------------------------------------------------------------ tools


def _read_tools(fields: Fields, options: Json) -> list[ToolDefinition]:
    tools: list[ToolDefinition] = []
    kept: list[Json] = []
    for each in fields.take_list("tools"):
        kind = each.take("type", str, "custom")
        if kind != "custom":  # one that the server runs
            kept.append({"type": kind, **each.rest})
            continue
        tool = _read_tool(each)
        tools.append(tool)
        if each.rest:
            kept.append({"name": tool.name, **each.rest})
    if kept:
        options["tools"] = kept
    return tools


def _read_tool(fields: Fields) -> ToolDefinition:
    return ToolDefinition(
        name=fields.take("name", str),
        description=fields.take("description", str, ""),
        parameters=fields.take("input_schema", dict[str, Any]),
        strict=fields.take("strict", bool, None),
        cache=read_cache(fields),
    )


def _read_tool_choice(fields: Fields) -> tuple[ToolChoice | None, bool | None]:
    choice = fields.take_object("tool_choice")
    if choice is None:
        return None, None
    disabled = choice.take("disable_parallel_tool_use", bool, None)
    parallel = None if disabled is None else not disabled
    match choice.take("type", str):
        case "auto":
            return "auto", parallel
        case "any":
            return "required", parallel
        case "none":
            return "none", parallel
        case "tool":
            return NamedTool(choice.take("name", str)), parallel
        case other:
            raise choice.wrong("type", f"{other!r} is not known")


# ----------------------------------------------------------------------------------------- output


def _read_output(fields: Fields, options: Json) -> tuple[Reasoning | None, ResponseFormat | None]:
    """``thinking`` and ``output_config``."""
    if "thinking" not in fields.rest and "output_config" not in fields.rest:
        return None, None
    output = fields.take_object("output_config") or Fields({}, "output_config")
    effort: Effort | None = output.take("effort", _EFFORT, None)
    schema = output.take_object("format")
    response_format = None
    if schema is not None:
        if schema.take("type", str) != "json_schema":
            raise schema.wrong("type", "only 'json_schema' is known")
        response_format = ResponseFormat(schema.take("schema", dict[str, Any]))
    if output.rest:
        options["output_config"] = output.rest
    return _read_reasoning(fields, effort, options), response_format


def _read_reasoning(fields: Fields, effort: Effort | None, options: Json) -> Reasoning | None:
    thinking = fields.take_object("thinking") or Fields({}, "thinking")
    kind = thinking.take("type", str, None)
    reasoning = None if effort is None else Reasoning(effort)
    match kind:
        case None:
            pass
        case "disabled":
            reasoning = Reasoning("none")
            if effort:  # it also governs how much is written
                options.setdefault("output_config", {})["effort"] = effort
        case "enabled":
            reasoning = Reasoning(effort, thinking.take("budget_tokens", int))
        case "adaptive":
            reasoning = Reasoning(effort or "high")  # the API's default
        case _:
            thinking.rest["type"] = kind
    if thinking.rest:
        options["thinking"] = thinking.rest
    return reasoning


def _read_metadata(fields: Fields, options: Json) -> dict[str, str]:
    metadata = fields.take_object("metadata")
    if metadata is None:
        return {}
    user_id = metadata.take("user_id", str, None)
    if metadata.rest:
        options["metadata"] = metadata.rest
    return {} if user_id is None else {"user_id": user_id}
