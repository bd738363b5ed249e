"""Streams of OpenAI's likes, in all the ways they go right and wrong."""

import json
from typing import Any

import pytest

from polyvox.dialects import Quirks, ServerSentEvent, Target, get_dialect
from polyvox.errors import (
    AbortedError,
    ContentFilterError,
    ContextWindowExceededError,
    NetworkError,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    ServerError,
)
from polyvox.events import Done, Event, Failed, Start, TextDelta, ToolCallStart, Warned
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall
from polyvox.usage import Cost, Usage

TARGET = Target(provider="acme", model="sage-1", base_url="https://acme.example/v1")
DIALECT = get_dialect("openai-chat")
PRODUCER = "acme/sage-1"
DONE = "[DONE]"


def chunk(
    delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any
) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "sage-1-0825", "choices": [choice], **more}


def call(index: int | None = None, **fields: Any) -> dict[str, Any]:
    function = {name: fields.pop(name) for name in ("name", "arguments") if name in fields}
    numbered = {} if index is None else {"index": index}
    return {**numbered, **fields, "function": function}


def play(*frames: Any, target: Target = TARGET) -> list[Event]:
    """All events of a stream: dicts are sent as JSON, strings and frames as they are."""
    decoder = DIALECT.stream_decoder(target)
    events: list[Event] = []
    for frame in frames:
        if not isinstance(frame, ServerSentEvent):
            text = frame if isinstance(frame, str) else json.dumps(frame)
            frame = ServerSentEvent(text.encode())
        events += decoder.feed(frame)
    return events + decoder.close()


def answer(*frames: Any, target: Target = TARGET) -> AssistantMessage:
    last = play(*frames, target=target)[-1]
    assert isinstance(last, Done), last
    return last.message


def failure(*frames: Any) -> Failed:
    last = play(*frames)[-1]
    assert isinstance(last, Failed), last
    assert last.error.message is last.message
    return last


def warnings(*frames: Any, target: Target = TARGET) -> list[str]:
    return [event.text for event in play(*frames, target=target) if isinstance(event, Warned)]


# Ends


def test_a_plain_answer():
    events = play(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        DONE,
    )
    assert events[0] == Start("acme", "sage-1", "chatcmpl-1")
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hel", "lo"]
    assert isinstance(events[-1], Done)
    assert events[-1].message == AssistantMessage(
        [Text("Hello")],
        provider="acme",
        model="sage-1",
        response_model="sage-1-0825",
        id="chatcmpl-1",
    )


def test_an_end_without_finish_reason_and_done_is_a_failure_that_keeps_what_came():
    failed = failure(chunk({"content": "Hel"}))
    assert isinstance(failed.error, ProtocolError)
    assert "stopped before its end" in failed.error.text
    assert (failed.error.provider, failed.error.model) == ("acme", "sage-1")
    assert failed.message.text == "Hel"
    assert failed.message.stop_reason == "error"


def test_an_end_after_the_finish_reason_is_complete_but_warns_where_done_was_due():
    frames = (chunk({"content": "Hello"}, "stop"),)
    assert answer(*frames).text == "Hello"
    assert "without [DONE]" in warnings(*frames)[0]
    unmarked = Target(
        provider="acme",
        model="sage-1",
        base_url="https://acme.example",
        quirks=Quirks(done_marker=False),
    )
    assert warnings(*frames, target=unmarked) == []


def test_done_without_a_finish_reason_ends_an_answer_but_warns():
    frames = (chunk({"content": "Hello"}), DONE)
    assert answer(*frames).stop_reason == "stop"
    assert "finish_reason" in warnings(*frames)[0]


@pytest.mark.parametrize(
    "frames",
    [
        (),
        ("",),
        (DONE,),
        (chunk({"role": "assistant", "content": ""}), DONE),
        ({"choices": []}, DONE),
    ],
)
def test_a_stream_that_says_nothing_is_a_failure(frames: tuple[Any, ...]):
    failed = failure(*frames)
    assert isinstance(failed.error, ProtocolError)
    assert "empty" in failed.error.text
    assert failed.error.retryable


