"""Requests, written: every wish of a ``Request`` in the words of the Responses API.

Sources: "Create a model response" and "Get input token counts" in OpenAI's API reference. The order
of fields is fixed: the same request gives the same bytes.

Nothing is stored at the provider unless the request's options ask for it (``store``, or a
``previous_response_id`` or ``conversation`` to go on with): the conversation is sent whole each
time, and models that reason are asked for their reasoning in encrypted form, to be sent along.
"""

from polyvox import jsontext
from polyvox.dialects.base import Target, auth_headers, merge_options
from polyvox.dialects.openai_chat.effort import write_reasoning
from polyvox.dialects.openai_notes import dropped_wishes, takes_sampling, tool_fields
from polyvox.dialects.openai_responses.items import NAME
from polyvox.dialects.openai_responses.wire import Json
from polyvox.dialects.openai_responses.write_input import write_input
from polyvox.dialects.strict import as_openai_takes_it
from polyvox.handover import mend_request
from polyvox.http import HttpRequest
from polyvox.request import Request, ResponseFormat, ToolDefinition

_COUNTED = frozenset(
    {
        *("model", "instructions", "input", "tools", "tool_choice", "parallel_tool_calls"),
        *("reasoning", "text", "truncation", "previous_response_id", "conversation"),
    }
)
"""The fields that the endpoint which counts tokens takes."""


def encode_request(request: Request, target: Target) -> HttpRequest:
    """The HTTP request. Raises ``BadRequestError`` naming the field that can't be carried."""
    body, dropped = _body(request, target)
    return _http("/responses", body, target, dropped)


def count_request(request: Request, target: Target) -> HttpRequest | None:
    """A request that counts the prompt's tokens, or None if the provider can't."""
    if not target.quirks.count_tokens:
        return None
    body, dropped = _body(request, target)
    counted = {name: value for name, value in body.items() if name in _COUNTED}
    return _http("/responses/input_tokens", counted, target, dropped)


def empty_request(request: Request, target: Target) -> HttpRequest:
    """The request without its body."""
    url = target.base_url.rstrip("/") + "/responses"
    return HttpRequest("POST", url, {"content-type": "application/json", **auth_headers(target)})


def _http(
    path: str, body: Json, target: Target, dropped: tuple[tuple[str, str], ...]
) -> HttpRequest:
    return HttpRequest(
        "POST",
        target.base_url.rstrip("/") + path,
        {"content-type": "application/json", **auth_headers(target)},
        jsontext.encode(body),
        dropped=dropped,
    )


def _body(request: Request, target: Target) -> tuple[Json, tuple[tuple[str, str], ...]]:
    """The body, and (field, what became of it) for each wish that it can't tell."""
    options = merge_options({}, request, NAME, target.provider)
    goes_on = bool(options.get("previous_response_id") or options.get("conversation"))
    # A conversation that is kept at the provider may begin with the results of calls made there.
    request, mended = (request, ()) if goes_on else mend_request(request)
    thinking, notes = write_reasoning(request.reasoning, target.quirks, request.max_tokens)
    stored = bool(options.get("store", goes_on))
    body: Json = {
        "model": target.model,
        **_instructions(request),
        "input": write_input(request, target, stored=stored),
        **({"stream": True} if request.stream else {}),
        **({} if goes_on else {"store": False}),
        **_reasoning(thinking, target),
        **_limits(request, target),
        **tool_fields(request, target, _tool, _named),
    }
    if request.response_format:
        body["text"] = {"format": _format(request.response_format, target)}
    if request.metadata and target.quirks.metadata:
        body["metadata"] = request.metadata
    merge_options(body, request, NAME, target.provider)
    return body, (*mended, *dropped_wishes(request, target, never=("stop", "seed")), *notes)


def _instructions(request: Request) -> Json:
    text = "\n\n".join(block.text for block in request.system)
    return {"instructions": text} if text else {}


def _reasoning(fields: Json, target: Target) -> Json:
    """Effort stands in an object here. Models that don't reason refuse to encrypt it."""
    if "reasoning_effort" in fields:
        fields = {"reasoning": {"effort": fields["reasoning_effort"]}}
    if target.quirks.reasoning_style == "none":
        return fields
    return {"include": ["reasoning.encrypted_content"], **fields}


def _limits(request: Request, target: Target) -> Json:
    sampling = takes_sampling(request, target.quirks)
    wishes = {
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature if sampling else None,
        "top_p": request.top_p if sampling else None,
    }
    return {name: value for name, value in wishes.items() if value is not None}


def _tool(tool: ToolDefinition, target: Target) -> Json:
    fields: Json = {"type": "function", "name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    fields["parameters"] = tool.parameters
    if target.quirks.strict_tools:
        # Unsaid, it would mean yes here, and schemas that are not strict would be refused.
        fields["strict"] = bool(tool.strict)
    return fields


def _named(name: str) -> Json:
    return {"type": "function", "name": name}


def _format(wanted: ResponseFormat, target: Target) -> Json:
    if wanted.schema is None or not target.quirks.json_schema:
        return {"type": "json_object"}
    wanted, _ = as_openai_takes_it(wanted)
    described = {"description": wanted.description} if wanted.description else {}
    return {
        "type": "json_schema",
        "name": wanted.name,
        **described,
        "schema": wanted.schema,
        "strict": wanted.strict,
    }
