"""What "openai-chat" can carry, for hypothesis; and what becomes of the rest, in one place."""

from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import strategies as st

from polyvox.dialects import Quirks, Target
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
from polyvox.request import NamedTool, Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.usage import UNKNOWN_COST, Cost, Usage
from strategies import strict_schemas

TARGET = Target(
    provider="acme",
    model="sage-1",
    base_url="https://acme.example/v1",
    quirks=Quirks(
        developer_role=True,
        reasoning_replay="reasoning_content",
        strict_tools=True,
        tool_result_name=True,
        tool_result_images=True,
        cache_control=True,
        file_urls=True,
        metadata=True,
        reasoning_style="openrouter",
    ),
)
"""A provider that understands all there is."""

texts = st.text(st.characters(codec="utf-8"), max_size=40)
some_text = texts.filter(bool)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
caches = st.sampled_from([None, "short", "long"])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(texts, json_values, max_size=3)
unparsed = st.sampled_from(['{"city": "Os', "{", "[1]", "null", "Oslo", '{"a":1}}'])

tool_calls = st.builds(ToolCall, id=names, name=names, arguments=json_objects)
broken_calls = st.builds(ToolCall, id=names, name=names, unparsed=unparsed)
thoughts = st.builds(Thinking, text=texts)


@st.composite
def opaque_thoughts(draw: st.DrawFn) -> Thinking:
    """Reasoning with OpenRouter's details, whose text is the readable one."""
    text = draw(some_text)
    signed = {"type": "reasoning.text", "text": text, "signature": draw(some_text), "index": 0}
    hidden = {"type": "reasoning.encrypted", "data": draw(some_text), "index": 1}
    return Thinking(text, meta={"reasoning_details": [signed, hidden]})


# Answers

counts = st.integers(0, 10**7)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usage whose parts are no greater than the whole, as every provider's are."""
    reads, writes, reasoning = draw(counts), draw(counts), draw(counts)
    nanos = draw(st.integers(0, 10**15 - 1))
    known = (
        Cost("known", nanos=nanos, source="provider") if nanos else Cost("free", source="provider")
    )
    return Usage(
        reads + writes + draw(counts),
        reasoning + draw(counts),
        reads,
        writes,
        reasoning_tokens=reasoning,
        input_audio_tokens=draw(counts),
        output_audio_tokens=draw(counts),
        cost=draw(st.sampled_from([UNKNOWN_COST, known])),
    )


answers = st.builds(
    AssistantMessage,
    content=st.lists(
        st.builds(Text, texts)
        | thoughts
        | opaque_thoughts()
        | tool_calls
        | broken_calls
        | st.builds(
            ToolCall,
            id=names,
            name=names,
            meta=st.builds(dict, extra_content=json_objects.filter(bool)),
        ),
        max_size=6,
    ),
    stop_reason=st.sampled_from(
        ["stop", "stop_sequence", "length", "tool_calls", "refusal", "pause"]
    ),
    usage=usages(),
    id=names,
    response_model=names,
)


