"""Events on their way out: the last stage's at once, by their order and no clock; members' in time."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import cycle

import pytest
from msgspec.structs import replace

from polyvox.assembly import unfold
from polyvox.composite import Council, MixtureOfAgents
from polyvox.events import CONTENT_EVENTS, Event, Nested, TextDelta, ThinkingDelta, ToolCallDelta
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, user
from polyvox.model import Call, Model
from polyvox.request import Request

from .speakers import Speaker

WORDS = [f" w{number}" for number in range(20)]
MESSAGE = AssistantMessage(
    [Thinking("Hm."), Text("".join(WORDS)), ToolCall("c1", "look", {})], "tool_calls"
)
STREAM = list(unfold(MESSAGE, lambda text: WORDS if text == MESSAGE.text else [text]))
DELTAS = (TextDelta, ThinkingDelta, ToolCallDelta)


class Noted:
    """Writes down what it tells, in the list in which its reader writes down what is seen."""

    name = "last"

    def __init__(self, diary: list[tuple[str, Event]]) -> None:
        self._diary = diary

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        for event in STREAM:
            self._diary.append(("told", event))
            yield event


def mixture(last: Model) -> Model:
    return MixtureOfAgents([Speaker("a", "A."), Speaker("b", "B.")], aggregator=last)


def council(last: Model) -> Model:
    return Council([Speaker("a", "A."), Speaker("b", "B.")], chairman=last)


def mixture_in_a_mixture(last: Model) -> Model:
    return mixture(mixture(last))


@pytest.mark.parametrize("made", [mixture, council, mixture_in_a_mixture])
async def test_once_content_began_each_event_is_out_before_the_next_is_asked_for(
    made: Callable[[Model], Model],
):
    diary: list[tuple[str, Event]] = []
    async for event in made(Noted(diary)).stream(Request(messages=[user("?")]), Call()):
        diary.append(("seen", event))  # noqa: PERF401 - between what is told
    began = next(
        n for n, (who, event) in enumerate(diary) if who == "told" and type(event) in DELTAS
    )
    told = [
        (event, diary[number + 1 :])
        for number, (who, event) in enumerate(diary)
        if who == "told" and number >= began and isinstance(event, CONTENT_EVENTS)
    ]
    assert len(told) == len(STREAM) - 3  # without the start, that of the first block, and the end
    for event, after in told:
        count = next(n for n, (who, _) in enumerate(after) if who == "told")
        (_, last) = after[count - 1]
        assert count > 0
        assert isinstance(last, CONTENT_EVENTS)
        assert replace(last, index=event.index) == event
        assert count == 1 or event is told[0][0]  # with the first comes what stands before it


async def test_a_member_is_never_far_ahead_of_a_slow_reader():
    class Endless(Speaker):
        told = 0

        async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
            for event in cycle((ThinkingDelta(0, "Hm."), TextDelta(1, "Air."))):
                self.told += 1
                yield event

    members = [Endless("a"), Endless("b")]
    moa = MixtureOfAgents(members, aggregator=Speaker("c", "C."))
    async with aclosing(moa.stream(Request(messages=[user("?")]), Call())) as events:
        async for event in events:
            if isinstance(event, Nested):
                break
        for _ in range(20):
            await asyncio.sleep(0)
        assert [256 <= each.told <= 258 for each in members] == [True, True]
