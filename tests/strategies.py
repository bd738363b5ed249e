"""Hypothesis strategies for the vocabulary: blocks, messages, requests, answers, streams, cuts.

A dialect can't carry everything. `Carries` says what one can, and `requests`, `answers` and
`event_streams` draw only from that, so that `decode(encode(x)) == x` may be demanded of all they draw.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from hypothesis import strategies as st

from polyvox.assembly import arguments_text
from polyvox.events import (
    Done,
    Event,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    CacheHint,
    File,
    Image,
    Message,
    StopReason,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.request import (
    NamedTool,
    Reasoning,
    Request,
    ResponseFormat,
    ToolDefinition,
)
from polyvox.usage import Usage

Draw = Callable[[st.SearchStrategy[Any]], Any]

UNSAID: st.SearchStrategy[Any] = st.none()
NO_METADATA: st.SearchStrategy[dict[str, str]] = st.just({})
SOME_USAGE = st.just(Usage(3, 5))


@dataclass(frozen=True, kw_only=True)
class Carries:
    """What a dialect can carry, to one provider and model.

    A strategy in it draws the values that come back as they were sent. `samplers` is how many of
    temperature and top_p may be given; `reasoning_excludes_sampling` and `..._forced_tools` say
    what can't be wished for together with reasoning.
    """

    provider: str = "acme"
    model: str = "one-large"
    blocks: tuple[type, ...] = (Text, Image, File)
    result_blocks: tuple[type, ...] = (Text, Image, File)
    image_urls: bool = True
    file_urls: bool = True
    signatures: bool = True
    replays_thinking: bool = True
    cache_hints: int = 0
    system_in_middle: bool = False
    answer_at_end: bool = True
    tool_errors: bool = True
    strict_tools: bool = True
    parallel_tool_calls: bool = True
    response_format: st.SearchStrategy[ResponseFormat | None] = UNSAID
    reasoning: st.SearchStrategy[Reasoning | None] = UNSAID
    reasoning_excludes_sampling: bool = False
    reasoning_excludes_forced_tools: bool = False
    max_tokens: st.SearchStrategy[int | None] = UNSAID
    temperature: st.SearchStrategy[float | None] = UNSAID
    top_p: st.SearchStrategy[float | None] = UNSAID
    samplers: int = 2
    seed: st.SearchStrategy[int | None] = UNSAID
    metadata: st.SearchStrategy[dict[str, str]] = NO_METADATA
    stop_reasons: tuple[StopReason, ...] = ("stop", "length", "tool_calls")
    broken_calls: bool = True
    usage: st.SearchStrategy[Usage] = SOME_USAGE

    @property
    def producer(self) -> str:
        return f"{self.provider}/{self.model}"


# ------------------------------------------------------------------------------------------- atoms

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
visible_texts = texts.filter(lambda text: bool(text.strip()))
ids = st.from_regex(r"[a-zA-Z0-9_-]{1,24}", fullmatch=True)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,20}", fullmatch=True)
fractions = st.floats(0, 1, allow_nan=False).map(abs)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_objects: st.SearchStrategy[dict[str, Any]] = st.dictionaries(texts, json_values, max_size=3)
schemas = json_objects.map(lambda extra: {"type": "object", "properties": {}, **extra})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "required": list(properties),
    }


_leaves = st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(
    lambda name: {"type": name}
)
strict_schemas: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    names,
    st.recursive(
        _leaves | st.lists(texts, min_size=1).map(lambda some: {"type": "string", "enum": some}),
        lambda inner: (
            st.dictionaries(names, inner, max_size=3).map(_closed)
            | inner.map(lambda items: {"type": "array", "items": items})
            | st.lists(inner, min_size=1, max_size=3).map(lambda branches: {"anyOf": branches})
        ),
        max_leaves=6,
    ),
    max_size=4,
).map(_closed)
"""Schemas that every provider takes as they are."""

response_formats = strict_schemas.map(ResponseFormat)


@st.composite
def usages(draw: Draw, *, cache_writes: bool = True) -> Usage:
    """Counts in which every part is at most its whole."""
    read, written, plain = draw(st.tuples(*[st.integers(0, 10**9)] * 3))
    written = written if cache_writes else 0
    output = draw(st.integers(0, 10**9))
    return Usage(
        input_tokens=plain + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        reasoning_tokens=draw(st.integers(0, output)),
    )


# ------------------------------------------------------------------------------------------ blocks

image_bytes = st.builds(
    Image,
    st.binary(max_size=20),
    media_type=st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"]),
)
images = image_bytes | st.builds(Image, url=ids.map("https://img.example/{}.png".format))


def files(*, urls: bool = True) -> st.SearchStrategy[File]:
    """PDFs and plain texts, as bytes, and files by id or URL."""
    name = st.just("") | names
    kinds = [
        st.builds(File, st.binary(max_size=20), media_type=st.just("application/pdf"), name=name),
        st.builds(File, texts.map(str.encode), media_type=st.just("text/plain"), name=name),
        st.builds(File, id=ids, name=name),
    ]
    if urls:
        kinds.append(st.builds(File, url=ids.map("https://doc.example/{}.pdf".format), name=name))
    return st.one_of(kinds)


def content(kinds: Iterable[type], carries: Carries) -> st.SearchStrategy[list[Any]]:
    """Blocks of a user's turn or a tool's result."""
    drawn = {
        Text: visible_texts.map(Text),
        Image: images if carries.image_urls else image_bytes,
        File: files(urls=carries.file_urls),
    }
    return st.lists(st.one_of([drawn[kind] for kind in kinds]), min_size=1, max_size=3)


tool_calls = st.builds(ToolCall, ids, names, json_objects)
# Arguments that broke off: never a JSON object, and never nothing, which would mean "no arguments".
broken_calls = st.builds(ToolCall, ids, names, unparsed=texts.map('{{"a": "{}'.format))


def thinking(carries: Carries, producer: str | None) -> st.SearchStrategy[Thinking]:
    """Reasoning: signed or redacted, where the dialect knows of that."""
    who = st.just(producer)
    if not carries.signatures:
        return st.builds(Thinking, visible_texts, producer=who)
    signed = st.builds(Thinking, texts, visible_texts, producer=who)
    redacted = st.builds(Thinking, st.just(""), visible_texts, redacted=st.just(True), producer=who)
    return signed | redacted


# ---------------------------------------------------------------------------------------- messages


@st.composite
def conversations(draw: Draw, carries: Carries) -> list[Message]:
    """A user's turn, then perhaps an answer, with tool results where it calls for them, and so on."""
    messages: list[Message] = []
    ids: set[str] = set()
    for _ in range(draw(st.integers(1, 3))):
        messages.append(UserMessage(draw(content(carries.blocks, carries))))
        if carries.system_in_middle and draw(st.booleans()):
            messages.append(SystemMessage(draw(content([Text], carries))))
        elif draw(st.booleans()):
            continue
        said, results = draw(_answered(carries))
        if ids & {result.tool_call_id for result in results}:
            # An id that comes twice is changed on its way, and instructions want an answer.
            if isinstance(messages[-1], SystemMessage):
                messages.pop()
            continue
        ids.update(result.tool_call_id for result in results)
        messages += [said, *results]
    if isinstance(messages[-1], AssistantMessage) and not carries.answer_at_end:
        messages.append(UserMessage([Text("Well?")]))
    return messages


