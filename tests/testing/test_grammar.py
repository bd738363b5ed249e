"""check_grammar: what is a stream, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.assembly import unfold
from polyvox.errors import ServerError
from polyvox.events import (
    Done,
    Event,
    Failed,
    Nested,
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
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall
from polyvox.testing import check_grammar

DONE = Done(AssistantMessage([]))
FAILED = Failed(ServerError("no"), AssistantMessage([]))
TEXT = [TextStart(0), TextDelta(0, "a"), TextEnd(0, Text("a"))]
CALL = ToolCall("1", "a", {})


@pytest.mark.parametrize(
    "events",
    [
        [FAILED],
        [Start(), DONE],
        [Start(), FAILED],
        [Start(), Warned("w"), Nested(["x"], TextDelta(9, "")), *TEXT, DONE],
        [Start(), ThinkingStart(3), ThinkingDelta(3, ""), ThinkingEnd(3, Thinking()), *TEXT, DONE],
        [
            Start(),
            ToolCallStart(0, "1", "a"),
            ToolCallStart(1, "2", "a"),
            ToolCallDelta(0, "{"),
            ToolCallDelta(1, "{}"),
            ToolCallEnd(1, CALL),
            ToolCallEnd(0, CALL),
            DONE,
        ],
    ],
)
def test_streams_are_let_pass(events: list[Event]):
    check_grammar(events)


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([], "stops after 0 events"),
        ([Start()], "stops after 1 event without"),
        ([Start(), *TEXT], "stops after 4 events without"),
        ([DONE], r"event 0 \(Done\): a stream begins with start"),
        ([*TEXT, DONE], r"event 0 \(TextStart\): a stream begins with start"),
        ([Warned("w"), Start(), DONE], r"event 0 \(Warned\): a stream begins"),
        ([Start(), Start(), DONE], r"event 1 \(Start\): the stream has started already"),
        ([Start(), DONE, DONE], r"event 2 \(Done\): nothing may follow"),
        ([FAILED, Warned("w")], r"event 1 \(Warned\): nothing may follow"),
        ([Start(), TextDelta(0, "a"), DONE], r"event 1 \(TextDelta\): no text block 0 is open"),
        ([Start(), TextStart(0), TextDelta(1, "a")], "no text block 1 is open"),
        ([Start(), TextStart(0), ThinkingDelta(0, "a")], "no thinking block 0 is open"),
        ([Start(), TextStart(0), ToolCallEnd(0, CALL)], "no tool call block 0 is open"),
        ([Start(), *TEXT, TextEnd(0, Text("a"))], r"event 4 \(TextEnd\): no text block 0 is open"),
        ([Start(), *TEXT, TextStart(0)], r"event 4 \(TextStart\): index 0 was used before"),
        ([Start(), TextStart(0), DONE], r"event 2 \(Done\): open blocks are left: 0 \(text\)"),
        ([Start(), TextStart(0), FAILED], "open blocks are left"),
    ],
)
def test_the_first_violation_is_named(events: list[Event], problem: str):
    with pytest.raises(AssertionError, match=problem):
        check_grammar(events)


blocks = st.one_of(
    st.builds(Text, st.text()),
    st.builds(Thinking, st.text()),
    st.builds(ToolCall, st.text(), st.text(), st.just({"a": 1})),
)


@given(st.lists(blocks, max_size=4), st.data())
def test_a_stream_with_any_event_left_out_or_doubled_is_none(
    content: list[Text | Thinking | ToolCall], data: st.DataObject
):
    events = list(unfold(AssistantMessage(list(content))))
    check_grammar(events)
    deltas = (TextDelta, ThinkingDelta, ToolCallDelta)
    places = [place for place, event in enumerate(events) if not isinstance(event, deltas)]
    place = data.draw(st.sampled_from(places))
    with pytest.raises(AssertionError):
        check_grammar(events[:place] + events[place + 1 :])
    with pytest.raises(AssertionError):
        check_grammar([*events[: place + 1], *events[place:]])
