"""What of a request OpenAI's formats, or a provider that speaks one of them, can and can't be told."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from polyvox.dialects.base import Quirks, Target
from polyvox.dialects.cache import has_marks
from polyvox.dialects.schema import OPENAI_STRICT
from polyvox.dialects.strict import as_openai_takes_it, strict_tool
from polyvox.messages import AssistantMessage, Image, Text, ToolCall
from polyvox.request import NamedTool, Reasoning, Request, ToolDefinition


def dropped_wishes(
    request: Request, target: Target, *, never: Collection[str] = (), cache_marks: bool = False
) -> Iterator[tuple[str, str]]:
    """(field, what became of it) for each wish that this target can't be told.

    ``never`` are fields that the format has no place for, whoever speaks it; ``cache_marks`` says
    whether blocks may be marked for the cache.
    """
    quirks, name = target.quirks, target.producer
    sampling = takes_sampling(request, quirks)
    understood: dict[str, bool] = {
        "temperature": sampling,
        "top_p": sampling,
        "stop": quirks.stop,
        "seed": quirks.seed,
        "parallel_tool_calls": quirks.parallel_tool_calls,
        "metadata": quirks.metadata,
        **dict.fromkeys(never, False),
    }
    for field, taken in understood.items():
        if not taken and getattr(request, field) not in (None, {}, []):
            yield field, f"not sent: {name} does not take it"
    if not takes_choice(request):
        for field in ("tool_choice", "parallel_tool_calls"):
            if understood.get(field, True) and getattr(request, field) is not None:
                yield field, "not sent: there are no tools"
    if request.response_format and request.response_format.schema:
        if quirks.json_schema:
            yield from as_openai_takes_it(request.response_format)[1]
        else:
            about = f"not sent: {name} takes no schema; any JSON is asked for"
            yield "response_format.schema", about
    if request.tools:
        yield from _loose_tools(request, target)
    if not cache_marks and has_marks(request):
        yield "cache", f"not sent: {name} caches by itself, or not at all"
    yield from _dropped_blocks(request)


def takes_sampling(request: Request, quirks: Quirks) -> bool:
    """Whether temperature and top_p may be sent; some models take them only while they don't think."""
    if quirks.sampling is True:
        return True
    wanted = request.reasoning or Reasoning()
    thinks = wanted.effort != "none" and bool(wanted.effort or wanted.budget_tokens)
    return quirks.sampling == "unthinking" and not thinks


def takes_choice(request: Request) -> bool:
    """Whether there are tools to choose from; without any, OpenAI refuses every choice."""
    if request.tools or not request.options:
        return bool(request.tools)
    return any(fields.get("tools") for fields in request.options.values())


def tool_fields(
    request: Request,
    target: Target,
    write: Callable[[ToolDefinition, Target], dict[str, Any]],
    named: Callable[[str], dict[str, Any]],
) -> dict[str, Any]:
    """The fields about tools. ``write`` puts a tool as the format has it, ``named`` the choice of one."""
    fields: dict[str, Any] = {}
    choice, quirks = request.tool_choice, target.quirks
    if request.tools:
        strict = quirks.strict_tools
        tools = [strict_tool(tool, OPENAI_STRICT)[0] if strict else tool for tool in request.tools]
        fields["tools"] = [write(tool, target) for tool in tools]
    if not takes_choice(request):
        return fields
    if isinstance(choice, NamedTool):
        fields["tool_choice"] = named(choice.name)
    elif choice is not None:
        fields["tool_choice"] = quirks.tool_choice_required if choice == "required" else choice
    if request.parallel_tool_calls is not None and quirks.parallel_tool_calls:
        fields["parallel_tool_calls"] = request.parallel_tool_calls
    return fields


def _loose_tools(request: Request, target: Target) -> Iterator[tuple[str, str]]:
    if target.quirks.strict_tools:
        for place, tool in enumerate(request.tools):
            if about := strict_tool(tool, OPENAI_STRICT)[1]:
                yield f"tools[{place}].strict", about
    elif any(tool.strict for tool in request.tools):
        yield "tools[].strict", f"not sent: {target.producer} does not take it"


def _dropped_blocks(request: Request) -> Iterator[tuple[str, str]]:
    for place, message in enumerate(request.messages):
        if not isinstance(message, AssistantMessage):
            continue
        for index, block in enumerate(message.content):
            if isinstance(block, Text):
                continue
            if isinstance(block, ToolCall) and not block.executable:
                field = f"messages[{place}].content[{index}].arguments"
                yield field, "broke off and are no JSON: sent as {}"
            elif isinstance(block, Image):
                field = f"messages[{place}].content[{index}]"
                yield field, "not sent: this format has no place for pictures of the assistant"
