"""Questions that a loop asks of a conversation."""

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

from polyvox.events import Event, Start
from polyvox.messages import AssistantMessage, Message, ToolMessage, UserMessage
from polyvox.tools import error_result, message_of

__all__ = ["beginning", "is_open", "last_answer", "results", "taken", "unanswerable"]


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


def taken(queue: list[UserMessage], mode: str) -> list[UserMessage]:
    """Messages that have waited, taken off their queue."""
    taken = queue[:1] if mode == "one-at-a-time" else queue[:]
    del queue[: len(taken)]
    return taken
