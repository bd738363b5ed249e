"""Members that do not keep to the call, and readers that leave: the reply is whole all the same."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from polyvox.assembly import unfold
from polyvox.composite import Council, Member, MixtureOfAgents
from polyvox.errors import AbortedError, RequestTimeoutError
from polyvox.events import Done, Event, Failed, Start, TextDelta, TextStart, ThinkingDelta
from polyvox.messages import Text, assistant, user
from polyvox.model import Call, Interrupt, Model
from polyvox.request import Request

from .council_rig import Voice
from .speakers import NANOS, Speaker, ask, error_of, never, reply_of

SOON = 0.05


def half() -> list[Event | asyncio.Event]:
    """The turn of one who begins, and never goes on."""
    return [*list(unfold(assistant("Because of")))[:3], asyncio.Event()]


class Deaf(Speaker):
    """Talks for ever, also when it is cancelled."""

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        self.requests.append(request)
        yield Start("test", self.name)
        yield TextStart(0)
        while True:
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                yield TextDelta(0, "No. ")
            yield TextDelta(0, "And ")


def mixture(judge: Model | Member | list[Model | Member]) -> MixtureOfAgents:
    return MixtureOfAgents([Speaker("a", "A.")], aggregator=judge)


def council(chairman: Model) -> Council:
    return Council([Voice(f"acme/{name}", name) for name in "abc"], chairman=chairman)


@pytest.mark.parametrize("make", [mixture, council])
async def test_who_never_speaks_in_the_last_stage_ends_with_the_deadline(make):
    heard = await ask(make(Speaker("judge", never())), call=Call.timeout(SOON))
    assert isinstance(heard[-1], Done)
    assert heard[-1].message.trace
    assert heard[-1].message.trace.status == "fallback"


@pytest.mark.parametrize("make", [mixture, council])
async def test_who_never_speaks_in_the_last_stage_ends_with_the_interrupt(make):
    interrupt = Interrupt()
    judge = Speaker("judge", never(), on_asked=lambda: interrupt.set("enough"))
    error = await error_of(make(judge), call=Call(interrupt=interrupt))
    assert isinstance(error, AbortedError)
    assert error.text == "enough"
    assert judge.closed == 1


async def test_an_aggregator_that_is_silent_beyond_its_time_is_followed_by_the_next():
    silent = Member(Speaker("silent", never()), timeout=SOON)
    reply = await reply_of(mixture([silent, Speaker("judge", "Because.")]))
    assert reply.text == "Because."
    assert reply.usage.cost.nanos == 3 * NANOS


async def test_an_answer_that_stops_in_the_middle_of_a_block_is_kept_as_far_as_it_came():
    heard = await ask(mixture(Speaker("judge", half())), call=Call.timeout(SOON))
    assert isinstance(heard[-1], Failed)
    assert isinstance(heard[-1].error, RequestTimeoutError)
    assert heard[-1].message.content[1:] == [Text("Because of")]


async def test_who_goes_on_although_cancelled_holds_up_no_stage():
    moa = MixtureOfAgents(
        [Deaf("deaf"), Speaker("a", "A.")], aggregator=Speaker("judge", "x"), timeout=SOON
    )
    reply = await reply_of(moa)
    assert reply.text == "x"
    assert reply.trace
    assert [node.status for node in reply.trace.children[0].children] == ["timeout", "ok"]


async def test_who_goes_on_although_cancelled_holds_up_no_reply():
    error = await error_of(mixture(Deaf("deaf")), call=Call.timeout(SOON))
    assert isinstance(error, RequestTimeoutError)
    assert error.message
    assert error.message.text.startswith("And ")


async def test_leaving_in_the_middle_of_a_block_keeps_it_as_far_as_it_came():
    call = Call()
    request = Request(messages=[user("?")])
    async with aclosing(mixture(Speaker("judge", half())).stream(request, call)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert call.partial
    assert call.partial.content[1:] == [Text("Because of")]
    assert call.partial.stop_reason == "aborted"


@pytest.mark.parametrize("make", [mixture, council])
async def test_leaving_with_the_last_event_takes_nothing_from_the_reply(make):
    call = Call()
    request = Request(messages=[user("?")])
    model = make(Speaker("judge", "Because."))
    async with aclosing(model.stream(request, call)) as events:
        async for event in events:
            if isinstance(event, Done):
                break
    assert event.message.trace.status == "ok"
    assert call.partial is None


@pytest.mark.parametrize("make", [mixture, council])
async def test_whenever_a_reader_leaves_no_task_stays_and_the_books_are_whole(make):
    count = len(await ask(make(Speaker("judge", "Because."))))
    before = asyncio.all_tasks()
    for number in range(1, count):
        call = Call()
        events = make(Speaker("judge", "Because.")).stream(Request(messages=[user("?")]), call)
        for _ in range(number):
            await anext(events)
        await events.aclose()
        assert asyncio.all_tasks() == before
        assert call.partial
        spent = sum(attempt.usage.cost.nanos for attempt in call.attempts)
        assert call.partial.usage.cost.nanos == spent


@pytest.mark.parametrize("make", [mixture, council])
async def test_an_interrupt_at_any_event_is_the_end_of_a_whole_stream(make):
    count = len(await ask(make(Speaker("judge", "Because."))))
    for number in range(1, count):
        interrupt = Interrupt()
        events = make(Speaker("judge", "Because.")).stream(
            Request(messages=[user("?")]), Call(interrupt=interrupt)
        )
        heard = [await anext(events) for _ in range(number)]
        interrupt.set()
        heard += [event async for event in events]
        assert isinstance(heard[-1], Failed)
        assert isinstance(heard[-1].error, AbortedError)
        told = [event for event in heard if isinstance(event, ThinkingDelta)]
        assert len(heard[-1].message.content) >= len(told)


def test_one_composite_serves_several_loops_at_once():
    moa = mixture(Speaker("judge", "Because."))

    async def in_a_thread() -> list[str]:
        def ask_there() -> str:
            return asyncio.run(reply_of(moa)).text

        return await asyncio.gather(*(asyncio.to_thread(ask_there) for _ in range(4)))

    assert asyncio.run(in_a_thread()) == ["Because."] * 4