def test_an_empty_answer_with_a_finish_reason_is_an_answer():
    assert (
        answer(chunk({"role": "assistant", "content": ""}), chunk({}, "stop"), DONE).content == []
    )


def test_nothing_comes_after_the_end():
    decoder = DIALECT.stream_decoder(TARGET)
    decoder.feed(ServerSentEvent(json.dumps(chunk({"content": "a"}, "stop")).encode()))
    assert isinstance(decoder.feed(ServerSentEvent(b"[DONE]"))[-1], Done)
    assert decoder.ended
    assert decoder.feed(ServerSentEvent(b'{"error": "late"}')) == []
    assert decoder.close() == decoder.fail(NetworkError("gone")) == []


def test_a_connection_that_breaks_keeps_what_came():
    decoder = DIALECT.stream_decoder(TARGET)
    decoder.feed(ServerSentEvent(json.dumps(chunk({"content": "Hel"})).encode()))
    assert decoder.message().text == "Hel"
    last = decoder.fail(NetworkError("connection reset"))[-1]
    assert isinstance(last, Failed)
    assert isinstance(last.error, NetworkError)
    assert last.message.text == "Hel"


def test_a_connection_that_breaks_after_the_finish_reason_costs_only_the_usage():
    decoder = DIALECT.stream_decoder(TARGET)
    decoder.feed(ServerSentEvent(json.dumps(chunk({"content": "Hello"}, "stop")).encode()))
    *_, warned, _, last = decoder.fail(NetworkError("connection reset"))
    assert isinstance(last, Done)
    assert isinstance(warned, Warned)
    assert "connection reset" in warned.text


def test_an_interrupt_holds_even_after_the_finish_reason():
    decoder = DIALECT.stream_decoder(TARGET)
    decoder.feed(ServerSentEvent(json.dumps(chunk({"content": "Hello"}, "stop")).encode()))
    last = decoder.fail(AbortedError("stop"))[-1]
    assert isinstance(last, Failed)
    assert last.message.stop_reason == "aborted"


# What no chunk should be


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ({"error": {"message": "boom", "type": "server_error", "code": None}}, ServerError),
        ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, RateLimitError),
        ({"error": {"message": "no room", "code": 503}}, OverloadedError),
        (
            {"error": {"message": "too long", "code": "context_length_exceeded"}},
            ContextWindowExceededError,
        ),
        ({"error": "boom"}, ServerError),
        (
            {"object": "error", "message": "maximum context length is 10"},
            ContextWindowExceededError,
        ),
        ({"detail": "boom"}, ServerError),
        (ServerSentEvent(b'{"error": {"message": "boom"}}', "error"), ServerError),
        (ServerSentEvent(b'{"message": "boom", "code": "429"}', "error"), RateLimitError),
        (ServerSentEvent(b"boom", "error"), ServerError),
        ({**chunk({}), "error": {"message": "boom", "code": 502}}, ServerError),
    ],
)
def test_an_error_frame_ends_a_good_stream_as_failed(frame: Any, error: type[Exception]):
    failed = failure(chunk({"content": "Hel"}), frame, chunk({"content": "lo"}), DONE)
    assert type(failed.error) is error
    assert failed.message.text == "Hel"
    assert "boom" in failed.error.text or error is not ServerError


@pytest.mark.parametrize(
    "frame",
    ["<html><title>502</title></html>", '{"choices": 5}', '{"choices"', "null", "[1]", "ok"],
)
def test_a_frame_that_is_no_chunk_is_a_failure_that_shows_it(frame: str):
    failed = failure(chunk({"content": "Hel"}), frame, DONE)
    assert isinstance(failed.error, ProtocolError)
    assert failed.message.text == "Hel"
    assert frame in failed.error.text or "502" in failed.error.text


@pytest.mark.parametrize(
    "frame", [{"choices": []}, {"choices": None}, {}, {"id": "x", "timings": {"a": 1}}, ""]
)
def test_a_chunk_without_choices_changes_nothing(frame: Any):
    message = answer(frame, chunk({"content": "Hello"}), frame, chunk({}, "stop"), frame, DONE)
    assert message.text == "Hello"


