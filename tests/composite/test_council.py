"""The council: opinions, anonymous reviews, and a chairman who speaks for all."""

import asyncio
import time
from contextlib import aclosing

import msgspec
import pytest

from polyvox.composite import Council, Member, MixtureOfAgents, ToolLoop
from polyvox.errors import (
    AbortedError,
    ConfigurationError,
    OverloadedError,
    PolyvoxError,
    ServerError,
)
from polyvox.events import Done, Event, Nested, TextDelta, TextStart, Warned
from polyvox.messages import Image, Text, Thinking, ToolCall, assistant, user
from polyvox.model import Call, Interrupt
from polyvox.quote import quote_of
from polyvox.request import Request, ResponseFormat, ToolDefinition
from polyvox.usage import NO_USAGE, ZERO_USAGE, Cost, Usage

from .council_rig import Voice, answer, ask, error, is_review, prompt_of, shown

TASTE = ("Two.", "Three.", "One.")


def voices(**said: PolyvoxError | str) -> list[Voice]:
    """Three members, of whom all like the second one's answer best and their own, the first, least."""
    opinions = {"one": "One.", "two": "Two.", "three": "Three."} | said
    return [Voice(f"acme/{name}", opinion, TASTE) for name, opinion in opinions.items()]


CHAIR = "big/chair"


async def test_the_chairman_answers_out_of_opinions_ranking_and_reviews():
    members, chair = voices(), Voice(CHAIR, "-")
    reply = answer(await ask(Council(members, chairman=chair, seed=1)))
    assert reply.text == "The council's answer."
    (asked,) = chair.requests
    assert sorted(shown(asked).values()) == ["One.", "Three.", "Two."]
    labels = {text: label for label, text in shown(asked).items()}
    told = prompt_of(asked)
    assert f"1. {labels['Two.']}: mean rank 1.00, Borda 1.00, by 2 rankings" in told
    assert told.count("<review name=") == 3
    assert [len(voice.requests) for voice in members] == [2, 2, 2]


async def test_reviews_reach_the_chairman_in_the_chairmans_labels():
    chair = Voice(CHAIR, "-")
    await ask(Council(voices(), chairman=chair, seed=5, exclude_own=False))
    labels = {text: label for label, text in shown(chair.requests[0]).items()}
    assert sorted(labels.values()) == ["Response 1", "Response 2", "Response 3"]
    assert prompt_of(chair.requests[0]).count(f"I like {labels['Two.']} best.") == 3


async def test_labels_are_shuffled_for_each_reviewer_and_repeat_with_the_seed():
    def orders(members: list[Voice]) -> list[list[str]]:
        return [list(shown(member.reviews()[0]).values()) for member in members]

    seen: list[list[list[str]]] = []
    for seed in (1, 1, 2):
        members = [Voice(f"acme/{n}", f"Opinion {n}.") for n in range(8)]
        await ask(Council(members, chairman=Voice(CHAIR, "-"), seed=seed, exclude_own=False))
        seen.append(orders(members))
    assert seen[0] == seen[1] != seen[2]
    assert len({tuple(order) for order in seen[0]}) == 8


@pytest.mark.parametrize("exclude_own", [True, False])
async def test_own_answers_are_left_out_of_the_review_unless_wished_otherwise(exclude_own: bool):
    members = voices()
    council = Council(members, chairman=Voice(CHAIR, "-"), exclude_own=exclude_own)
    await ask(council)
    for member in members:
        assert (member.opinion in shown(member.reviews()[0]).values()) is not exclude_own


async def test_reviewers_of_their_own_review_everything_and_give_no_opinion():
    members, critic = voices(), Voice("other/critic", "-", TASTE)
    await ask(Council(members, chairman=Voice(CHAIR, "-"), reviewers=[critic]))
    assert [is_review(request) for request in critic.requests] == [True]
    assert len(shown(critic.requests[0])) == 3
    assert all(len(member.requests) == 1 for member in members)


async def test_more_than_26_answers_are_ranked():
    members = [Voice(f"acme/{n}", f"Opinion {n}.") for n in range(30)]
    critic = Voice("other/critic", "-", [f"Opinion {n}." for n in reversed(range(30))])
    reply = answer(await ask(Council(members, chairman=Voice(CHAIR, "-"), reviewers=[critic])))
    assert reply.trace is not None
    (ranking,) = [node for node in reply.trace.walk() if node.kind == "ranking"]
    assert ranking.preview.startswith("acme/29 > acme/28 > ")


