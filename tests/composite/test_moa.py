"""Mixture of agents: layers, prompts, streaming, the trace; what goes wrong is in its own module."""

import asyncio
from contextlib import aclosing

import msgspec
import pytest

from polyvox.assembly import fold, unfold
from polyvox.composite import Member, MixtureOfAgents
from polyvox.errors import ConfigurationError
from polyvox.events import Done, Event, Nested, Start, TextDelta, TextStart, ThinkingEnd
from polyvox.messages import Text, Thinking, assistant, user
from polyvox.model import Call
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.usage import ZERO_USAGE

from .speakers import NANOS, PATIENCE, Speaker, ask, paths, reply_of, together, warnings


def trio() -> list[Speaker]:
    return [Speaker("a", "Blue scatters."), Speaker("b", "Rayleigh."), Speaker("c", "Air.")]


async def test_the_aggregator_sees_numbered_proposals_without_names():
    judge = Speaker("judge", "Because.")
    proposers = [Speaker("openai/x", "One."), Speaker("google/y", "Two.")]
    reply = await reply_of(MixtureOfAgents(proposers, aggregator=judge))
    assert reply.text == "Because."
    assert judge.requests[0].messages[0].text.endswith("1. One.\n\n2. Two.")
    assert not any(name in judge.prompt for name in ("openai", "google", "x'", "judge"))


async def test_proposers_are_asked_as_the_caller_asked():
    proposers = trio()
    request = Request(messages=[user("Why?")], system=[Text("Be brief.")], temperature=0.3)
    await reply_of(MixtureOfAgents(proposers, aggregator=Speaker("judge", "x")), request)
    assert [each.requests for each in proposers] == [[request]] * 3


async def test_members_of_a_layer_are_asked_at_the_same_time():
    speaker = together(3)
    moa = MixtureOfAgents([speaker(name) for name in "abc"], aggregator=Speaker("judge", "x"))
    assert (await reply_of(moa)).text == "x"


async def test_samples_of_one_model_are_asked_at_the_same_time_and_all_count():
    speaker, judge = together(3)("a"), Speaker("judge", "x")
    moa = MixtureOfAgents([Member(speaker, samples=3)], aggregator=judge)
    heard = await ask(moa)
    assert {("layer 1", "a"), ("layer 1", "a #2"), ("layer 1", "a #3")} <= paths(heard)
    assert "3. a's answer" in judge.prompt


async def test_from_the_second_layer_on_proposers_see_the_proposals_before():
    first, second = Speaker("a", "A1", "A2"), Speaker("b", "B1", "B2")
    judge = Speaker("judge", "x")
    reply = await reply_of(MixtureOfAgents([first, second], aggregator=judge, layers=3))
    assert "1. A1\n\n2. B1" in first.prompt
    assert "1. A1\n\n2. B1" in second.prompt
    assert "1. A2\n\n2. B2" in judge.prompt
    assert "A1" not in judge.prompt
    assert reply.trace
    assert [node.label for node in reply.trace.children] == ["layer 1", "layer 2", "judge"]


async def test_the_order_of_proposals_is_that_of_the_members_whoever_is_first():
    gate = asyncio.Event()
    late = Speaker("late", [gate, *unfold(assistant("First."))])
    early = Speaker("early", "Second.")
    judge = Speaker("judge", "x")
    moa = MixtureOfAgents([late, early], aggregator=judge)
    async with aclosing(moa.stream(Request(messages=[user("?")]), Call())) as events:
        async for event in events:
            if isinstance(event, Nested) and isinstance(event.event, Done):
                gate.set()  # the other one has ended before this one may begin
    assert "1. First.\n\n2. Second." in judge.prompt


async def test_a_member_has_settings_and_instructions_of_its_own():
    speaker = Speaker("a", "x")
    member = Member(speaker, settings={"temperature": 0.9, "max_tokens": 7}, system="Be bold.")
    request = Request(messages=[user("?")], system=[Text("Be brief.")], temperature=0.1)
    await reply_of(MixtureOfAgents([member], aggregator=Speaker("judge", "x")), request)
    (asked,) = speaker.requests
    assert (asked.temperature, asked.max_tokens) == (0.9, 7)
    assert asked.system == [Text("Be brief.\n\nBe bold.")]


async def test_the_last_stage_is_streamed_before_it_is_done():
    gate = asyncio.Event()
    start, begin, *rest = unfold(assistant("Because."))
    judge = Speaker(
        "judge", [start, begin, TextDelta(0, "Be"), gate, TextDelta(0, "cause."), *rest[1:]]
    )
    moa = MixtureOfAgents(trio(), aggregator=judge)
    told: list[str] = []
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(moa.stream(Request(messages=[user("?")]), Call())) as events,
    ):
        async for event in events:
            if isinstance(event, TextDelta):
                told.append(event.text)
                gate.set()  # without this the aggregator would never go on
    assert told == ["Be", "cause."]