def test_lone_surrogates_and_unknown_fields_do_no_harm():
    frame = '{"x": [1], "choices": [{"index": 0, "delta": {"content": "a\\ud83d"}, "y": {}}]}'
    assert answer(frame, chunk({}, "stop"), DONE).text == "a\ufffd"


def test_only_the_first_of_several_choices_is_kept():
    second = {"index": 1, "delta": {"content": "No"}, "finish_reason": "stop"}
    frames = (
        {**chunk(), "choices": [second]},
        chunk({"content": "Yes"}),
        {**chunk(), "choices": [second]},
        chunk({}, "stop"),
        DONE,
    )
    assert answer(*frames).text == "Yes"
    assert len(warnings(*frames)) == 1


# Finish reasons


@pytest.mark.parametrize(
    ("finish", "stop_reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("STOP", "stop"),
        ("max_tokens", "length"),
        ("model_length", "length"),
    ],
)
def test_finish_reasons_and_the_words_others_use(finish: str, stop_reason: str):
    frames = (chunk({"content": "a"}), chunk({}, finish), DONE)
    assert answer(*frames).stop_reason == stop_reason
    assert warnings(*frames) == []


def test_an_unknown_finish_reason_is_a_stop_with_a_warning():
    frames = (chunk({"content": "a"}), chunk({}, "tired"), DONE)
    assert answer(*frames).stop_reason == "stop"
    assert "tired" in warnings(*frames)[0]


def test_an_empty_finish_reason_is_none():
    assert isinstance(failure(chunk({"content": "a"}, "")).error, ProtocolError)


@pytest.mark.parametrize(
    ("finish", "error"),
    [
        ("content_filter", ContentFilterError),
        ("sensitive", ContentFilterError),
        ("error", ServerError),
        ("insufficient_system_resource", OverloadedError),
    ],
)
def test_a_finish_reason_that_means_failure_fails_and_keeps_what_came(
    finish: str, error: type[Exception]
):
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    failed = failure(chunk({"content": "Hel"}), chunk({}, finish, usage=usage), DONE)
    assert type(failed.error) is error
    assert failed.error.provider_code == finish
    assert failed.message.text == "Hel"
    assert failed.message.usage == Usage(3, 1, basis="partial")


def test_openrouter_says_in_the_choice_what_went_wrong():
    choice = {
        "index": 0,
        "delta": {"content": ""},
        "finish_reason": "error",
        "error": {"code": 429, "message": "upstream is busy"},
    }
    failed = failure(chunk({"content": "Hel"}), {**chunk(), "choices": [choice]}, DONE)
    assert isinstance(failed.error, RateLimitError)
    assert failed.error.text == "upstream is busy"


def test_tool_calls_make_a_stop_a_tool_calls():
    frames = (chunk({"tool_calls": [call(0, id="a", name="f", arguments="{}")]}), chunk({}, "stop"))
    assert answer(*frames, DONE).stop_reason == "tool_calls"


def test_announced_tool_calls_that_never_come_are_a_stop_with_a_warning():
    frames = (chunk({"content": "a"}), chunk({}, "tool_calls"), DONE)
    assert answer(*frames).stop_reason == "stop"
    assert len(warnings(*frames)) == 1


def test_a_refusal_is_an_answer_whose_text_it_is():
    message = answer(
        chunk({"refusal": "I "}), chunk({"refusal": "won't."}), chunk({}, "stop"), DONE
    )
    assert message.stop_reason == "refusal"
    assert message.content == [Text("I won't.")]


# Text and reasoning


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_comes_before_the_text(field: str):
    message = answer(
        chunk({"role": "assistant", "content": None, field: "Hm"}),
        chunk({field: "m."}),
        chunk({"content": "Yes."}),
        chunk({}, "stop"),
        DONE,
    )
    assert message.content == [Thinking("Hmm.", producer=PRODUCER), Text("Yes.")]


