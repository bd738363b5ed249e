"""Scripts: how they are read, what is wrong with them, and how simulated/scripted plays them."""

from pathlib import Path
from typing import Any

import pytest

from polyvox.assembly import fold
from polyvox.errors import BadRequestError, ConfigurationError, RateLimitError
from polyvox.events import Done, Event, Failed, TextDelta, TextEnd, TextStart, Warned
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, assistant, user
from polyvox.model import Call
from polyvox.providers.simulated import ScriptedModel, load_script, simulated_model
from polyvox.providers.simulated.grammar import check_grammar
from polyvox.request import Request
from polyvox.usage import FREE, Cost, Usage

ASKED = Request(messages=[user("one two three")])


async def events_of(model: Any, asked: Request = ASKED) -> list[Event]:
    events = [event async for event in model.stream(asked, Call())]
    check_grammar(events)
    return events


async def play(*turns: Any) -> list[AssistantMessage]:
    model = ScriptedModel(list(turns))
    return [fold(await events_of(model)) for _ in turns]


async def test_turns_are_played_in_order():
    one, two = await play("Hello.", {"message": {"content": "Bye."}})
    assert (one.text, two.text) == ("Hello.", "Bye.")
    assert (one.provider, one.model) == ("simulated", "scripted")


async def test_a_message_is_played_with_all_it_holds():
    call = {"type": "tool_call", "id": "c1", "name": "rain", "arguments": {"n": 2**70}}
    thought = {"type": "thinking", "text": "hm", "signature": "sig"}
    (message,) = await play(
        {"message": {"content": [thought, {"type": "text", "text": "a"}, call]}}
    )
    assert message.content == [
        Thinking("hm", "sig"),
        Text("a"),
        ToolCall("c1", "rain", {"n": 2**70}),
    ]
    assert message.stop_reason == "tool_calls"


async def test_usage_is_counted_unless_the_script_says_it():
    said = {"content": "a", "usage": {"input_tokens": 7, "output_tokens": 0, "basis": "reported"}}
    counted, stated = await play("to be", {"message": said})
    assert counted.usage == Usage(3, 2, cost=FREE)
    assert stated.usage == Usage(7, 0, cost=FREE)


async def test_a_cost_in_the_script_stays():
    cost = {"status": "known", "nanos": 5}
    (message,) = await play({"message": {"content": "a", "usage": {"cost": cost}}})
    assert message.usage.cost == Cost("known", 5)


async def test_events_are_played_as_they_stand():
    events = [
        {"type": "start", "id": "abc"},
        {"type": "warning", "text": "careful"},
        {"type": "text_start", "index": 0},
        {"type": "text_delta", "index": 0, "text": "a\u2028b"},
        {"type": "text_end", "index": 0, "block": {"type": "text", "text": "a\u2028b"}},
        {"type": "done", "message": {"role": "assistant", "content": [], "stop_reason": "length"}},
    ]
    played = await events_of(ScriptedModel([{"events": events}]))
    assert [type(e) for e in played[1:5]] == [Warned, TextStart, TextDelta, TextEnd]
    assert played[0].id == "abc"
    assert played[-1].message.stop_reason == "length"


async def test_start_and_ending_of_events_may_be_left_out():
    (message,) = await play([TextStart(0), TextDelta(0, "a"), TextEnd(0, Text("a"))])
    assert message.text == "a"
    assert message.stop_reason == "stop"
    assert message.usage.output_tokens == 1


async def test_an_error_is_played_anew_each_time():
    error = {"kind": "rate_limit", "text": "slow down", "retry_after": 2}
    model = ScriptedModel([{"error": error, "repeat": True}])
    (one,), (two,) = await events_of(model), await events_of(model)
    assert isinstance(one, Failed)
    assert isinstance(two, Failed)
    assert isinstance(one.error, RateLimitError)
    assert one.error.retry_after == 2
    assert one.error is not two.error


async def test_python_values_are_turns_too():
    said, error = await play(assistant("hi"), RateLimitError("no", retry_after=1))
    assert said.text == "hi"
    assert error.error == "no"


async def test_python_values_may_have_knobs_and_be_repeated():
    model = ScriptedModel(
        [
            {"error": RateLimitError("no"), "knobs": {"text_piece": 1}},
            {"message": assistant("hi"), "repeat": True},
        ]
    )
    error, said, again = [fold(await events_of(model)) for _ in range(3)]
    assert (error.error, said.text, again.text) == ("no", "hi", "hi")


async def test_the_script_running_out_is_an_error_that_says_which_turn_was_asked_for():
    model = ScriptedModel(["a", "b"])
    await events_of(model)
    await events_of(model)
    (last,) = await events_of(model)
    assert isinstance(last, Failed)
    assert isinstance(last.error, ConfigurationError)
    assert "has 2 turns, and script[2] was asked for" in last.error.text


async def test_the_last_turn_repeats_if_it_says_so():
    model = ScriptedModel(["a", {"message": {"content": "b"}, "repeat": True}])
    assert [fold(await events_of(model)).text for _ in range(4)] == ["a", "b", "b", "b"]


