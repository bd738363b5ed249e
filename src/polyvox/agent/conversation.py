"""Questions that a loop asks of a conversation."""

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

from msgspec.structs import replace

from polyvox.assembly import new_call_id
from polyvox.errors import (
    PolyvoxError,
    in_words,
)
from polyvox.events import Event, Start
from polyvox.messages import AssistantMessage, Message, ToolCall, ToolMessage, UserMessage
from polyvox.tools import error_result, message_of

__all__ = [
    "as_told",
    "beginning",
    "is_open",
    "last_answer",
    "next_of",
    "results",
    "unanswerable",
    "with_distinct_ids",
]


def is_open(message: Message | None) -> bool:
    """Whether a model would have something to say to a conversation that ends like this."""
    if isinstance(message, AssistantMessage):
        return message.stop_reason in ("pause", "error", "aborted")
    return message is not None


def last_answer(messages: Sequence[Message]) -> AssistantMessage:
    """What the model said last. There must be something."""
    return next(each for each in reversed(messages) if isinstance(each, AssistantMessage))


def beginning(event: Event | AssistantMessage) -> AssistantMessage:
    """The message while nothing of it is there."""
    if isinstance(event, (Start, AssistantMessage)):
        return AssistantMessage([], provider=event.provider, model=event.model)
    return AssistantMessage([])


def results(messages: Sequence[Message]) -> list[ToolMessage]:
    """The results of the last turn's tools."""
    found = list(takewhile(lambda message: isinstance(message, ToolMessage), reversed(messages)))
    return cast("list[ToolMessage]", found[::-1])


def unanswerable(answer: AssistantMessage) -> list[ToolMessage]:
    """What stands for the results of calls in an answer that broke off."""
    result = error_result("Not run: the answer broke off.")
    return [message_of(result, call) for call in answer.tool_calls]


def with_distinct_ids(answer: AssistantMessage) -> AssistantMessage:
    """The answer, in which no two calls have one id: results, approvals and sessions go by it."""
    ids = [call.id for call in answer.tool_calls]
    if len(set(ids)) == len(ids) and all(ids):
        return answer
    known: set[str] = set()
    content = list(answer.content)
    for place, block in enumerate(content):
        if isinstance(block, ToolCall):
            if block.id in known or not block.id:
                content[place] = block = replace(block, id=new_call_id())
            known.add(block.id)
    return replace(answer, content=content)


def as_told(error: Exception) -> PolyvoxError:
    """The error as one of ours: what a program's own code raises ends a run like any other."""
    if isinstance(error, PolyvoxError):
        return error
    told = PolyvoxError(in_words(error))
    told.__cause__ = error
    return told


def next_of(queue: list[UserMessage], mode: str) -> list[UserMessage]:
    """Those of the waiting messages whose turn it is; they wait on until they are in the conversation."""
    return queue[:1] if mode == "one-at-a-time" else queue[:]
