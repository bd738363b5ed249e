"""What "ollama" can carry, for hypothesis; and what becomes of the rest, in one place."""

from itertools import chain
from typing import Any

from hypothesis import strategies as st

from polyvox.dialects import Target
from polyvox.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.request import Reasoning, Request, ResponseFormat, ToolDefinition
from polyvox.usage import NO_USAGE, Usage
from strategies import fractions, json_objects, names, schemas, texts, visible_texts

TARGET = Target(provider="ollama", model="sage:1b", base_url="http://127.0.0.1:11434", auth="none")


tool_calls = st.builds(ToolCall, st.uuids().map(str), names, json_objects)


counts = st.integers(0, 10**9)


usages = st.just(NO_USAGE) | st.builds(Usage, counts, counts)


said = st.builds(Text, texts) | st.builds(Thinking, texts) | tool_calls


answers = st.builds(
    AssistantMessage,
    content=st.lists(said, max_size=6),
    stop_reason=st.sampled_from(["stop", "stop_sequence", "length", "tool_calls", "refusal"]),
    usage=usages,
    response_model=names,
)


def as_carried(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """The message as it comes out of the wire: the whole list of what the format can't say.

    Blocks have no borders: neighbours of a kind flow into one, and empty ones vanish; a whole
    answer sorts them into reasoning, text and calls. There are two ways to end, and no answer ids.
    """
    order = [Thinking, Text, ToolCall]
    blocks = list(message.content)
    if whole:
        blocks.sort(key=lambda block: order.index(type(block)))
    length = message.stop_reason == "length"
    reason = "length" if length else "tool_calls" if message.tool_calls else "stop"
    return AssistantMessage(
        _flowed(blocks),
        reason,
        message.usage,
        TARGET.provider,
        TARGET.model,
        message.response_model,
    )


def _flowed(blocks: list[Any]) -> list[Any]:
    flowed: list[Any] = []
    for block in blocks:
        if isinstance(block, ToolCall):
            flowed.append(block)
        elif block.text:
            owner = TARGET.producer if isinstance(block, Thinking) else None
            if flowed and type(flowed[-1]) is type(block):
                block = type(block)(flowed.pop().text + block.text)
            flowed.append(type(block)(block.text, producer=owner))
    return flowed


pictures = st.binary(max_size=20).map(lambda more: Image(b"\x89PNG\r\n\x1a\n" + more))


user_messages = st.one_of(
    visible_texts.map(lambda text: [Text(text)]),
    st.lists(pictures, min_size=1, max_size=2),
    st.tuples(visible_texts.map(Text), pictures).map(list),
).map(UserMessage)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """A user's turn, and perhaps an answer with the results of its calls."""
    asked: list[Message] = [draw(user_messages)]
    if draw(st.booleans()):
        return asked
    thinking = draw(st.lists(st.builds(Thinking, visible_texts), max_size=1))
    text = draw(st.lists(st.builds(Text, visible_texts), max_size=1))
    calls = draw(st.lists(tool_calls, min_size=0 if thinking or text else 1, max_size=3))
    answer = AssistantMessage([*thinking, *text, *calls], "tool_calls" if calls else "stop")
    results = [ToolMessage(call.id, [Text(draw(visible_texts))], call.name) for call in calls]
    return [*asked, answer, *results]


tools = st.builds(ToolDefinition, names, texts, schemas)


efforts = st.sampled_from(["none", "low", "medium", "high", "max"])


common: dict[str, Any] = {
    "model": st.just(TARGET.model),
    "system": st.lists(st.builds(Text, visible_texts), max_size=1),
    "response_format": st.none() | st.just(ResponseFormat()) | schemas.map(ResponseFormat),
    "max_tokens": st.none() | st.integers(1, 10**6),
    "temperature": st.none() | fractions,
    "top_p": st.none() | fractions,
    "stop": st.lists(visible_texts, max_size=3),
    "seed": st.none() | st.integers(-(2**40), 2**40),
    "reasoning": st.none() | st.builds(Reasoning, efforts),
    "stream": st.booleans(),
}


vendor = st.fixed_dictionaries({}, optional={
    "keep_alive": st.sampled_from(["1h", 0, -1]),
    "options": st.fixed_dictionaries({"num_ctx": st.integers(1, 2**20)}),
})  # fmt: skip


chats = st.builds(
    Request,
    messages=st.lists(turns(), min_size=1, max_size=3).map(lambda some: list(chain(*some))),
    tools=st.lists(tools, max_size=3),
    options=vendor.map(lambda fields: {"ollama": fields} if fields else {}),
    **common,
)


prompts = st.builds(
    Request,
    messages=user_messages.map(lambda message: [message]),
    options=st.builds(
        lambda fields, suffix: {"ollama": {"endpoint": "generate", "suffix": suffix, **fields}},
        vendor,
        texts,
    ),
    **common,
)
