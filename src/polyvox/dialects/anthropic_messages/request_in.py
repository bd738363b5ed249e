"""The server half, inwards: the body that a client sends as a ``Request``.

From the page "Create a Message" of Anthropic's API documentation, in the forms that the official
SDKs send. What our vocabulary has no word for is kept in ``options["anthropic-messages"]``, in the
shape in which the client half lays it over the body again.
"""

from typing import Any

from polyvox.dialects.anthropic_messages.blocks_in import read_blocks, read_cache, read_content
from polyvox.dialects.anthropic_messages.wire import NAME, Json
from polyvox.dialects.fields import Fields
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
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


def read_request(body: bytes) -> Request:
    """The request in this body. Raises ``BadRequestError`` naming the field that is wrong."""
    fields = Fields.parse(body)
    options: Json = {}
    tools = _read_tools(fields, options)
    tool_choice, parallel = _read_tool_choice(fields)
    reasoning, response_format = _read_output(fields, options)
    request = Request(
        model=fields.take("model", str),
        messages=_read_messages(fields),
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


# --------------------------------------------------------------------------------------- messages


def _read_messages(fields: Fields) -> list[Message]:
    if "messages" not in fields.rest:
        raise fields.wrong("messages", "is missing")
    messages: list[Message] = []
    names: dict[str, str] = {}  # of the tools called so far, by call id
    for each in fields.take_list("messages"):
        role, blocks = each.take("role", str), read_content(each)
        if role == "user":
            messages += _read_user(blocks, names)
        elif role == "assistant":
            said = AssistantMessage(read_blocks(blocks, (Text, Thinking, ToolCall)))
            names.update({call.id: call.name for call in said.tool_calls})
            messages.append(said)
        elif role == "system":
            messages.append(SystemMessage(read_blocks(blocks, (Text,))))
        else:
            raise each.wrong("role", f"{role!r} is neither 'user' nor 'assistant'")
    return messages


def _read_user(blocks: list[Fields], names: dict[str, str]) -> list[Message]:
    """A user's turn: tool results are messages of their own, what stands between them another."""
    messages: list[Message] = []
    content: list[Fields] = []
    for block in blocks:
        if block.rest.get("type") != "tool_result":
            content.append(block)
            continue
        messages += _spoken(content)
        content = []
        messages.append(_read_result(block, names))
    return [*messages, *_spoken(content)]


def _spoken(blocks: list[Fields]) -> list[Message]:
    return [UserMessage(read_blocks(blocks, (Text, Image, File)))] if blocks else []


def _read_result(fields: Fields, names: dict[str, str]) -> Message:
    id = fields.take("tool_use_id", str)
    content = read_blocks(read_content(fields), (Text, Image, File))
    is_error = fields.take("is_error", bool, False)
    return ToolMessage(id, content, names.get(id, ""), is_error, read_cache(fields))


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
