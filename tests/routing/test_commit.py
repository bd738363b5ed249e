"""The commit point: what is content, and that reading up to it loses nothing."""

import pytest

from polyvox.assembly import unfold
from polyvox.errors import ServerError
from polyvox.events import (
    Done,
    Event,
    Failed,
    Nested,
    Passed,
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
    Warned,
)
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, assistant
from polyvox.model import Call
from polyvox.routing.commit import MOST_HELD, is_content, opening

from .rig import Voice, request

CONTENT = [
    TextDelta(0, "a"),
    ThinkingDelta(0, "a"),
    ToolCallDelta(0, "{"),
    TextEnd(0, Text("a")),
    ThinkingEnd(0, Thinking("a")),
    ThinkingEnd(0, Thinking("", "signature")),
    ThinkingEnd(0, Thinking("", redacted=True)),
    ToolCallEnd(0, ToolCall("c1", "now")),
    Done(AssistantMessage([])),
    Nested(["a"], TextDelta(0, "a")),
]
NO_CONTENT = [
    Start(),
    Warned("dropped"),
    Passed(b"data: {}\n\n"),
    TextStart(0),
    ThinkingStart(0),
    ToolCallStart(0, "c1", "now"),
    TextDelta(0, ""),
    ThinkingDelta(0, ""),
    ToolCallDelta(0, ""),
    TextEnd(0, Text("")),
    ThinkingEnd(0, Thinking("")),
    ToolCallEnd(0, ToolCall("c1", "now", {}, "")),
    Failed(ServerError("x"), AssistantMessage([])),
    Nested(["a"], Start()),
]


@pytest.mark.parametrize("event", CONTENT, ids=lambda event: type(event).__name__)
def test_this_is_content(event: Event):
    assert is_content(event)


@pytest.mark.parametrize("event", NO_CONTENT, ids=lambda event: type(event).__name__)
def test_this_is_none(event: Event):
    assert not is_content(event)


def test_every_kind_of_event_is_one_or_the_other():
    assert {type(event) for event in [*CONTENT, *NO_CONTENT]} == set(Event.__args__)


async def test_what_is_held_back_and_what_follows_are_the_whole_stream():
    events = list(unfold(assistant("Hello.")))
    stream = Voice(events).stream(request(), Call())
    begun = await opening(stream)
    assert begun.failed is None
    assert begun.events == events[:3]
    assert [*begun.events, *[event async for event in stream]] == events


async def test_a_failure_before_it_is_told():
    failed = Failed(ServerError("x"), AssistantMessage([]))
    begun = await opening(
        Voice([Start(), TextStart(0), TextEnd(0, Text("")), failed]).stream(request(), Call())
    )
    assert begun.failed is failed
    assert begun.events[-1] is failed


async def test_what_is_held_back_is_bounded():
    stream = Voice([Start(), *[Warned("again")] * 2 * MOST_HELD]).stream(request(), Call())
    begun = await opening(stream)
    assert (len(begun.events), begun.failed) == (MOST_HELD, None)
    await stream.aclose()
