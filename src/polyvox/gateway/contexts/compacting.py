"""The summary of a conversation's older part, by a model that somebody else asks."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

from polyvox.agent.summary import INSTRUCTIONS, summary_message, summary_of
from polyvox.assembly import unfold
from polyvox.errors import InvalidAnswerError, PolyvoxError
from polyvox.estimate import message_tokens
from polyvox.events import Event, Failed
from polyvox.gateway.contexts.window import whole_turns
from polyvox.gateway.tenants.access import Level
from polyvox.messages import AssistantMessage, Message
from polyvox.model import Call, Model
from polyvox.request import Request

__all__ = ["Ask", "AskedModel", "Summary", "summarised"]

Ask: TypeAlias = Callable[[str, Request, Level | None], Awaitable[AssistantMessage]]
"""Asks the model of this name, within the limits of this level, too. Raises ``PolyvoxError``."""


class Summary(NamedTuple):
    """The words, and how many of the first messages they stand for."""

    text: str
    upto: int


async def summarised(
    before: Summary, messages: Sequence[Message], model: Model, keep_tokens: int | None
) -> Summary | None:
    """The summary of all but the newest turns; None if there is nothing before these.

    ``messages`` are those behind the summary so far. By default a quarter of them stays. Raises
    ``PolyvoxError``, also for a summary that would be no shorter than what it stands for.
    """
    costs = [message_tokens(each) for each in messages]
    cut = _cut(messages, costs, keep_tokens if keep_tokens is not None else sum(costs) // 4)
    if not cut:
        return None
    older = [*([summary_message(before.text)] if before.upto else []), *messages[:cut]]
    text = await summary_of(older, model, None, INSTRUCTIONS, Call())
    if message_tokens(summary_message(text)) >= sum(map(message_tokens, older)):
        raise InvalidAnswerError("the summary is no shorter than what it is a summary of")
    return Summary(text, before.upto + cut)


def _cut(messages: Sequence[Message], costs: Sequence[int], keep: int) -> int:
    """The first place behind which at most so many tokens stand, or where the last turn begins."""
    left, start = sum(costs), 0
    for place in whole_turns(messages):
        if left <= keep:
            break
        left -= sum(costs[start:place])
        start = place
    return start


class AskedModel:
    """A model that is asked through a function."""

    def __init__(self, name: str, ask: Ask, level: Level | None) -> None:
        self.name = name
        self._ask = ask
        self._level = level

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The whole answer as events."""
        try:
            answer = await self._ask(self.name, request, self._level)
        except PolyvoxError as error:
            yield Failed(error, error.message or AssistantMessage([]))
            return
        for event in unfold(answer):
            yield event