async def test_streamed_and_whole_are_the_same():
    moa = MixtureOfAgents(trio(), aggregator=Speaker("judge", "Because."))
    heard = await ask(moa)
    assert isinstance(heard[-1], Done)
    assert fold(heard[:-1]).content == heard[-1].message.content
    start = heard[0]
    assert isinstance(start, Start)
    message = heard[-1].message
    assert (start.provider, start.model) == (message.provider, message.model)
    assert (message.provider, message.model) == ("composite", "moa/judge")
    assert message.response_model == "judge"


async def test_the_first_block_is_a_summary_that_no_model_is_ever_given():
    judge = Speaker("judge", "Because.")
    moa = MixtureOfAgents(trio(), aggregator=judge)
    reply = await reply_of(moa)
    block = reply.content[0]
    assert isinstance(block, Thinking)
    assert block.producer == "composite"
    assert block.text.startswith("Layer 1\n- a: Blue scatters.\n- b: Rayleigh.\n- c: Air.")
    assert "Aggregation\n- judge" in block.text
    await reply_of(moa, Request(messages=[user("Why?"), reply, user("And at night?")]))
    answer = judge.requests[-1].messages[1]
    assert answer.content == [Text("Because.")]
    assert reply.content[0] is block


async def test_costs_are_the_sum_of_all_attempts():
    call = Call()
    reply = await reply_of(MixtureOfAgents(trio(), aggregator=Speaker("judge", "x")), call=call)
    assert len(call.attempts) == 4
    assert reply.usage == sum((attempt.usage for attempt in call.attempts), ZERO_USAGE)
    assert reply.usage.cost.nanos == 4 * NANOS


async def test_the_trace_says_who_was_asked_when_and_what_came_of_it():
    reply = await reply_of(MixtureOfAgents(trio(), aggregator=Speaker("judge", "x")))
    root = reply.trace
    assert root
    assert [(node.kind, node.label) for node in root.walk()] == [
        ("moa", "moa"),
        ("layer", "layer 1"),
        ("proposal", "a"),
        ("proposal", "b"),
        ("proposal", "c"),
        ("aggregation", "judge"),
    ]
    layer, final = root.children
    assert layer.children[1].preview == "Rayleigh."
    assert 0 <= layer.started <= layer.children[0].started <= final.started
    assert layer.started + layer.seconds <= final.started
    assert final.started + final.seconds <= root.seconds
    assert root.total == reply.usage
    assert msgspec.json.decode(msgspec.json.encode(reply), type=type(reply)) == reply


async def test_a_mixture_in_a_mixture_is_one_tree():
    inner = MixtureOfAgents(trio(), aggregator=Speaker("chief", "Inner."), name="inner")
    judge = Speaker("judge", "Outer.")
    call = Call()
    heard = await ask(MixtureOfAgents([inner, Speaker("d", "D.")], aggregator=judge), call=call)
    assert ("layer 1", "inner", "layer 1", "a") in paths(heard)
    assert isinstance(heard[-1], Done)
    reply = heard[-1].message
    assert "1. Inner.\n\n2. D." in judge.prompt
    assert len(call.attempts) == 6
    assert reply.usage.cost.nanos == 6 * NANOS
    assert reply.trace
    outer = next(node for node in reply.trace.walk() if node.label == "inner")
    below = list(outer.walk())[1:]
    assert [node.kind for node in below][:2] == ["moa", "layer"]
    assert all(node.started >= outer.started for node in below)


async def test_a_mixture_that_aggregates_passes_its_first_piece_on_at_once():
    gate = asyncio.Event()
    start, begin, delta, *rest = unfold(assistant("Because."))
    chief = Speaker("chief", [start, begin, delta, gate, *rest])
    inner = MixtureOfAgents([Speaker("a", "A.")], aggregator=chief, name="inner")
    moa = MixtureOfAgents([Speaker("b", "B.")], aggregator=inner)
    heard: list[Event] = []
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(moa.stream(Request(messages=[user("?")]), Call())) as events,
    ):
        async for event in events:
            heard.append(event)
            if isinstance(event, TextDelta):
                gate.set()
    assert ("inner", "layer 1", "a") in paths(heard)
    assert [type(event) for event in heard if isinstance(event, ThinkingEnd)] == [ThinkingEnd] * 2
    assert isinstance(heard[-1], Done)
    assert heard[-1].message.text == "Because."