def test_reasoning_said_under_two_names_counts_once():
    delta = {"reasoning": "Hm.", "reasoning_content": "Hm."}
    assert answer(chunk(delta), chunk({"content": "Yes."}, "stop"), DONE).thinking == "Hm."


def test_openrouters_details_are_joined_and_kept_for_their_producer():
    def detail(**fields: Any) -> dict[str, Any]:
        return {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1", **fields}

    message = answer(
        chunk({"reasoning": "Hm", "reasoning_details": [detail(text="Hm")]}),
        chunk({"reasoning": "m.", "reasoning_details": [detail(text="m.")]}),
        chunk({"content": "", "reasoning_details": [detail(signature="c2ln")]}),
        chunk({"content": "Yes."}, "stop"),
        DONE,
    )
    details = [detail(text="Hmm.", signature="c2ln")]
    thinking = Thinking("Hmm.", meta={"reasoning_details": details}, producer=PRODUCER)
    assert message.content == [thinking, Text("Yes.")]


def test_reasoning_that_is_only_told_in_details_can_be_read_and_encrypted_one_is_kept():
    hidden = {"type": "reasoning.encrypted", "data": "Zm9v", "index": 1}
    message = answer(
        chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}]}),
        chunk({"reasoning_details": [hidden]}),
        chunk({"content": "Yes."}, "stop"),
        DONE,
    )
    thinking = message.content[0]
    assert isinstance(thinking, Thinking)
    assert thinking.text == "Hm."
    assert (thinking.meta or {})["reasoning_details"][1] == hidden


def test_content_may_be_a_list_of_parts():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    frames = (
        chunk({"content": [thinking]}),
        chunk({"content": [{"type": "text", "text": "Yes"}, "."]}),
        chunk({"content": [{"type": "hologram"}]}, "stop"),
        DONE,
    )
    assert answer(*frames).content == [Thinking("Hm.", producer=PRODUCER), Text("Yes.")]
    assert "unknown type" in warnings(*frames)[0]


def test_a_whole_message_in_a_chunk_counts_only_when_no_pieces_came():
    whole = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "stop"}
    last = {"id": "x", "choices": [whole]}
    assert answer(last, DONE).text == "Hello"
    assert answer(chunk({"content": "Hel"}), chunk({"content": "lo"}), last, DONE).text == "Hello"


# Tool calls


def calls_of(*deltas: dict[str, Any], finish: str = "tool_calls") -> list[ToolCall]:
    frames = [
        chunk({"tool_calls": delta if isinstance(delta, list) else [delta]}) for delta in deltas
    ]
    return answer(*frames, chunk({}, finish), DONE).tool_calls


def test_arguments_come_in_fragments_with_id_and_name_only_on_the_first():
    assert calls_of(
        call(0, id="a", name="weather", arguments=""),
        call(0, arguments='{"ci'),
        call(0, arguments='ty": "Oslo"}'),
    ) == [ToolCall("a", "weather", {"city": "Oslo"})]


def test_parallel_calls_may_interleave():
    assert calls_of(
        call(0, id="a", name="f", arguments='{"x"'),
        call(1, id="b", name="g", arguments='{"y"'),
        call(2, id="c", name="h", arguments=""),
        call(1, arguments=": 2}"),
        call(0, arguments=": 1}"),
    ) == [ToolCall("a", "f", {"x": 1}), ToolCall("b", "g", {"y": 2}), ToolCall("c", "h")]


def test_ids_and_names_may_be_repeated_on_every_fragment():
    assert calls_of(
        call(0, id="a", name="f", arguments='{"x"'), call(0, id="a", name="f", arguments=": 1}")
    ) == [ToolCall("a", "f", {"x": 1})]


def test_a_new_id_on_every_fragment_makes_no_new_calls():
    assert calls_of(
        call(0, id="a", name="f", arguments='{"x"'), call(0, id="b", arguments=": 1}")
    ) == [ToolCall("a", "f", {"x": 1})]


def test_calls_without_an_id_are_given_one():
    one, other = calls_of(
        call(0, name="f", arguments='{"x": 1}'), call(1, id="", name="f", arguments="{}")
    )
    assert one.id
    assert other.id
    assert one.id != other.id


