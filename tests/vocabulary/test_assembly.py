import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.assembly import Assembly, fold, parse_arguments, unfold
from polyvox.errors import AbortedError, NetworkError
from polyvox.events import (
    Done,
    Failed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallEnd,
    Warned,
    decode_event,
    encode_event,
)
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, assistant
from polyvox.usage import Usage


def an_answer() -> Assembly:
    return Assembly("openai", "gpt")


def test_a_plain_answer_has_the_events_of_the_grammar():
    answer = an_answer()
    answer.open_text("t")
    answer.append("t", "Hel")
    answer.append("t", "lo")
    answer.finish("stop")
    assert answer.take() == [
        Start("openai", "gpt"),
        TextStart(0),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        TextEnd(0, Text("Hello")),
        Done(AssistantMessage([Text("Hello")], provider="openai", model="gpt")),
    ]
    assert answer.take() == []


def test_interleaved_tool_calls_keep_their_own_arguments_and_order():
    answer = an_answer()
    answer.open_tool_call(0, "a", "f")
    answer.open_tool_call(1, "b", "g")
    for key, piece in [(0, '{"x"'), (1, '{"y":'), (0, ": 1}"), (1, " 2}")]:
        answer.append(key, piece)
    answer.finish("stop")
    message = answer.take()[-1].message
    assert message.tool_calls == [ToolCall("a", "f", {"x": 1}), ToolCall("b", "g", {"y": 2})]
    assert message.stop_reason == "tool_calls"


def test_a_call_without_an_id_gets_one_of_its_own():
    answer = an_answer()
    answer.open_tool_call(0, "", "f")
    answer.open_tool_call(1, "", "f")
    one, other = answer.message().tool_calls
    assert one.id
    assert other.id
    assert one.id != other.id


@pytest.mark.parametrize("text", ['{"a": 1', "[1]", "nothing", '"x"', "{}{}"])
def test_arguments_that_are_no_object_are_kept_as_text_and_never_executable(text):
    answer = an_answer()
    answer.open_tool_call(0, "a", "f")
    answer.append(0, text)
    answer.finish("length")
    (call,) = answer.take()[-1].message.tool_calls
    assert (call.arguments, call.unparsed, call.executable) == ({}, text, False)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_no_arguments_at_all_mean_an_empty_object(text):
    assert parse_arguments(text) == ({}, None)


def test_a_call_that_was_open_when_the_stream_broke_is_not_executable_even_if_it_looks_whole():
    answer = an_answer()
    answer.open_tool_call(0, "a", "rm")
    answer.append(0, "{}")
    answer.fail(NetworkError("reset"))
    end, failed = answer.take()[-2:]
    assert isinstance(end, ToolCallEnd)
    assert not end.block.executable
    assert failed.message.tool_calls == [ToolCall("a", "rm", unparsed="{}")]


def test_a_failure_keeps_what_arrived_and_tells_it_twice():
    answer = an_answer()
    answer.request_id = "req_1"
    answer.usage = Usage(10, 1)
    answer.open_text(0)
    answer.append(0, "Hel")
    error = NetworkError("reset")
    answer.fail(error)
    failed = answer.take()[-1]
    assert isinstance(failed, Failed)
    assert failed.error is error
    assert error.message is failed.message
    assert (error.provider, error.model, error.request_id) == ("openai", "gpt", "req_1")
    assert failed.message.text == "Hel"
    assert failed.message.stop_reason == "error"
    assert failed.message.error == "reset"
    assert failed.message.usage.basis == "partial"


def test_an_interrupt_is_aborted_and_not_an_error():
    answer = an_answer()
    answer.fail(AbortedError("stop"))
    assert answer.take()[-1].message.stop_reason == "aborted"


def test_announced_but_missing_tool_calls_are_said_and_not_left_as_the_stop_reason():
    answer = an_answer()
    answer.finish("tool_calls")
    _, warned, done = answer.take()
    assert isinstance(warned, Warned)
    assert done.message.stop_reason == "stop"


def test_what_is_warned_of_again_and_again_is_said_once():
    answer = Assembly("p", "m")
    for _ in range(3):
        answer.warn("a picture was dropped", "images")
    answer.warn("another thing")
    warned = [event.text for event in answer.take() if isinstance(event, Warned)]
    assert warned == ["a picture was dropped", "another thing"]


def test_opaque_data_bears_its_producers_name():
    answer = an_answer()
    answer.open_thinking(0)
    answer.append(0, "hm")
    answer.sign(0, "si")
    answer.sign(0, "g")
    answer.open_text(1)
    answer.annotate(1, {"id": "x"})
    answer.open_text(2)
    assert answer.message().content == [
        Thinking("hm", "sig", producer="openai/gpt"),
        Text("", meta={"id": "x"}, producer="openai/gpt"),
        Text(""),
    ]


blocks = st.one_of(
    st.builds(Text, st.text()),
    st.builds(Thinking, st.text(), st.none() | st.text()),
    st.builds(
        ToolCall,
        st.text(min_size=1),
        st.text(),
        st.dictionaries(st.text(), st.integers() | st.text()),
    ),
)
messages = st.builds(
    AssistantMessage,
    st.lists(blocks, max_size=5),
    st.sampled_from(["stop", "length", "refusal"]),
    st.builds(Usage, st.integers(0, 10**9), st.integers(0, 10**9)),
    id=st.text(),
)


@given(messages, st.integers(1, 3))
def test_folding_an_unfolded_message_gives_it_back(message, size):
    def pieces(text: str) -> list[str]:
        return [text[i : i + size] for i in range(0, len(text), size)]

    events = list(unfold(message, pieces))
    assert fold(events) == message
    # Without its ending the content is there all the same, as long as every block was closed.
    assert fold(events[:-1]).content == message.content


@given(messages)
def test_events_survive_json(message):
    events = list(unfold(message))
    assert [decode_event(encode_event(event)) for event in events] == events


def test_folding_half_a_stream_gives_what_arrived():
    events = [Start("p", "m", "1"), TextStart(0), TextDelta(0, "Hel"), TextDelta(0, "lo")]
    message = fold(events)
    assert (message.text, message.stop_reason, message.provider) == ("Hello", "aborted", "p")


def test_unfolding_a_failed_message_ends_in_the_failure():
    message = assistant("Hel")
    message.stop_reason, message.error = "error", "reset"
    *_, last = unfold(message)
    assert isinstance(last, Failed)
    assert str(last.error) == "reset"


def test_a_failure_survives_json_with_its_partial_message():
    message = assistant("Hel")
    message.stop_reason, message.error = "error", "reset"
    *_, last = unfold(message)
    again = decode_event(encode_event(last))
    assert again.message == message
    assert again.error.message == message
    assert again.error.text == "reset"
