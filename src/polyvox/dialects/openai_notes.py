"""What of a request OpenAI's formats, or a provider that speaks one of them, can't be told."""

from collections.abc import Collection, Iterator

from polyvox.dialects.base import Target
from polyvox.dialects.schema import as_openai_takes_it
from polyvox.messages import AssistantMessage, Image, ToolCall, ToolMessage
from polyvox.request import Request


def dropped_wishes(
    request: Request, target: Target, *, never: Collection[str] = (), cache_marks: bool = False
) -> Iterator[tuple[str, str]]:
    """(field, what became of it) for each wish that this target can't be told.

    ``never`` are fields that the format has no place for, whoever speaks it; ``cache_marks`` says
    whether blocks may be marked for the cache.
    """
    quirks, name = target.quirks, target.producer
    understood = {
        "temperature": quirks.sampling,
        "top_p": quirks.sampling,
        "seed": quirks.seed,
        "parallel_tool_calls": quirks.parallel_tool_calls,
        "metadata": quirks.metadata,
    } | dict.fromkeys(never, False)
    for field, taken in understood.items():
        if not taken and getattr(request, field) not in (None, {}, []):
            yield field, f"not sent: {name} does not take it"
    if request.response_format and request.response_format.schema:
        if quirks.json_schema:
            yield from as_openai_takes_it(request.response_format)[1]
        else:
            about = f"not sent: {name} takes no schema; any JSON is asked for"
            yield "response_format.schema", about
    if not quirks.strict_tools and any(tool.strict for tool in request.tools):
        yield "tools[].strict", f"not sent: {name} does not take it"
    if not cache_marks and _has_cache_marks(request):
        yield "cache", f"not sent: {name} caches by itself, or not at all"
    yield from _dropped_blocks(request)


def _has_cache_marks(request: Request) -> bool:
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
            field = f"messages[{place}].content[{index}]"
            if isinstance(block, ToolCall) and not block.executable:
                yield f"{field}.arguments", "broke off and are no JSON: sent as {}"
            elif isinstance(block, Image):
                yield field, "not sent: this format has no place for pictures of the assistant"