def test_without_an_index_a_new_id_begins_a_call_and_no_id_goes_on_with_the_last():
    assert calls_of(
        call(id="a", name="f", arguments='{"x"'),
        call(arguments=": 1}"),
        call(id="b", name="g", arguments='{"y"'),
        call(id="b", arguments=": 2}"),
    ) == [ToolCall("a", "f", {"x": 1}), ToolCall("b", "g", {"y": 2})]


def test_an_index_used_again_with_a_new_id_is_a_new_call():
    assert calls_of(
        call(0, id="a", name="f", arguments='{"x": 1}'),
        call(0, id="b", name="f", arguments='{"x": 2}'),
    ) == [ToolCall("a", "f", {"x": 1}), ToolCall("b", "f", {"x": 2})]


def test_an_index_used_again_without_ids_is_a_new_call_when_the_arguments_begin_anew():
    calls = calls_of(
        [call(0, name="f", arguments='{"x": 1}'), call(0, name="f", arguments='{"x": 2}')]
    )
    assert [each.arguments for each in calls] == [{"x": 1}, {"x": 2}]


def test_a_late_name_holds_the_call_back_until_it_comes():
    delta = {"tool_calls": [call(0, id="a", arguments='{"x"')]}
    later = {"tool_calls": [call(0, name="f", arguments=": 1}")]}
    events = play(chunk(delta), chunk(later), chunk({}, "tool_calls"), DONE)
    assert ToolCallStart(0, "a", "f") in events
    assert isinstance(events[-1], Done)
    assert events[-1].message.tool_calls == [ToolCall("a", "f", {"x": 1})]


