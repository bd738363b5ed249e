"""Requests, written: every wish of a ``Request`` in Ollama's words.

Sources: "Generate a chat message", "Generate a response", "Thinking", "Structured Outputs" and "Tool
calling" in Ollama's documentation. The order of fields is fixed: the same request gives the same
bytes. Vendor options lie over the body: ``{"ollama": {"keep_alive": "1h", "options": {"num_ctx":
32768}}}``.
"""

from collections.abc import Iterator
from typing import Any

from polyvox import jsontext
from polyvox.dialects.base import Target, auth_headers, merge_options
from polyvox.dialects.cache import has_marks
from polyvox.dialects.effort import effort_of, nearest_effort
from polyvox.dialects.ollama.endpoint import CHAT, GENERATE, OPTION, is_generate
from polyvox.dialects.ollama.write_messages import write_content, write_messages
from polyvox.errors import BadRequestError
from polyvox.handover import mend_request
from polyvox.http import HttpRequest
from polyvox.messages import AssistantMessage, Image, ToolCall, UserMessage
from polyvox.request import Effort, Reasoning, Request, ToolDefinition

_LEVELS: tuple[Effort, ...] = ("none", "low", "medium", "high", "max")


def encode_request(request: Request, target: Target) -> HttpRequest:
    """The HTTP request. Raises ``BadRequestError`` naming the field that can't be carried."""
    request, mended = mend_request(request)
    generate = is_generate(request, target.provider)
    asked = _prompt(request, target) if generate else _conversation(request, target)
    body: dict[str, Any] = {"model": target.model, **asked, **_wishes(request, target)}
    merge_options(body, request, *dict.fromkeys(("ollama", target.provider)))
    body.pop(OPTION, None)
    return HttpRequest(
        "POST",
        target.base_url.rstrip("/") + (GENERATE if generate else CHAT),
        {"content-type": "application/json", **auth_headers(target)},
        jsontext.encode(body),
        dropped=(*mended, *_dropped(request, target)),
    )


def _conversation(request: Request, target: Target) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": write_messages(request, target)}
    if not body["messages"]:
        raise BadRequestError("messages: there are none")
    if request.tools and request.tool_choice != "none":  # without tools none can be called
        body["tools"] = [_tool(tool) for tool in request.tools]
    return body


def _prompt(request: Request, target: Target) -> dict[str, Any]:
    """The fields of ``/api/generate``, which takes one turn of the user and no tools."""
    match request.messages:
        case [UserMessage(content=content)] if not request.tools:
            text, images = write_content(content, "messages[0].content", target)
        case _:
            raise BadRequestError(
                "messages: /api/generate takes one user message, and no tools",
                hint="Leave the option 'endpoint' away: /api/chat takes conversations.",
            )
    system = "\n".join(block.text for block in request.system)
    return {
        "prompt": text,
        **({"system": system} if request.system else {}),
        **({"images": images} if images else {}),
    }


def _wishes(request: Request, target: Target) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.response_format:
        schema = request.response_format.schema
        fields["format"] = "json" if schema is None else schema
    options = {
        "num_predict": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "stop": request.stop or None,
        "seed": request.seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if given:
        fields["options"] = given
    think = _think(_effort(request.reasoning, target), target)
    if think is not None:
        fields["think"] = think
    return {**fields, "stream": request.stream}


def _tool(tool: ToolDefinition) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    function = {"name": tool.name, **described, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _effort(wanted: Reasoning | None, target: Target) -> Effort | None:
    """The effort to send; None says nothing."""
    if wanted is None or wanted == Reasoning() or target.quirks.reasoning_style == "none":
        return None
    effort = wanted.effort or effort_of(wanted.budget_tokens or 0)
    return nearest_effort(effort, target.quirks.efforts or _LEVELS)


def _think(effort: Effort | None, target: Target) -> bool | str | None:
    if effort is None or (effort != "none" and target.quirks.reasoning_style == "effort"):
        return effort
    return effort != "none"


def _dropped(request: Request, target: Target) -> Iterator[tuple[str, str]]:
    """(field, what became of it) for each wish that can't be told."""
    if request.tool_choice not in (None, "auto", "none"):
        yield "tool_choice", "not sent: Ollama leaves it to the model whether it calls a tool"
    if request.parallel_tool_calls is not None:
        yield "parallel_tool_calls", "not sent: Ollama does not take it"
    if any(tool.strict for tool in request.tools):
        yield "tools[].strict", "not sent: Ollama does not take it"
    if request.metadata:
        yield "metadata", "not sent: Ollama does not take it"
    if has_marks(request):
        yield "cache", "not sent: Ollama caches by itself"
    yield from _dropped_reasoning(request.reasoning, target)
    yield from _dropped_blocks(request)


def _dropped_reasoning(wanted: Reasoning | None, target: Target) -> Iterator[tuple[str, str]]:
    if wanted is None or wanted == Reasoning():
        return
    style, sent = target.quirks.reasoning_style, _effort(wanted, target)
    if style == "none":
        yield "reasoning", "not sent: this model is not asked to think"
        return
    if wanted.budget_tokens is not None:
        what = "not sent" if wanted.effort else f"sent as the effort {sent!r}"
        yield "reasoning.budget_tokens", f"{what}: Ollama takes no budget"
    if wanted.effort and sent != wanted.effort:
        yield "reasoning.effort", f"sent as {sent!r}, the nearest that this model takes"
    elif wanted.effort not in (None, "none") and style != "effort":
        yield "reasoning.effort", "sent as on: this model only knows on and off"


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
                yield field, "not sent: Ollama has no place for pictures of the assistant"