def as_carried(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """The message as it comes out of the wire: the whole list of what the format can't say.

    Blocks have no borders: neighbours of a kind flow into one, and empty ones vanish; a whole
    answer sorts them into reasoning, text and calls. Ends have fewer words. Who was asked is not
    told by the answer but known to whoever reads it; a cost is the provider's.
    """
    blocks = sorted(message.content, key=_order) if whole else message.content
    return AssistantMessage(
        [_of_target(block) for block in _flowed(blocks)],
        _stop_reason(message),
        message.usage,
        TARGET.provider,
        TARGET.model,
        message.response_model,
        message.id,
    )


def _order(block: object) -> int:
    return [Thinking, Text, ToolCall].index(type(block))


def _flowed(blocks: list[Any]) -> list[Any]:
    flowed: list[Any] = []
    for block in blocks:
        if not isinstance(block, ToolCall) and not block.text:
            continue
        last = flowed[-1] if flowed else None
        if type(last) is type(block) and not isinstance(block, ToolCall):
            flowed[-1] = type(block)(last.text + block.text, meta=_both(last.meta, block.meta))
        else:
            flowed.append(block)
    return flowed


def _both(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    details = [
        *(one or {}).get("reasoning_details", []),
        *(other or {}).get("reasoning_details", []),
    ]
    return {"reasoning_details": details} if details else None


def _of_target(block: Any) -> Any:
    opaque = isinstance(block, Thinking) or block.meta
    return msgspec.structs.replace(block, producer=TARGET.producer if opaque else None)


def _stop_reason(message: AssistantMessage) -> str:
    if message.stop_reason == "refusal" and message.text:
        return "refusal"
    if message.stop_reason == "length":
        return "length"
    return "tool_calls" if message.tool_calls else "stop"


# Requests

images = st.builds(
    Image,
    data=st.binary(min_size=1, max_size=8),
    media_type=st.sampled_from(["image/png", "image/jpeg"]),
    detail=st.sampled_from([None, "low", "high", "auto"]),
    cache=caches,
) | st.builds(Image, url=names.map("https://acme.example/{}".format), cache=caches)
files = (
    st.builds(
        File,
        data=st.binary(max_size=8),
        media_type=st.sampled_from(["application/pdf", "text/plain"]),
        name=names,
        cache=caches,
    )
    | st.builds(
        File,
        data=st.binary(max_size=8),
        media_type=st.sampled_from(["audio/wav", "audio/mpeg"]),
        cache=caches,
    )
    | st.builds(File, url=names.map("https://acme.example/{}".format), name=names, cache=caches)
    | st.builds(File, id=names, cache=caches)
)
cached_texts = st.builds(Text, texts, cache=caches)
system_messages = st.builds(SystemMessage, st.lists(cached_texts, min_size=1, max_size=3))
user_messages = st.builds(
    UserMessage, st.lists(cached_texts | images | files, min_size=1, max_size=4)
)


@st.composite
def assistant_messages(draw: st.DrawFn) -> AssistantMessage:
    """What an assistant said earlier: reasoning, text, calls, in this order, with something in it."""
    thinking = draw(st.lists(st.builds(Thinking, some_text) | opaque_thoughts(), max_size=1))
    text = draw(st.lists(st.builds(Text, some_text), max_size=1))
    calls = draw(st.lists(tool_calls, min_size=0 if thinking or text else 1, max_size=3))
    return AssistantMessage([*thinking, *text, *calls], "tool_calls" if calls else "stop")


result_contents = st.lists(st.builds(Text, some_text), min_size=1, max_size=1) | st.tuples(
    st.builds(Text, some_text), images
).map(list)


@st.composite
def messages(draw: st.DrawFn) -> list[Message]:
    """A user's turn and whatever follows: every tool call is answered, and no id comes twice."""
    said = user_messages | assistant_messages() | system_messages
    drawn: list[Message] = [draw(user_messages)]
    ids: set[str] = set()
    for message in draw(st.lists(said, max_size=5)):
        drawn.append(message)
        if isinstance(message, AssistantMessage):
            message.content = [*_with_new_ids(message, ids)]
            drawn += [
                ToolMessage(call.id, draw(result_contents), call.name)
                for call in message.tool_calls
            ]
    return drawn


def _with_new_ids(message: AssistantMessage, ids: set[str]) -> Iterator[Any]:
    for block in message.content:
        if isinstance(block, ToolCall):
            block = msgspec.structs.replace(block, id=f"{block.id}-{len(ids)}")
            ids.add(block.id)
        yield block


tools = st.builds(
    ToolDefinition,
    name=names,
    description=texts,
    parameters=json_objects,
    strict=st.sampled_from([None, False]),
    cache=caches,
) | st.builds(
    ToolDefinition,
    name=names,
    description=texts,
    parameters=strict_schemas,
    strict=st.just(True),
    cache=caches,
)
numbers = st.none() | st.floats(0, 2)


def _taken(request: Request) -> Request:
    """The request without what is refused and so not sent: choices of no tools, surplus marks."""
    if not request.tools:
        request.tool_choice = request.parallel_tool_calls = None
    asked: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(request))
    marks = [*_marks(asked)]
    if len(marks) <= 4 and len(set(marks)) < 2:
        return request
    return msgspec.convert(_unmarked(asked), Request)


def _marks(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (value[key] for key in value if key == "cache")
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from _marks(inner)


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _unmarked(inner) for key, inner in value.items() if key != "cache"}
    return value


requests = st.builds(
    Request,
    messages=messages(),
    model=st.just(TARGET.model),
    system=st.lists(cached_texts, max_size=2),
    tools=st.lists(tools, max_size=3),
    tool_choice=st.sampled_from([None, "auto", "none", "required"]) | st.builds(NamedTool, names),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    response_format=st.none()
    | st.just(ResponseFormat())
    | st.builds(ResponseFormat, strict_schemas, names, texts, st.booleans()),
    max_tokens=st.none() | st.integers(1001, 10**6),  # above any budget
    temperature=numbers,
    top_p=numbers,
    stop=st.lists(some_text, max_size=3),
    seed=st.none() | st.integers(-(2**40), 2**40),
    reasoning=st.none()
    | st.builds(Reasoning, effort=st.sampled_from(["none", "low", "medium", "high"]))
    | st.builds(Reasoning, budget_tokens=st.integers(1, 1000)),
    metadata=st.dictionaries(names, texts, max_size=2),
    options=st.just({})
    | st.builds(lambda user: {"openai-chat": {"user": user, "logprobs": True}}, names),
    stream=st.booleans(),
).map(_taken)


def as_read(request: Request) -> Request:
    """The request as a server reads it: it also sees that usage was asked for in the stream."""
    if not request.stream:
        return request
    extra = {**request.options.get("openai-chat", {}), "stream_options": {"include_usage": True}}
    return msgspec.structs.replace(request, options={"openai-chat": extra})