async def test_all_are_asked_at_once_in_each_stage():
    members = voices()
    gates = {stage: asyncio.Event() for stage in ("opinion", "review")}
    for member in members:
        member.gates = gates
    running = asyncio.create_task(ask(Council(members, chairman=Voice(CHAIR, "-"))))
    for stage, gate in gates.items():
        for member in members:  # all are reached before any may speak
            await member.reached[stage].wait()
        gate.set()
    assert answer(await running).text == "The council's answer."


async def test_the_last_stage_streams_and_the_earlier_ones_are_nested():
    events = await ask(Council(voices(), chairman=Voice(CHAIR, "-")))
    pieces = [event.text for event in events if isinstance(event, TextDelta)]
    assert pieces == ["The ", "council's ", "answer."]
    stages = dict.fromkeys(event.path[0] for event in events if isinstance(event, Nested))
    assert list(stages)[:2] == ["opinions", "reviews"]
    last_nested = max(
        i for i, e in enumerate(events) if isinstance(e, Nested) and e.path[0] == "reviews"
    )
    assert last_nested < next(i for i, e in enumerate(events) if isinstance(e, TextStart))


async def test_usage_is_that_of_every_attempt_also_of_failed_ones():
    members = voices(three=ServerError("down"))
    call = Call()
    reply = answer(await ask(Council(members, chairman=Voice(CHAIR, "-")), call=call))
    assert len(call.attempts) == 3 + 2 + 1
    assert reply.usage == sum((attempt.usage for attempt in call.attempts), ZERO_USAGE)
    assert reply.trace is not None
    assert reply.trace.total == reply.usage


async def test_the_trace_tells_each_stage_in_the_members_order():
    members = [*voices(two=ServerError("down")), Voice("acme/four", "Four.", TASTE)]
    reply = answer(await ask(Council(members, chairman=Voice(CHAIR, "-"))))
    assert reply.trace is not None
    told = [(node.kind, node.model, node.status) for node in reply.trace.walk()]
    assert told[:11] == [
        ("council", "composite/council/big/chair", "ok"),
        ("stage", "", "ok"),
        ("opinion", "acme/one", "ok"),
        ("opinion", "acme/two", "error"),
        ("opinion", "acme/three", "ok"),
        ("opinion", "acme/four", "ok"),
        ("stage", "", "ok"),
        ("review", "acme/one", "ok"),
        ("review", "acme/three", "ok"),
        ("review", "acme/four", "ok"),
        ("ranking", "", "ok"),
    ]
    assert (CHAIR, "ok") in [(model, status) for _, model, status in told[11:]]


async def test_in_the_trace_reviews_call_the_opinions_by_their_members():
    reply = answer(await ask(Council(voices(), chairman=Voice(CHAIR, "-"))))
    assert reply.trace is not None
    reviews = [node.preview for node in reply.trace.walk() if node.kind == "review"]
    assert [review.partition("\n")[0] for review in reviews] == [
        "I like Response acme/two best.",
        "I like Response acme/three best.",
        "I like Response acme/two best.",
    ]


async def test_the_reply_begins_with_a_summary_with_a_section_for_each_stage():
    reply = answer(await ask(Council(voices(), chairman=Voice(CHAIR, "-"))))
    first = reply.content[0]
    assert isinstance(first, Thinking)
    assert first.producer == "composite"
    titles = [section.partition("\n")[0] for section in first.text.split("\n\n")]
    assert titles == ["Opinions", "Reviews", "Ranking", "Chairman"]
    assert "Ranking\n- acme/two: mean rank 1.00, Borda 1.00, by 2 rankings\n" in first.text
    assert [type(block) for block in reply.content[1:]] == [Text]


async def test_the_summary_is_never_said_to_a_model_again():
    members, chair = voices(), Voice(CHAIR, "-")
    council = Council(members, chairman=chair)
    reply = answer(await ask(council))
    await ask(council, Request(messages=[user("Why?"), reply, user("And?")]))
    for voice in (*members, chair):
        said = [
            block for request in voice.requests for m in request.messages for block in m.content
        ]
        assert not any(isinstance(block, Thinking) for block in said)