async def test_proposals_that_do_not_fit_the_window_are_summed_up_some_at_a_time():
    proposers = [Speaker(name, name * 400) for name in "abcd"]
    judge = Speaker("judge", "first half" * 40, "second half" * 40, "Because.")
    moa = MixtureOfAgents(proposers, aggregator=judge, window_tokens=480)
    request = Request(messages=[user("?")], max_tokens=50)
    heard = await ask(moa, request)
    assert {("window 1", "judge"), ("window 2", "judge")} <= paths(heard)
    assert isinstance(heard[-1], Done)
    assert heard[-1].message.text == "Because."
    assert [len(each.requests) for each in proposers] == [1] * 4
    first, second, last = (judge.prompt_of(each) for each in judge.requests)
    assert ("a" * 400 in first, "d" * 400 in first) == (True, False)
    assert ("first half" in second, "a" * 400 in second) == (True, False)
    assert "d" * 400 in last
    assert ("second half" in last, "b" * 400 in last) == (True, False)
    assert heard[-1].message.usage.cost.nanos == 7 * NANOS


async def test_proposals_that_fit_the_window_are_shown_at_once():
    judge = Speaker("judge", "Because.")
    await reply_of(MixtureOfAgents(trio(), aggregator=judge, window_tokens=8_000))
    assert len(judge.requests) == 1


def test_the_quote_is_that_of_all_calls():
    request = Request(messages=[user("?")])
    pair = [Speaker("a", "x"), Member(Speaker("b", "x"), samples=2)]
    quote = MixtureOfAgents(pair, aggregator=Speaker("judge", "x"), layers=3).quote(request)
    assert quote.cost.nanos == 7 * NANOS
    assert quote.output_tokens == 70
    single = Speaker("a", "x").quote(request).input_tokens
    assert quote.input_tokens > 7 * single + 4 * 3 * 10  # what others say is read as well


def test_the_quote_of_a_mixture_in_a_mixture_has_all_its_calls():
    inner = MixtureOfAgents([Speaker("a", "x")], aggregator=Speaker("chief", "x"))
    moa = MixtureOfAgents([inner, Speaker("b", "x")], aggregator=Speaker("judge", "x"))
    assert quote_of(moa, Request(messages=[user("?")])).cost.nanos == 4 * NANOS


async def test_a_slow_reader_makes_the_members_wait():
    pieces = ["x"] * 3_000
    start, begin, *_ = unfold(assistant("x"))
    told = 0

    def one_more(text: str) -> TextDelta:
        nonlocal told
        told += 1
        return TextDelta(0, text)

    class Talker(Speaker):
        async def stream(self, request: Request, call: Call):
            yield start
            yield begin
            for piece in pieces:
                yield one_more(piece)
            for event in unfold(assistant("".join(pieces))):
                if not isinstance(event, (Start, TextStart, TextDelta)):
                    yield event

    moa = MixtureOfAgents([Talker("a")], aggregator=Speaker("judge", "x"))
    async with aclosing(moa.stream(Request(messages=[user("?")]), Call())) as events:
        async for event in events:
            if isinstance(event, Nested):
                break
        for _ in range(5_000):
            await asyncio.sleep(0)
        assert 0 < told < 1_000


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda a: MixtureOfAgents([], aggregator=a), "proposers"),
        (lambda a: MixtureOfAgents([a], aggregator=[]), "aggregator"),
        (lambda a: MixtureOfAgents(["x/y"], aggregator=a), "client.model"),
        (lambda a: MixtureOfAgents("x/y", aggregator=a), "list of models"),
        (lambda a: MixtureOfAgents([a], aggregator=a, layers=1), "layers"),
        (lambda a: MixtureOfAgents([a], aggregator=a, quorum=2), "quorum"),
        (lambda a: MixtureOfAgents([a], aggregator=a, timeout=0), "timeout"),
        (lambda a: MixtureOfAgents([a], aggregator=a, window_tokens=0), "window_tokens"),
        (lambda a: MixtureOfAgents([a], aggregator=a, tool_executor="x"), "tool_executor"),
        (lambda a: Member(a, samples=0), "samples"),
        (lambda a: Member(a, timeout=-1), "timeout"),
        (lambda a: Member(a, settings={"temprature": 1}), "temperature"),
        (lambda a: Member(a, settings={"messages": []}), "messages"),
    ],
)
def test_a_wrong_argument_is_named(make, text: str):
    with pytest.raises(ConfigurationError) as caught:
        make(Speaker("a", "x"))
    assert text in str(caught.value)


async def test_nobody_is_warned_of_anything_when_all_goes_well():
    heard = await ask(MixtureOfAgents(trio(), aggregator=Speaker("judge", "x")))
    assert warnings(heard) == []
