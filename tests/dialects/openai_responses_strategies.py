"""What "openai-responses" can carry, for hypothesis; and what becomes of the rest, in one place."""

from itertools import count
from typing import Any

import msgspec
from hypothesis import strategies as st

from polyvox.dialects import Quirks, Target
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Message,
    Text,
    Thinking,
    ToolMessage,
    UserMessage,
)
from polyvox.request import Reasoning, Request, ResponseFormat
from strategies import Carries, answers, fractions, ids, requests, texts, usages

NAME = "openai-responses"


CARRIES = Carries(
    replays_thinking=False,
    tool_errors=False,
    system_in_middle=True,
    response_format=st.none() | st.just(ResponseFormat()),
    reasoning=st.none()
    | st.sampled_from([Reasoning("none"), Reasoning("low"), Reasoning("xhigh")]),
    max_tokens=st.none() | st.integers(16, 10**6),
    temperature=st.none() | fractions,
    top_p=st.none() | fractions,
    metadata=st.dictionaries(ids, texts, max_size=2),
    stop_reasons=("stop", "length", "tool_calls", "refusal"),
    usage=usages(),
)


TARGET = Target(
    provider=CARRIES.provider,
    model=CARRIES.model,
    base_url="https://api.example/v1",
    quirks=Quirks(strict_tools=True, metadata=True),
)


@st.composite
def signed(draw: Any, message: Message) -> Message:
    """An assistant's message as the provider itself made it: with ids, and reasoning before it."""
    if not isinstance(message, AssistantMessage):
        return message
    numbers = count(draw(st.integers(0, 10**6)))
    blocks: list[Any] = []
    for block in message.content:
        kept: dict[str, Any] = {"id": f"item_{next(numbers)}"}
        if isinstance(block, Text):
            kept |= draw(st.sampled_from([{}, {"phase": "commentary"}, {"refusal": True}]))
        if draw(st.booleans()):
            blocks.append(draw(reasoning(f"rs_{next(numbers)}")))
        blocks.append(msgspec.structs.replace(block, meta={NAME: kept}))
    return msgspec.structs.replace(message, content=blocks)


@st.composite
def reasoning(draw: Any, id: str, producer: str | None = None) -> Thinking:
    parts = draw(st.lists(texts.filter(bool), max_size=3))
    summary = [{"type": "summary_text", "text": text} for text in parts]
    kept: dict[str, Any] = {"id": id, **({"summary": summary} if len(parts) > 1 else {})}
    text = "\n\n".join(parts)
    secret = draw(st.from_regex(r"[a-zA-Z0-9_=-]{1,30}", fullmatch=True))
    return Thinking(text, secret, not parts, meta={NAME: kept}, producer=producer)


@st.composite
def own_requests(draw: Any) -> Request:
    request = draw(requests(CARRIES))
    request.messages = [draw(signed(each) | st.just(each)) for each in request.messages]
    request.stop = []
    return request


def as_read(request: Request) -> Request:
    """The request as a server reads it: the whole list of what the format says differently."""
    options: dict[str, Any] = {
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }
    instructions = "\n\n".join(block.text for block in request.system)
    return msgspec.structs.replace(
        request,
        messages=[_message(message) for message in request.messages],
        system=[Text(instructions)] if instructions else [],
        tools=[msgspec.structs.replace(tool, strict=bool(tool.strict)) for tool in request.tools],
        options={NAME: options},
    )


def _message(message: Message) -> Message:
    match message:
        case UserMessage(content=content):
            return UserMessage([_block(block) for block in content])
        case ToolMessage(content=content):
            return msgspec.structs.replace(message, content=[_block(block) for block in content])
        case AssistantMessage() if message.tool_calls:
            return msgspec.structs.replace(message, stop_reason="tool_calls")
        case _:
            return message


def _block(block: Any) -> Any:
    if isinstance(block, Image) and block.detail == "auto":
        return msgspec.structs.replace(block, detail=None)
    if isinstance(block, File) and block.data is None:
        return msgspec.structs.replace(block, name="")
    if isinstance(block, File) and not block.name:
        name = "document.pdf" if block.media_type == "application/pdf" else "document.txt"
        return msgspec.structs.replace(block, name=name)
    return block


@st.composite
def own_answers(draw: Any) -> AssistantMessage:
    """An answer with all that items say beyond our vocabulary."""
    message = draw(answers(CARRIES))
    numbers = count()
    blocks: list[Any] = []
    for block in message.content:
        kept: dict[str, Any] = {"id": f"item_{next(numbers)}"}
        if isinstance(block, Thinking):
            blocks.append(draw(reasoning(f"rs_{next(numbers)}", CARRIES.producer)))
            continue
        if isinstance(block, Text):
            kept |= draw(st.sampled_from([{}, {"phase": "final_answer"}]))
            if message.stop_reason == "refusal":
                kept["refusal"] = True
        blocks.append(msgspec.structs.replace(block, meta={NAME: kept}, producer=CARRIES.producer))
    message.content = blocks
    return message


def refusing(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """A refusal is known by its text: without any, it is an answer."""
    told = any(isinstance(block, Text) for block in message.content) if whole else message.text
    if message.stop_reason != "refusal" or told:
        return message
    return msgspec.structs.replace(
        message, stop_reason="tool_calls" if message.tool_calls else "stop"
    )


def plain(message: AssistantMessage) -> AssistantMessage:
    """The message without what only its producer understands."""
    return msgspec.structs.replace(message, content=[unsigned(each) for each in message.content])


def as_told(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """What comes back of an answer: in a stream, only reasoning keeps what its maker needs again."""
    told = refusing(message, whole=whole)
    if whole:
        return told
    blocks = [each if isinstance(each, Thinking) else unsigned(each) for each in told.content]
    return msgspec.structs.replace(told, content=blocks)


def unsigned(block: Any) -> Any:
    """The block without what only its producer understands."""
    return msgspec.structs.replace(block, meta=None, producer=None)
