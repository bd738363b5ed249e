"""Requests, written: every wish of a ``Request`` in the words that the target understands.

Sources: "Create chat completion" in OpenAI's API reference, and the providers' own pages where a
quirk says that they differ. The order of fields is fixed: the same request gives the same bytes.
"""

from collections.abc import Iterator
from typing import Any

from polyvox import jsontext
from polyvox.dialects.base import Target, auth_headers, merge_options
from polyvox.dialects.openai_chat.cache import cache_mark, mark_automatically
from polyvox.dialects.openai_chat.effort import write_reasoning
from polyvox.dialects.openai_chat.write_messages import write_messages
from polyvox.dialects.schema import as_openai_takes_it
from polyvox.handover import mend_request
from polyvox.http import HttpRequest
from polyvox.messages import AssistantMessage, Image, ToolCall, ToolMessage
from polyvox.request import NamedTool, Request, ResponseFormat, ToolChoice, ToolDefinition


def encode_request(request: Request, target: Target) -> HttpRequest:
    """The HTTP request. Raises ``BadRequestError`` naming the field that can't be carried."""
    request, mended = mend_request(request)
    reasoning = write_reasoning(request.reasoning, target.quirks, request.max_tokens)
    body: dict[str, Any] = {
        "model": target.model,
        "messages": write_messages(request, target),
        **_streaming(request, target),
        **_sampling(request, target),
        **_tools(request, target),
        **reasoning.fields,
    }
    if request.cache == "auto":
        mark_automatically(body["messages"], body.get("tools", []), target)
    if request.response_format:
        body["response_format"] = _response_format(request.response_format, target)
    if request.metadata and target.quirks.metadata:
        body["metadata"] = request.metadata
    merge_options(body, request, "openai-chat", target.provider)
    return HttpRequest(
        "POST",
        target.base_url.rstrip("/") + "/chat/completions",
        {"content-type": "application/json", **auth_headers(target)},
        jsontext.encode(body),
        dropped=(*mended, *_dropped(request, target), *reasoning.notes),
    )


def _streaming(request: Request, target: Target) -> dict[str, Any]:
    if not request.stream:
        return {}
    if not target.quirks.usage_in_stream:
        return {"stream": True}
    return {"stream": True, "stream_options": {"include_usage": True}}


def _sampling(request: Request, target: Target) -> dict[str, Any]:
    quirks = target.quirks
    wishes = {
        quirks.max_tokens_field: request.max_tokens,
        "temperature": request.temperature if quirks.sampling else None,
        "top_p": request.top_p if quirks.sampling else None,
        "stop": request.stop or None,
        quirks.seed_field: request.seed if quirks.seed else None,
    }
    return {name: value for name, value in wishes.items() if value is not None}


def _tools(request: Request, target: Target) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.tools:
        fields["tools"] = [_tool(tool, target) for tool in request.tools]
    if request.tool_choice is not None:
        fields["tool_choice"] = _tool_choice(request.tool_choice, target)
    if request.parallel_tool_calls is not None and target.quirks.parallel_tool_calls:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _tool(tool: ToolDefinition, target: Target) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None and target.quirks.strict_tools:
        function["strict"] = tool.strict
    return {"type": "function", "function": function, **cache_mark(tool.cache, target)}


def _tool_choice(choice: ToolChoice, target: Target) -> Any:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return target.quirks.tool_choice_required if choice == "required" else choice


def _response_format(wanted: ResponseFormat, target: Target) -> dict[str, Any]:
    if wanted.schema is None or not target.quirks.json_schema:
        return {"type": "json_object"}
    wanted, _ = as_openai_takes_it(wanted)
    described = {"description": wanted.description} if wanted.description else {}
    schema = {"name": wanted.name, **described, "schema": wanted.schema, "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}


def _dropped(request: Request, target: Target) -> Iterator[tuple[str, str]]:
    """(field, what became of it) for each wish that this target can't be told."""
    quirks, name = target.quirks, target.producer
    understood = {
        "temperature": quirks.sampling,
        "top_p": quirks.sampling,
        "seed": quirks.seed,
        "parallel_tool_calls": quirks.parallel_tool_calls,
        "metadata": quirks.metadata,
    }
    for field, taken in understood.items():
        if not taken and getattr(request, field) not in (None, {}):
            yield field, f"not sent: {name} does not take it"
    if request.response_format and request.response_format.schema:
        if quirks.json_schema:
            yield from as_openai_takes_it(request.response_format)[1]
        else:
            about = f"not sent: {name} takes no schema; any JSON is asked for"
            yield "response_format.schema", about
    if not quirks.strict_tools and any(tool.strict for tool in request.tools):
        yield "tools[].strict", f"not sent: {name} does not take it"
    if not quirks.cache_control and _cache_hints(request):
        yield "cache", f"not sent: {name} caches by itself, or not at all"
    yield from _dropped_blocks(request)


def _cache_hints(request: Request) -> bool:
    blocks = [*request.system, *request.tools]
    for message in request.messages:
        blocks += [message] if isinstance(message, ToolMessage) else []
        blocks += message.content
    return request.cache not in (None, "auto") or any(block.cache for block in blocks)


def _dropped_blocks(request: Request) -> Iterator[tuple[str, str]]:
    for place, message in enumerate(request.messages):
        if not isinstance(message, AssistantMessage):
            continue
        for index, block in enumerate(message.content):
            if isinstance(block, ToolCall) and not block.executable:
                field = f"messages[{place}].content[{index}].arguments"
                yield field, "broke off and are no JSON: sent as {}"
            elif isinstance(block, Image):
                field = f"messages[{place}].content[{index}]"
                yield field, "not sent: this format has no place for pictures of the assistant"