def test_a_call_that_never_gets_a_name_is_not_executable():
    frames = (
        chunk({"tool_calls": [call(0, id="a", arguments="{}")]}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert answer(*frames).tool_calls == [ToolCall("a", "", unparsed="{}")]
    assert "without a name" in warnings(*frames)[0]


def test_a_call_that_changes_its_name_is_not_executable():
    frames = (
        chunk({"tool_calls": [call(0, id="a", name="delete", arguments="")]}),
        chunk({"tool_calls": [call(0, name="_draft", arguments='{"x": 1}')]}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert answer(*frames).tool_calls == [ToolCall("a", "delete", unparsed='{"x": 1}')]
    assert "changed its name" in warnings(*frames)[0]


def test_arguments_may_be_an_object():
    assert calls_of(call(0, id="a", name="f", arguments={"x": 1})) == [ToolCall("a", "f", {"x": 1})]


def test_big_integers_survive():
    assert calls_of(
        call(0, id="a", name="f", arguments='{"x": 123456789012345678901234567890}')
    ) == [ToolCall("a", "f", {"x": 123456789012345678901234567890})]


def test_arguments_cut_by_a_token_limit_are_not_executable():
    (cut,) = calls_of(call(0, id="a", name="f", arguments='{"x": "abc'), finish="length")
    assert not cut.executable
    assert cut.unparsed == '{"x": "abc'


def test_a_call_cut_by_a_token_limit_before_its_arguments_is_not_executable():
    whole, cut = calls_of(
        call(0, id="a", name="f", arguments="{}"),
        call(1, id="b", name="wipe", arguments=""),
        finish="length",
    )
    assert whole.executable
    assert not cut.executable


def test_calls_of_a_broken_stream_are_not_executable_even_when_they_look_whole():
    failed = failure(chunk({"tool_calls": [call(0, id="a", name="f", arguments='{"x": 1}')]}))
    assert failed.message.tool_calls == [ToolCall("a", "f", unparsed='{"x": 1}')]


def test_the_legacy_function_call_is_a_tool_call():
    message = answer(
        chunk({"function_call": {"name": "f", "arguments": '{"x"'}}),
        chunk({"function_call": {"arguments": ": 1}"}}),
        chunk({}, "function_call"),
        DONE,
    )
    (made,) = message.tool_calls
    assert (made.name, made.arguments, message.stop_reason) == ("f", {"x": 1}, "tool_calls")
    assert made.id


def test_the_signature_of_a_geminis_thought_stays_with_the_call():
    extra = {"google": {"thought_signature": "c2ln"}}
    (made,) = calls_of(call(0, id="a", name="f", arguments="{}", extra_content=extra))
    assert made.meta == {"extra_content": extra}
    assert made.producer == PRODUCER


def test_text_between_calls_keeps_its_place():
    message = answer(
        chunk({"tool_calls": [call(0, id="a", name="f", arguments="{}")]}),
        chunk({"content": "And:"}),
        chunk({"tool_calls": [call(1, id="b", name="g", arguments="{}")]}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert message.content == [ToolCall("a", "f"), Text("And:"), ToolCall("b", "g")]


def test_a_huge_argument_in_many_fragments_is_joined():
    fragments = [chunk({"tool_calls": [call(0, arguments="x" * 10)]})] * 2000
    message = answer(
        chunk({"tool_calls": [call(0, id="a", name="f", arguments='{"x": "')]}),
        *fragments,
        chunk({"tool_calls": [call(0, arguments='"}')]}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert message.tool_calls[0].arguments == {"x": "x" * 20000}


# Usage

USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
HELLO = chunk({"content": "Hello"})


def in_choice(usage: dict[str, Any]) -> dict[str, Any]:
    last = chunk({}, "stop")
    last["choices"][0]["usage"] = usage
    return last


@pytest.mark.parametrize(
    "frames",
    [
        (HELLO, chunk({}, "stop"), {"choices": [], "usage": USAGE}, DONE),
        (chunk({"content": "Hello"}, usage=None), chunk({}, "stop", usage=USAGE), DONE),
        (HELLO, chunk({}, "stop"), {"usage": USAGE}, DONE),
        (HELLO, chunk({"content": ""}, "stop", usage=USAGE)),
        (HELLO, in_choice(USAGE), DONE),
        (HELLO, chunk({}, "stop", x_groq={"id": "r", "usage": USAGE}), DONE),
        (
            chunk({"content": "Hel"}, usage={"prompt_tokens": 7, "completion_tokens": 1}),
            chunk({"content": "lo"}, usage={"prompt_tokens": 7, "completion_tokens": 2}),
            chunk({}, "stop", usage=USAGE),
            DONE,
        ),
        (HELLO, chunk({}, "stop", usage=USAGE), {"choices": [], "usage": None}, DONE),
    ],
    ids=["own chunk", "finish", "no choices", "no done", "choice", "groq", "cumulative", "null"],
)
def test_usage_is_found_wherever_it_stands(frames: tuple[Any, ...]):
    message = answer(*frames)
    assert message.text == "Hello"
    assert message.usage == Usage(7, 2)


def test_absent_usage_is_missing_and_zero_usage_is_reported():
    zero = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert answer(HELLO, chunk({}, "stop"), DONE).usage.basis == "missing"
    assert answer(HELLO, chunk({}, "stop", usage={}), DONE).usage.basis == "missing"
    assert answer(HELLO, chunk({}, "stop", usage=zero), DONE).usage == Usage(basis="reported")


def test_usage_that_cant_be_read_spoils_no_answer():
    frames = (HELLO, chunk({}, "stop", usage={"prompt_tokens": "many"}), DONE)
    assert answer(*frames).usage.basis == "missing"
    assert "usage can't be read" in warnings(*frames)[0]


@pytest.mark.parametrize(
    ("wire", "usage"),
    [
        (
            {
                **USAGE,
                "prompt_tokens_details": {
                    "cached_tokens": 5,
                    "cache_write_tokens": 1,
                    "audio_tokens": 1,
                },
                "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 1},
            },
            Usage(7, 2, 5, 1, reasoning_tokens=1, input_audio_tokens=1, output_audio_tokens=1),
        ),
        ({**USAGE, "prompt_tokens_details": None}, Usage(7, 2)),
        ({**USAGE, "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": 3}, Usage(7, 2, 4)),
        ({**USAGE, "cached_tokens": 4}, Usage(7, 2, 4)),
        ({"prompt_tokens": 7.0, "completion_tokens": 2.0}, Usage(7, 2)),
        ({"prompt_tokens": 7}, Usage(7, 0, basis="partial")),
    ],
    ids=["openai", "null", "deepseek", "moonshot", "floats", "half"],
)
def test_the_parts_of_usage(wire: dict[str, Any], usage: Usage):
    assert answer(HELLO, chunk({}, "stop", usage=wire), DONE).usage == usage


def test_reasoning_that_xai_leaves_out_of_the_completion_is_added():
    details = {"completion_tokens_details": {"reasoning_tokens": 94}}
    apart = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135, **details}
    within = {"prompt_tokens": 32, "completion_tokens": 103, "total_tokens": 135, **details}
    for wire in (apart, within):
        usage = answer(HELLO, chunk({}, "stop", usage=wire), DONE).usage
        assert (usage.output_tokens, usage.reasoning_tokens, usage.total_tokens) == (103, 94, 135)


@pytest.mark.parametrize(
    ("bill", "cost"),
    [
        ('"cost": 0.00014', Cost("known", nanos=140_000, source="provider")),
        ('"cost": 1.1e-9', Cost("known", nanos=1, source="provider")),
        ('"cost": 123456789.123456789', Cost("known", nanos=123456789123456789, source="provider")),
        ('"cost": 0', Cost("free", source="provider")),
        ('"cost": {"total_cost": 0.006}', Cost("known", nanos=6_000_000, source="provider")),
        ('"cost_in_usd_ticks": 232856000', Cost("known", nanos=23_285_600, source="provider")),
        (
            '"cost": 0.01, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.2}',
            Cost("known", nanos=210_000_000, source="provider"),
        ),
        ('"cost": 0, "is_byok": true', Cost("unknown")),
        ('"cost": null', Cost("unknown")),
    ],
)
def test_the_providers_own_bill_is_taken_from_its_decimal_text(bill: str, cost: Cost):
    usage = f'{{"prompt_tokens": 1, "completion_tokens": 1, {bill}}}'
    frame = (
        f'{{"choices": [{{"index": 0, "delta": {{}}, "finish_reason": "stop"}}], "usage": {usage}}}'
    )
    assert answer(HELLO, frame, DONE).usage.cost == cost


# Whole answers


def whole(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "x", "model": "sage", "choices": [choice], **more}).encode()


def test_a_whole_answer():
    body = whole(
        {
            "content": "Yes.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                call(id="a", name="f", arguments="{}"),
                call(id="a", name="g", arguments="{}"),
            ],
        },
        usage=USAGE,
    )
    assert DIALECT.decode_response(body, TARGET) == AssistantMessage(
        [Thinking("Hm.", producer=PRODUCER), Text("Yes."), ToolCall("a", "f"), ToolCall("a", "g")],
        "tool_calls",
        Usage(7, 2),
        "acme",
        "sage-1",
        "sage",
        "x",
    )


def test_a_whole_refusal():
    message = DIALECT.decode_response(whole({"content": None, "refusal": "No."}), TARGET)
    assert (message.stop_reason, message.text) == ("refusal", "No.")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", ProtocolError),
        (b"<html>502</html>", ProtocolError),
        (b'{"choices": []}', ProtocolError),
        (b'{"choices": [{"index": 0, "message": {"content": null}}]}', ProtocolError),
        (b'{"choices": "none"}', ProtocolError),
        (b'{"error": {"message": "busy", "code": 503}}', OverloadedError),
        (whole({"content": "Hel"}, "content_filter"), ContentFilterError),
    ],
)
def test_a_whole_answer_that_is_none_raises(body: bytes, error: type[Exception]):
    with pytest.raises(error) as caught:
        DIALECT.decode_response(body, TARGET)
    assert "acme/sage-1" in str(caught.value)


def test_what_a_filter_left_of_a_whole_answer_is_kept():
    with pytest.raises(ContentFilterError) as caught:
        DIALECT.decode_response(whole({"content": "Hel"}, "content_filter"), TARGET)
    assert caught.value.message is not None
    assert caught.value.message.text == "Hel"
