"""What members tell on its way to the reader: all of it, in order, in few pieces, and never too much."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.assembly import fold, unfold
from polyvox.composite.inbox import Inbox, Line
from polyvox.events import (
    Event,
    Nested,
    TextDelta,
    TextStart,
    ThinkingDelta,
    ToolCallDelta,
    Warned,
)
from polyvox.messages import AssistantMessage, Text, Thinking
from polyvox.testing import check_grammar

from .speakers import PATIENCE

MANY = 10_000
MOST = 256


async def told(*events: tuple[str, Event]) -> list[tuple[list[str], Event]]:
    """What the reader hears, who comes when all has been told."""
    inbox: Inbox[None] = Inbox()
    lines: dict[str, Line] = {}
    for who, event in events:
        await lines.setdefault(who, Line(inbox, "layer 1", who)).tell(event)
    inbox.note(None)
    heard: list[tuple[list[str], Event]] = []
    while (nested := await inbox.get()) is not None:
        heard.append((nested.path, nested.event))
    return heard


@pytest.mark.parametrize("kind", [TextDelta, ThinkingDelta, ToolCallDelta])
async def test_pieces_of_one_block_that_wait_together_are_told_as_one(kind: type[TextDelta]):
    pieces = [("a", kind(2, text)) for text in ("Air ", "scatters ", "blue.")]
    assert await told(*pieces) == [(["layer 1", "a"], kind(2, "Air scatters blue."))]


@pytest.mark.parametrize(
    "other",
    [
        ("b", TextDelta(0, "y")),
        ("a", TextDelta(1, "y")),
        ("a", ThinkingDelta(0, "y")),
        ("a", Warned("y")),
        ("a", Nested(["c"], TextDelta(0, "y"))),
    ],
    ids=["somebody else", "another block", "another kind", "a warning", "a member's member"],
)
async def test_what_comes_between_keeps_its_place(other: tuple[str, Event]):
    first, last = ("a", TextDelta(0, "x")), ("a", TextDelta(0, "z"))
    heard = await told(first, other, last)
    assert [event for _, event in heard[::2]] == [first[1], last[1]]
    assert len(heard) == 3


async def test_members_of_members_are_told_with_the_whole_way():
    heard = await told(("a", Nested(["layer 1", "b"], TextStart(0))))
    assert heard == [(["layer 1", "a", "layer 1", "b"], TextStart(0))]


async def test_what_a_model_has_told_is_never_changed():
    first = TextDelta(0, "x")
    await told(("a", first), ("a", TextDelta(0, "y")))
    assert first.text == "x"


@given(st.lists(st.sampled_from("abc")))
async def test_however_they_take_turns_each_says_what_it_said(turns: list[str]):
    pieces = {who: [f"{who}{number} " for number in range(9)] for who in "abc"}
    message = {
        who: AssistantMessage([Thinking("Hm."), Text("".join(pieces[who]))], "stop")
        for who in "abc"
    }
    streams = {who: list(unfold(message[who], lambda _, who=who: pieces[who])) for who in "abc"}
    turns = [*turns, *"abc" * 30]
    said = [(who, streams[who].pop(0)) for who in turns if streams[who]]
    heard = await told(*said)
    for who in "abc":
        events = [event for path, event in heard if path == ["layer 1", who]]
        check_grammar(events)
        assert fold(events[:-1]).content == message[who].content


async def test_a_member_waits_for_a_slow_reader_and_the_others_do_not():
    inbox: Inbox[None] = Inbox()
    count = {"fast": 0, "other": 0}

    async def speak(who: str, times: int) -> None:
        line = Line(inbox, who)
        for number in range(times):
            await line.tell(TextDelta(number, "x"))  # a block each, so that all of them wait
            count[who] += 1

    async def settled() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    speaking = asyncio.create_task(speak("fast", MANY))
    await settled()
    assert count["fast"] == MOST
    async with asyncio.timeout(PATIENCE):
        await speak("other", 1)
        for _ in range(MOST + 1):
            await inbox.get()
        await settled()
        assert count["fast"] == 2 * MOST
        for _ in range(MANY - MOST):
            await inbox.get()
        await speaking


async def test_who_waits_for_a_slow_reader_can_be_stopped():
    inbox: Inbox[None] = Inbox()
    line = Line(inbox, "a")

    async def speak() -> None:
        while True:
            await line.tell(TextDelta(0, "x"))

    speaking = asyncio.create_task(speak())
    await asyncio.sleep(0)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    assert await inbox.get() == Nested(["a"], TextDelta(0, "x" * MOST))


async def test_a_reader_that_waits_is_woken_by_an_event_and_by_a_note():
    inbox: Inbox[str] = Inbox()
    for put, expected in (
        (lambda: inbox.note("over"), "over"),
        (lambda: inbox.add(Line(inbox, "a"), TextStart(0)), Nested(["a"], TextStart(0))),
    ):
        reading = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        assert not reading.done()
        put()
        async with asyncio.timeout(PATIENCE):
            assert await reading == expected