async def test_a_review_without_a_ranking_is_read_but_does_not_count():
    members, chair = voices(), Voice(CHAIR, "-")
    members[0].taste = "All are fine."
    events = await ask(Council(members, chairman=chair))
    assert "All are fine." in prompt_of(chair.requests[0])
    warned = [event.text for event in events if isinstance(event, Warned)]
    assert any("acme/one" in text and "ranking" in text for text in warned)


@pytest.mark.parametrize("kind", [OverloadedError, AbortedError])
async def test_when_every_review_fails_the_chairman_goes_on_without(kind: type[PolyvoxError]):
    members, chair = voices(), Voice(CHAIR, "-")
    for member in members:
        member.taste = kind("full")
    events = await ask(Council(members, chairman=chair))
    assert answer(events).text == "The council's answer."
    assert "Borda" not in prompt_of(chair.requests[0])
    assert any(isinstance(event, Warned) and "review" in event.text for event in events)


async def test_a_single_answer_has_nobody_to_be_compared_with():
    chair = Voice(CHAIR, "-")
    (alone,) = members = [Voice("acme/one", "One.")]
    await ask(Council(members, chairman=chair))
    assert len(alone.requests) == 1
    assert list(shown(chair.requests[0]).values()) == ["One."]


async def test_where_nothing_is_ranked_the_summary_has_no_ranking():
    members = [Voice("acme/one", "One."), Voice("acme/two", "Two.")]
    told = answer(await ask(Council(members, chairman=Voice(CHAIR, "-")))).thinking
    titles = [section.splitlines()[0] for section in told.split("\n\n")]
    assert titles == ["Opinions", "Reviews", "Chairman"]


async def test_json_reviews_are_ranked_where_json_is_asked_for():
    members, chair = voices(), Voice(CHAIR, "-")
    members[0].taste = '{"review": "Good.", "ranking": ["Response B", "Response A"]}'
    json_reviewer = Member(members[0], settings={"response_format": ResponseFormat()})
    reply = answer(await ask(Council([json_reviewer, *members[1:]], chairman=chair)))
    asked = members[0].reviews()[0]
    assert asked.response_format is not None
    assert asked.response_format.name == "review"
    assert all(member.reviews()[0].response_format is None for member in members[1:])
    assert reply.trace is not None
    (ranking,) = [node for node in reply.trace.walk() if node.kind == "ranking"]
    assert [node.preview[-13:] for node in ranking.children] == ["by 2 rankings"] * 3


async def test_samples_are_answers_of_their_own_and_their_member_reviews_once():
    one, two = Voice("acme/one", "One."), Voice("acme/two", "Two.")
    await ask(Council([Member(one, samples=2), two], chairman=Voice(CHAIR, "-")))
    assert [is_review(request) for request in one.requests] == [False, False, True]
    assert list(shown(one.reviews()[0]).values()) == ["Two."]
    assert list(shown(two.reviews()[0]).values()) == ["One.", "One."]


async def test_a_council_of_councils_is_one_tree():
    inner = [
        Council(voices(), chairman=Voice(f"mid/{name}", "-", final=f"From {name}."), name=name)
        for name in ("left", "right")
    ]
    call = Call()
    reply = answer(await ask(Council(inner, chairman=Voice(CHAIR, "-")), call=call))
    assert reply.trace is not None
    assert len(call.attempts) == 2 * (7 + 7) + 1  # each is asked for an opinion and a review
    assert reply.usage == reply.trace.total == sum((a.usage for a in call.attempts), ZERO_USAGE)
    assert sum(node.kind == "council" for node in reply.trace.walk()) == 5


async def test_a_council_of_mixtures_of_agents_is_one_tree():
    opinions = {"left": "Two.", "right": "One."}
    mixtures = [
        MixtureOfAgents(
            [Voice(f"{name}/a", "-", "-"), Voice(f"{name}/b", "-", "-")],
            aggregator=Voice(f"{name}/sum", opinion, "FINAL RANKING: A > B"),
            name=name,
        )
        for name, opinion in opinions.items()
    ]
    call, chair = Call(), Voice(CHAIR, "-")
    council = Council(mixtures, chairman=chair, exclude_own=False)
    events = await ask(council, call=call)
    reply = answer(events)
    assert sorted(shown(chair.requests[0]).values()) == ["One.", "Two."]
    assert len(call.attempts) == 2 * (3 + 3) + 1
    assert reply.trace is not None
    assert reply.usage == reply.trace.total == sum((a.usage for a in call.attempts), ZERO_USAGE)
    assert [node.kind for node in reply.trace.walk()].count("moa") == 4
    paths = {tuple(event.path) for event in events if isinstance(event, Nested)}
    assert ("opinions", "left", "layer 1", "left/a") in paths
    assert quote_of(council, Request(messages=[user("Why?")])).cost.nanos == 13 * 10_000


