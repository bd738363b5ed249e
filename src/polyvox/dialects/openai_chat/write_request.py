"""Requests, written: every wish of a ``Request`` in the words that the target understands.

Sources: "Create chat completion" in OpenAI's API reference, and the providers' own pages where a
quirk says that they differ. The order of fields is fixed: the same request gives the same bytes.
"""

from typing import Any

from polyvox import jsontext
from polyvox.dialects.base import Target, auth_headers, merge_options
from polyvox.dialects.openai_chat.cache import cache_mark, mark_automatically, settle_marks
from polyvox.dialects.openai_chat.effort import beside_tools, write_reasoning
from polyvox.dialects.openai_chat.write_messages import write_messages
from polyvox.dialects.openai_notes import dropped_wishes, takes_sampling, tool_fields
from polyvox.dialects.strict import as_openai_takes_it
from polyvox.errors import BadRequestError
from polyvox.handover import mend_request
from polyvox.http import HttpRequest
from polyvox.request import Request, ResponseFormat, ToolDefinition


def encode_request(request: Request, target: Target) -> HttpRequest:
    """The HTTP request. Raises ``BadRequestError`` naming the field that can't be carried."""
    request, mended = mend_request(request)
    request, muted = beside_tools(request, target.quirks)
    reasoning = write_reasoning(request.reasoning, target.quirks, request.max_tokens)
    body: dict[str, Any] = {
        "model": target.model,
        "messages": write_messages(request, target),
        **_streaming(request, target),
        **_sampling(request, target),
        **tool_fields(request, target, _tool, _named),
        **reasoning.fields,
    }
    if request.cache == "auto":
        mark_automatically(body["messages"], body.get("tools", []), target)
    unmarked: list[tuple[str, str]] = []
    if target.quirks.cache_control:  # else nothing bears a mark
        unmarked = settle_marks(body["messages"], body.get("tools", []))
    if request.response_format:
        body["response_format"] = _response_format(request.response_format, target)
    if request.metadata and target.quirks.metadata:
        body["metadata"] = request.metadata
    merge_options(body, request, "openai-chat", target.provider)
    dropped = dropped_wishes(request, target, cache_marks=target.quirks.cache_control)
    return HttpRequest(
        "POST",
        target.base_url.rstrip("/") + "/chat/completions",
        {"content-type": "application/json", **auth_headers(target)},
        jsontext.encode(body),
        dropped=(*mended, *dropped, *unmarked, *muted, *reasoning.notes),
    )


def _streaming(request: Request, target: Target) -> dict[str, Any]:
    if not request.stream:
        return {}
    if not target.quirks.usage_in_stream:
        return {"stream": True}
    return {"stream": True, "stream_options": {"include_usage": True}}


def _sampling(request: Request, target: Target) -> dict[str, Any]:
    quirks = target.quirks
    sampling = takes_sampling(request, quirks)
    if quirks.stop and quirks.most_stops is not None and len(request.stop) > quirks.most_stops:
        raise BadRequestError(
            f"stop holds {len(request.stop)} strings; {target.producer} takes {quirks.most_stops}",
            hint="Leave some out, and cut the answer at them yourself.",
        )
    wishes: dict[str, Any] = {}
    if request.max_tokens is not None:
        wishes[quirks.max_tokens_field] = request.max_tokens
    if request.temperature is not None and sampling:
        wishes["temperature"] = request.temperature
    if request.top_p is not None and sampling:
        wishes["top_p"] = request.top_p
    if request.stop and quirks.stop:
        wishes["stop"] = request.stop
    if request.seed is not None and quirks.seed:
        wishes[quirks.seed_field] = request.seed
    return wishes


def _tool(tool: ToolDefinition, target: Target) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None and target.quirks.strict_tools:
        function["strict"] = tool.strict
    return {"type": "function", "function": function, **cache_mark(tool.cache, target)}


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def _response_format(wanted: ResponseFormat, target: Target) -> dict[str, Any]:
    if wanted.schema is None or not target.quirks.json_schema:
        return {"type": "json_object"}
    wanted, _ = as_openai_takes_it(wanted)
    described = {"description": wanted.description} if wanted.description else {}
    schema = {"name": wanted.name, **described, "schema": wanted.schema, "strict": wanted.strict}
    return {"type": "json_schema", "json_schema": schema}
