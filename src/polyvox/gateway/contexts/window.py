"""How much of a conversation a model is given: what fits, in whole turns, the newest."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from polyvox.agent.cutting import turn_places
from polyvox.estimate import message_tokens, request_tokens
from polyvox.messages import Message, SystemMessage, UserMessage
from polyvox.quote import OUTPUT_TOKENS
from polyvox.request import Request

__all__ = ["assembled", "whole_turns"]

_MARGIN = 1.25
"""Texts often have more tokens than the rule of thumb tells."""


def assembled(
    frame: Request, history: Sequence[Message], new: Sequence[Message], window: int | None
) -> Request:
    """The frame with its messages, then what fits of the history, then what is new.

    The frame's own messages (instructions, examples, a summary) and what is new always stay, and so
    do instructions in the middle of the history. Of the rest whole turns go, the oldest first: a turn
    begins with what the user says, and has the results of all tools that were called in it.
    """
    kept = list(history)
    if window is not None:
        fixed = request_tokens(replace(frame, messages=[*frame.messages, *new]))
        kept = _fitting(kept, new, _room(frame, window) - fixed)
    return replace(frame, messages=[*frame.messages, *kept, *new])


def whole_turns(messages: Sequence[Message]) -> Iterator[int]:
    """The places at which what the user says begins a turn, and nothing before it waits for a result."""
    for place in turn_places(messages):
        if isinstance(messages[place], UserMessage):
            yield place


def _room(frame: Request, window: int) -> int:
    """How many estimated tokens the input may have, when there is to be room for the answer."""
    answer = (
        min(frame.max_tokens, window // 2) if frame.max_tokens else min(OUTPUT_TOKENS, window // 4)
    )
    return int((window - answer) / _MARGIN)


def _fitting(history: list[Message], new: Sequence[Message], room: int) -> list[Message]:
    """The history without its oldest turns, so that what is left has at most so many tokens."""
    left = sum(map(message_tokens, history))
    if left <= room:
        return history
    instructions: list[Message] = []
    start = 0
    for place in whole_turns([*history, *new]):
        if left <= room or place > len(history):
            break
        for message in history[start:place]:
            if isinstance(message, SystemMessage):
                instructions.append(message)
            else:
                left -= message_tokens(message)
        start = place
    return [*instructions, *history[start:]]