async def test_an_interrupt_in_the_second_stage_cancels_every_branch():
    members, interrupt = voices(), Interrupt()
    for member in members:
        member.gates = {"review": asyncio.Event()}
    council = Council(members, chairman=Voice(CHAIR, "-"))
    call = Call(interrupt=interrupt)
    running = asyncio.create_task(ask(council, call=call))
    for member in members:
        await member.reached["review"].wait()
    interrupt.set("enough")
    failure = error(await running)
    assert isinstance(failure, AbortedError)
    assert failure.text == "enough"
    assert [member.cancelled for member in members] == [1, 1, 1]
    assert failure.message is not None
    assert failure.message.usage == sum((a.usage for a in call.attempts), ZERO_USAGE)
    assert failure.message.trace is not None


async def test_after_an_interrupt_the_chairman_is_not_asked_though_a_review_is_there():
    members, chair, interrupt = voices(), Voice(CHAIR, "-"), Interrupt()
    for member in members[1:]:
        member.gates = {"review": asyncio.Event()}

    def stop_after_a_review(event: Event) -> None:
        if (
            isinstance(event, Nested)
            and event.path[0] == "reviews"
            and isinstance(event.event, Done)
        ):
            interrupt.set("enough")

    events = await ask(
        Council(members, chairman=chair),
        call=Call(interrupt=interrupt),
        on_event=stop_after_a_review,
    )
    assert isinstance(error(events), AbortedError)
    assert [member.cancelled for member in members] == [0, 1, 1]
    assert chair.requests == []


async def test_closing_the_stream_in_the_second_stage_cancels_every_branch():
    members = voices()
    for member in members[1:]:
        member.gates = {"review": asyncio.Event()}
    council, call = Council(members, chairman=Voice(CHAIR, "-")), Call()
    async with aclosing(council.stream(Request(messages=[user("Why?")]), call)) as events:
        async for event in events:
            if isinstance(event, Nested) and event.path[0] == "reviews":
                break
    assert [member.cancelled for member in members] == [0, 1, 1]
    assert call.partial is not None
    assert call.partial.usage == sum((a.usage for a in call.attempts), ZERO_USAGE)


async def test_the_quote_is_that_of_the_whole_tree():
    members, chair = voices(), Voice(CHAIR, "-")
    quote = quote_of(Council(members, chairman=chair), Request(messages=[user("Why?")]))
    assert quote.cost.nanos == 7 * 10_000
    assert quote.basis == "estimated"


async def test_the_quote_counts_every_chairman_and_the_rounds_of_tools_of_the_dearest():
    class Dear(Voice):
        def quote(self, request: Request) -> Usage:
            return Usage(1, 1, cost=Cost("known", 50_000))

    council = Council(voices(), chairman=[Voice(CHAIR, "-"), Dear("big/dear", "-")])
    request = Request(messages=[user("Why?")], tools=[ToolDefinition("look")])
    assert quote_of(council, request).cost.nanos == 7 * 10_000 + 50_000
    chairmen = [Voice(CHAIR, "-"), Dear("big/dear", "-")]
    tooled = Council(voices(), chairman=chairmen, tool_executor=ToolLoop(lambda call: "", 2))
    assert quote_of(tooled, request).cost.nanos == 7 * 10_000 + 3 * 50_000


async def test_the_quote_counts_that_answers_come_back_as_prompts():
    class Counting(Voice):
        def quote(self, request: Request) -> Usage:
            return Usage(len(prompt_of(request)), 1_000, basis="estimated")

    request = Request(messages=[user("Why?")])
    members = [Counting(f"acme/{n}", "-") for n in range(3)]
    quote = quote_of(Council(members, chairman=Counting(CHAIR, "-")), request)
    assert quote.output_tokens == 7_000
    assert quote.input_tokens > 3 * 2_000 + 3_000 + 3_000


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"members": []}, "members is empty"),
        ({"members": "acme/one"}, "members is a string"),
        ({"reviewers": []}, "reviewers is empty"),
        ({"quorum": 4}, "quorum is 4"),
        ({"quorum": 0}, "quorum is 0"),
        ({"timeout": 0}, "timeout is 0"),
        ({"chairman": "big/chair"}, "chairman"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, object], text: str):
    given: dict[str, object] = {"members": voices(), "chairman": Voice(CHAIR, "-")} | arguments
    with pytest.raises(ConfigurationError, match=text):
        Council(given.pop("members"), **given)  # type: ignore[arg-type]