@st.composite
def _answered(draw: Draw, carries: Carries) -> tuple[AssistantMessage, list[ToolMessage]]:
    kinds = [visible_texts.map(Text), tool_calls]
    if carries.replays_thinking:
        kinds.append(thinking(carries, None))
    blocks = _distinct(draw(st.lists(st.one_of(kinds), min_size=1, max_size=4)))
    results = [
        ToolMessage(
            block.id,
            draw(st.just([]) | content(carries.result_blocks, carries)),
            block.name,
            carries.tool_errors and draw(st.booleans()),
        )
        for block in blocks
        if isinstance(block, ToolCall)
    ]
    return AssistantMessage(blocks), results


def _distinct(blocks: list[Any]) -> list[Any]:
    """Only the first of the tool calls that share an id."""
    seen: set[str] = set()
    kept: list[Any] = []
    for block in blocks:
        if isinstance(block, ToolCall):
            if block.id in seen:
                continue
            seen.add(block.id)
        kept.append(block)
    return kept


# ---------------------------------------------------------------------------------------- requests


@st.composite
def tools(draw: Draw, carries: Carries) -> list[ToolDefinition]:
    strict = st.sampled_from([None, False] if carries.strict_tools else [None])
    tool = st.builds(ToolDefinition, names, texts, schemas, strict)
    if carries.strict_tools:
        tool |= st.builds(ToolDefinition, names, texts, strict_schemas, st.just(True))
    return draw(st.lists(tool, max_size=3, unique_by=lambda each: each.name))


@st.composite
def requests(draw: Draw, carries: Carries) -> Request:
    """Any request that comes back as it was sent."""
    request = Request(
        messages=draw(conversations(carries)),
        model=carries.model,
        system=draw(st.lists(visible_texts.map(Text), max_size=2)),
        tools=draw(tools(carries)),
        response_format=draw(carries.response_format),
        max_tokens=draw(carries.max_tokens),
        reasoning=draw(carries.reasoning),
        stop=draw(st.lists(visible_texts, max_size=2)),
        seed=draw(carries.seed),
        metadata=draw(carries.metadata),
        stream=draw(st.booleans()),
    )
    reasons = request.reasoning is not None and request.reasoning.effort != "none"
    _choose_tools(
        draw, carries, request, forced=not (reasons and carries.reasoning_excludes_forced_tools)
    )
    if not (reasons and carries.reasoning_excludes_sampling):
        _sample(draw, carries, request)
    _hint(draw, carries, request)
    return request