async def test_what_was_asked_is_kept():
    model = ScriptedModel(["a"], name="test/mine")
    await events_of(model)
    assert model.requests == [ASKED]
    assert model.name == "test/mine"


async def test_a_played_message_is_not_the_next_ones():
    model = ScriptedModel([{"message": {"content": "a"}, "repeat": True}])
    fold(await events_of(model)).content.clear()
    assert fold(await events_of(model)).text == "a"


async def test_a_request_may_bring_its_script_along():
    options = {"simulated": {"script": ["first", "second"]}}
    model = simulated_model("scripted")
    fresh = Request(messages=[user("a")], options=options)
    later = Request(messages=[user("a"), assistant("first"), user("b")], options=options)
    assert fold(await events_of(model, later)).text == "second"
    assert fold(await events_of(model, fresh)).text == "first"


async def test_a_script_brought_along_and_used_up_fails():
    options = {"simulated": {"script": ["first"]}}
    asked = Request(messages=[user("a"), assistant("first"), user("b")], options=options)
    (last,) = await events_of(simulated_model("scripted"), asked)
    assert isinstance(last, Failed)
    assert "script[1] was asked for" in last.error.text


@pytest.mark.parametrize("source", ['["a"]', b'["a"]', ["a"]])
def test_scripts_come_as_text_or_value(source: Any):
    assert load_script(source).turn(0).message().text == "a"


def test_scripts_come_from_files(tmp_path: Path):
    path = tmp_path / "script.json"
    path.write_text('["a"]')
    assert load_script(path).turn(0).message().text == "a"
    with pytest.raises(ConfigurationError, match=r"other\.json can't be read"):
        load_script(tmp_path / "other.json")


TEXT_START = {"type": "text_start", "index": 0}


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("script.json", "no JSON"),
        ("{}", "a list of at least one turn"),
        ("[]", "a list of at least one turn"),
        (["a", 5], r"script\[1\] is no turn"),
        ([[1, 2]], r"script\[0\] is no turn"),
        (["a", {}], r"script\[1\] needs exactly one of message, events, error; it has 0"),
        ([{"message": {"content": ""}, "error": {"text": "a"}}], "exactly one .* it has 2"),
        ([{"massage": {}}], r"script\[0\] has no field 'massage'. Did you mean 'message'"),
        ([{"message": {}}], r"script\[0\]\.message: .*`content`"),
        ([{"message": {"content": [], "contnt": 1}}], "no field 'contnt'. Did you mean 'content'"),
        ([{"message": {"content": [{"type": "text"}]}}], r"\.message\.content\[0\]: .*`text`"),
        (
            [{"message": {"content": [{"type": "text", "text": "", "colour": 1}]}}],
            r"script\[0\]\.message\.content\[0\] has no field 'colour'",
        ),
        (
            [{"message": {"content": "", "usage": {"input_token": 1}}}],
            r"\.usage has no field 'input_token'. Did you mean 'input_tokens'",
        ),
        ([{"message": {"content": "", "stop_reason": "done"}}], r"\.message\.stop_reason: "),
        ([{"events": {}}], r"script\[0\]\.events: a list is needed"),
        ([{"events": [{"type": "text_strt"}]}], r"script\[0\]\.events\[0\]\.type: "),
        ([{"events": [{**TEXT_START, "text": "a"}]}], r"\.events\[0\] has no field 'text'"),
        ([{"events": [TEXT_START]}], r"script\[0\]\.events: .* open blocks are left: 0"),
        ([{"events": [TEXT_START, TEXT_START]}], r"event 2 .*index 0 was used before"),
        ([{"error": "no"}], r"script\[0\]\.error: an object is needed"),
        ([{"error": {"kind": "rate_limit"}}], r"script\[0\]\.error\.text"),
        (
            [{"error": {"kind": "rate_limt", "text": "a"}}],
            r"error\.kind: there is no kind 'rate_limt'",
        ),
        (
            [{"error": {"text": "a", "retry_afte": 1}}],
            "no field 'retry_afte'. Did you mean 'retry_after'",
        ),
        ([{"message": {"content": ""}, "knobs": 1}], r"script\[0\]\.knobs: an object"),
        ([{"message": {"content": ""}, "repeat": 1}], r"script\[0\]\.repeat: true or false"),
        ([{"message": {"content": ""}, "repeat": True}, "a"], "only the last turn may be repeated"),
    ],
)
def test_a_wrong_script_is_an_error_that_names_turn_and_field(source: Any, problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        load_script(source)


async def test_a_wrong_script_in_a_request_is_a_bad_request():
    asked = Request(messages=[user("a")], options={"simulated": {"script": [{}]}})
    (last,) = await events_of(simulated_model("scripted"), asked)
    assert isinstance(last, Failed)
    assert isinstance(last.error, BadRequestError)


async def test_a_scripted_ending_of_error_is_a_failure():
    message = {"content": "par", "stop_reason": "error", "error": "broke"}
    *_, last = await events_of(ScriptedModel([{"message": message}]))
    assert isinstance(last, Failed)
    assert last.message.text == "par"
    assert not isinstance(last, Done)