# The weaknesses that a published council was found to have.


async def test_weakness_1_settings_reach_every_call_and_tools_only_the_chairman():
    members, chair = voices(), Voice(CHAIR, "-")
    tools = [ToolDefinition("look")]
    request = Request(messages=[user("Why?")], tools=tools, tool_choice="auto", temperature=0.33)
    await ask(Council(members, chairman=chair), request)
    asked = [each for voice in (*members, chair) for each in voice.requests]
    assert {each.temperature for each in asked} == {0.33}
    assert [each.tools for each in asked] == [[]] * 6 + [tools]
    assert [each.tool_choice for each in asked] == [None] * 6 + ["auto"]


async def test_weakness_3_who_failed_neither_reviews_nor_is_reviewed_and_is_reported():
    members, chair = voices(two=ServerError("acme/two is on fire")), Voice(CHAIR, "-")
    events = await ask(Council(members, chairman=chair))
    assert len(members[1].requests) == 1
    assert sorted(shown(chair.requests[0]).values()) == ["One.", "Three."]
    assert any(isinstance(event, Warned) and "acme/two" in event.text for event in events)


async def test_weakness_3_no_prompt_names_a_model_or_an_error():
    members, chair = voices(two=ServerError("acme/two is on fire")), Voice(CHAIR, "-")
    members[2].taste = OverloadedError("acme/three is full")
    await ask(Council(members, chairman=chair))
    for voice in (*members, chair):
        for request in voice.requests:
            told = prompt_of(request)
            assert not any(word in told for word in ("acme", 'chair"', "big/", "fire", "full."))


async def test_weakness_3_all_failing_is_an_error_that_names_each():
    members = [Voice(f"acme/{name}", ServerError(f"{name} is down")) for name in ("one", "two")]
    chair = Voice(CHAIR, "-")
    failure = error(await ask(Council(members, chairman=chair)))
    assert isinstance(failure, ServerError)
    assert "acme/one: one is down" in failure.text
    assert "acme/two: two is down" in failure.text
    assert chair.requests == []


async def test_weakness_3_fewer_than_the_quorum_are_an_error():
    members = voices(two=ServerError("down"))
    failure = error(await ask(Council(members, chairman=Voice(CHAIR, "-"), quorum=3)))
    assert "only 2 of 3 answered and 3 must" in failure.text
    assert not any(member.reviews() for member in members)


async def test_weakness_4_when_the_chairman_fails_another_takes_the_chair():
    chairs = [Voice("big/first", "-", final=ServerError("down")), Voice("big/second", "-")]
    events = await ask(Council(voices(), chairman=chairs))
    assert answer(events).text == "The council's answer."
    assert any(isinstance(event, Warned) and "big/first" in event.text for event in events)


async def test_weakness_4_without_a_chairman_the_best_ranked_answer_is_given_and_marked():
    chair = Voice(CHAIR, "-", final=ServerError("down"))
    events = await ask(Council(voices(), chairman=chair))
    reply = answer(events)
    assert reply.text == "Two."
    assert reply.trace is not None
    assert "fallback" in {node.status for node in reply.trace.walk()}
    assert any(isinstance(event, Warned) and CHAIR in event.text for event in events)


async def test_weakness_5_who_is_late_is_left_out():
    members, chair = voices(), Voice(CHAIR, "-")
    members[0].gates = {"opinion": asyncio.Event()}
    late = Member(members[0], timeout=0.02)
    reply = answer(await ask(Council([late, *members[1:]], chairman=chair)))
    assert sorted(shown(chair.requests[0]).values()) == ["Three.", "Two."]
    assert members[0].cancelled == 1
    assert reply.trace is not None
    assert "timeout" in [node.status for node in reply.trace.walk() if node.model == "acme/one"]


async def test_weakness_5_the_timeout_ends_a_stage_with_what_is_there():
    members, chair = voices(), Voice(CHAIR, "-")
    members[0].gates = {"opinion": asyncio.Event()}
    members[1].gates = {"review": asyncio.Event()}
    answer(await ask(Council(members, chairman=chair, timeout=0.05)))
    assert sorted(shown(chair.requests[0]).values()) == ["Three.", "Two."]
    assert prompt_of(chair.requests[0]).count("<review name=") == 1