def _choose_tools(draw: Draw, carries: Carries, request: Request, *, forced: bool) -> None:
    if not request.tools or draw(st.booleans()):
        return
    choices: list[Any] = ["auto", "none"]
    if forced:
        choices += ["required", NamedTool(request.tools[0].name)]
    request.tool_choice = draw(st.sampled_from(choices))
    if carries.parallel_tool_calls and request.tool_choice != "none":
        request.parallel_tool_calls = draw(st.none() | st.booleans())


def _sample(draw: Draw, carries: Carries, request: Request) -> None:
    if carries.samplers:
        request.temperature = draw(carries.temperature)
    if carries.samplers - (request.temperature is not None) > 0:
        request.top_p = draw(carries.top_p)


def _hint(draw: Draw, carries: Carries, request: Request) -> None:
    """Put cache hints of one kind onto some of the places that can bear one."""
    if not carries.cache_hints:
        return
    hint: CacheHint = draw(st.sampled_from(["short", "long"]))
    lists: list[list[Any]] = [request.tools, request.system]
    lists += [each.content for each in request.messages if not isinstance(each, ToolMessage)]
    results = [each for each in request.messages if isinstance(each, ToolMessage)]
    places = [
        (blocks, place)
        for blocks in lists
        for place, block in enumerate(blocks)
        if not isinstance(block, Thinking)
    ]
    chosen = st.lists(
        st.integers(0, len(places) - 1), max_size=carries.cache_hints - 1, unique=True
    )
    for index in draw(chosen) if places else []:
        blocks, place = places[index]
        blocks[place] = msgspec.structs.replace(blocks[place], cache=hint)
    if results and draw(st.booleans()):
        results[-1].cache = hint


# ----------------------------------------------------------------------------------------- answers


@st.composite
def answers(draw: Draw, carries: Carries) -> AssistantMessage:
    """A complete answer, as `carries.producer` would give it."""
    kinds: list[Any] = [texts.map(Text), tool_calls, thinking(carries, carries.producer)]
    if carries.broken_calls:
        kinds.append(broken_calls)
    blocks = _distinct(draw(st.lists(st.one_of(kinds), max_size=5)))
    reason: StopReason = draw(st.sampled_from(carries.stop_reasons))
    calls = any(isinstance(block, ToolCall) for block in blocks)
    if reason in ("stop", "tool_calls"):
        reason = "tool_calls" if calls else "stop"
    if reason == "length" and blocks and _is_bare_call(blocks[-1]):
        reason = "tool_calls"  # at a limit, nobody can tell it from a call that was cut off
    return AssistantMessage(
        blocks,
        reason,
        draw(carries.usage),
        provider=carries.provider,
        model=carries.model,
        response_model=carries.model,
        id=draw(ids),
        stop_sequence=draw(visible_texts) if reason == "stop_sequence" else None,
    )


def _is_bare_call(block: AssistantBlock) -> bool:
    return isinstance(block, ToolCall) and block.executable and not block.arguments


@st.composite
def event_streams(draw: Draw, message: AssistantMessage) -> list[Event]:
    """The events of a stream that tells the message: pieces cut anywhere, blocks interleaved."""
    waiting = [draw(block_events(index, block)) for index, block in enumerate(message.content)]
    running: list[list[Event]] = []
    events: list[Event] = [Start(message.provider, message.model, message.id)]
    while waiting or running:
        if waiting and (not running or draw(st.booleans())):
            running.append(waiting.pop(0))
            block = running[-1]
        else:
            block = draw(st.sampled_from(running))
        events.append(block.pop(0))
        running = [each for each in running if each]
    return [*events, Done(message)]


@st.composite
def block_events(draw: Draw, index: int, block: AssistantBlock) -> list[Event]:
    """The events of one block."""
    match block:
        case Text(text=text):
            start, delta, end = TextStart(index), TextDelta, TextEnd(index, block)
        case Thinking(text=text):
            start, delta, end = ThinkingStart(index), ThinkingDelta, ThinkingEnd(index, block)
        case ToolCall(id=id, name=name):
            text = arguments_text(block)
            start, delta = ToolCallStart(index, id, name), ToolCallDelta
            end = ToolCallEnd(index, block)
        case _:
            raise TypeError(f"a {type(block).__name__} is not streamed")
    return [start, *(delta(index, piece) for piece in draw(cuts(text))), end]


@st.composite
def cuts(draw: Draw, whole: Any, most: int = 8) -> list[Any]:
    """The pieces of a text or of bytes, cut at any places; some may be empty."""
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=most)))
    return [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
