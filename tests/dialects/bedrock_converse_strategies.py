"""What bedrock-converse carries, and what becomes of the rest."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

import strategies
from polyvox.dialects import Quirks, Target
from polyvox.dialects.bedrock_converse.blocks_out import document_name
from polyvox.dialects.bedrock_converse.wire import blob
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
from polyvox.request import Reasoning, Request
from strategies import Carries, fractions, ids, response_formats, usages

TARGET = Target(
    provider="bedrock",
    model="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    base_url="https://bedrock.example",
    quirks=Quirks(strict_tools=True, cache_control=True, count_tokens=True),
)
_COMMON: dict[str, Any] = {
    "provider": TARGET.provider,
    "model": TARGET.model,
    "cache_hints": 4,
    "answer_at_end": False,  # with thinking on, and from Claude 4.6 on, it can't be
    "response_format": st.none() | response_formats,
    "metadata": st.just({}) | st.dictionaries(ids, ids, max_size=2),
    "max_tokens": st.integers(2048, 10**5),
    "temperature": st.none() | fractions,
    "top_p": st.none() | fractions,
    "samplers": 1,
    "reasoning": st.none() | st.just(Reasoning(budget_tokens=1024)),
    "reasoning_excludes_sampling": True,
    "reasoning_excludes_forced_tools": True,
    "parallel_tool_calls": False,
    "stop_reasons": ("stop", "length", "tool_calls", "stop_sequence"),
    "usage": usages(),
}


def _fitted(request: Request) -> Request:
    """The request with its files where this format can have them."""
    for message in request.messages:
        if isinstance(message, (UserMessage, ToolMessage)):
            message.content = [_placed(block) for block in message.content]
        if isinstance(message, UserMessage):
            message.content.append(Text("See."))  # a document wants a text beside it
    return request


def _placed(block: Any) -> Any:
    if isinstance(block, Image) and block.url:
        return Image(url="s3://bucket/cat.png", media_type="image/png", cache=block.cache)
    if isinstance(block, File):
        name = document_name(block.name)
        if block.data is not None:
            cache = block.cache if block.media_type == "application/pdf" else None
            return msgspec.structs.replace(block, name=name, cache=cache)
        media_type = "application/pdf"
        return File(url="s3://bucket/a.pdf", media_type=media_type, name=name, cache=block.cache)
    return block


requests = strategies.requests(Carries(**_COMMON)).map(_fitted)
answers = strategies.answers(Carries(**_COMMON))
whole_answers = strategies.answers(Carries(broken_calls=False, **_COMMON))


def as_read(request: Request) -> Request:
    """What the server half reads of a request: turns that alternate, and no "none"."""
    merged: list[Message] = []
    for message in request.messages:
        last = merged[-1] if merged else None
        if isinstance(message, UserMessage) and isinstance(last, UserMessage):
            merged[-1] = UserMessage([*last.content, *message.content])
        elif isinstance(message, AssistantMessage):
            merged.append(AssistantMessage(_opaque(message.content)))
        else:
            merged.append(message)
    read = msgspec.structs.replace(request, messages=merged)
    if request.tool_choice == "none":
        read.tools, read.tool_choice = [], None
    return read


def as_carried(message: AssistantMessage, *, whole: bool) -> AssistantMessage:
    """What the client half reads of an answer, which tells neither of an id nor of the model."""
    usage = msgspec.structs.replace(message.usage, reasoning_tokens=0)
    return msgspec.structs.replace(
        message, content=_opaque(message.content), usage=usage, id="", response_model=""
    )


def _opaque(content: Sequence[Any]) -> list[Any]:
    """What is hidden travels in base64."""
    return [
        msgspec.structs.replace(block, signature=blob(block.signature))
        if isinstance(block, Thinking) and block.redacted
        else block
        for block in content
    ]