async def test_weakness_5_past_the_calls_deadline_nothing_is_asked_any_more():
    members, chair = voices(), Voice(CHAIR, "-")
    for member in members:
        member.gates = {"opinion": asyncio.Event()}
    failure = error(
        await ask(Council(members, chairman=chair), call=Call(deadline=time.monotonic() + 0.02))
    )
    assert failure.kind == "timeout"
    assert chair.requests == []


async def test_weakness_7_usage_that_nobody_told_is_not_called_nothing():
    class Silent(Voice):
        async def stream(self, request: Request, call: Call):  # type: ignore[override]
            async with aclosing(super().stream(request, Call())) as events:
                async for event in events:
                    if hasattr(event, "message"):
                        event.message.usage = NO_USAGE
                    yield event

    members = [Silent("acme/one", "One."), Voice("acme/two", "Two.")]
    reply = answer(await ask(Council(members, chairman=Voice(CHAIR, "-"))))
    assert reply.trace is not None
    assert reply.trace.total.basis == "missing"


async def test_weakness_8_the_chairmans_tool_calls_bubble_up():
    chair = Voice(CHAIR, "-", final=ToolCall("c1", "look", {"at": "sky"}))
    request = Request(messages=[user("Why?")], tools=[ToolDefinition("look")])
    reply = answer(await ask(Council(voices(), chairman=chair), request))
    assert reply.stop_reason == "tool_calls"
    assert [call.name for call in reply.tool_calls] == ["look"]


async def test_weakness_8_an_executor_runs_the_chairmans_tools_and_only_the_chairman_is_asked_again():
    class Tooled(Voice):
        async def stream(self, request: Request, call: Call):  # type: ignore[override]
            self.final = "Blue." if request.messages[-1].role == "tool" else ToolCall("c1", "look")
            async with aclosing(super().stream(request, call)) as events:
                async for event in events:
                    yield event

    members, chair = voices(), Tooled(CHAIR, "-")
    council = Council(members, chairman=chair, tool_executor=lambda call: f"{call.name}ed")
    request = Request(messages=[user("Why?")], tools=[ToolDefinition("look")])
    reply = answer(await ask(council, request))
    assert reply.text == "Blue."
    assert reply.tool_calls == []
    assert chair.requests[-1].messages[-1].text == "looked"
    assert [len(voice.requests) for voice in (*members, chair)] == [2, 2, 2, 2]


async def test_weakness_9_pictures_stay_as_they_are_and_nothing_of_the_callers_is_changed():
    picture = Image(url="https://example.com/cat.png")
    request = Request(messages=[user("What is this?", picture)], system=[Text("Be brief.")])
    before = msgspec.json.encode(request)
    members, chair = voices(), Voice(CHAIR, "-")
    await ask(Council(members, chairman=chair), request)
    assert msgspec.json.encode(request) == before
    for voice in (*members, chair):
        assert all(picture in each.messages[0].content for each in voice.requests)


async def test_weakness_10_nobody_gets_two_system_messages_or_two_user_messages_in_a_row():
    members, chair = voices(), Voice(CHAIR, "-")
    talk = [user("Hi."), assistant("Hello."), user("Why?")]
    await ask(Council(members, chairman=chair), Request(messages=talk, system=[Text("Be brief.")]))
    for voice in (*members, chair):
        for request in voice.requests:
            assert [message.role for message in request.messages] == ["user", "assistant", "user"]
            assert len(request.system) == 1
            assert request.system[0].text.startswith("Be brief.")


async def test_weakness_11_nothing_is_printed(capsys: pytest.CaptureFixture[str]):
    await ask(Council(voices(two=ServerError("down")), chairman=Voice(CHAIR, "-")))
    assert capsys.readouterr() == ("", "")


async def test_weakness_13_the_trace_has_times_and_errors():
    reply = answer(await ask(Council(voices(two=ServerError("down")), chairman=Voice(CHAIR, "-"))))
    assert reply.trace is not None
    opinions, reviews = [node for node in reply.trace.walk() if node.kind == "stage"]
    assert 0 <= opinions.started <= reviews.started
    assert [node.error for node in opinions.children] == ["", "down", ""]
