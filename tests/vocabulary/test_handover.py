"""Any recorded conversation becomes one that providers take; one in order stays what it is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.handover import NO_RESULT, mend, mend_request
from polyvox.messages import (
    AssistantMessage,
    Image,
    Message,
    StopReason,
    SystemMessage,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    UserMessage,
    assistant,
    tool_result,
    user,
)
from polyvox.request import Request
from strategies import Carries, conversations

PNG = b"\x89PNG\r\n\x1a\n"
BROKEN = ToolCall("b", "look", unparsed='{"x')


def call(id: str, name: str = "look") -> ToolCall:
    return ToolCall(id, name, {"at": id})


def mended(*messages: Message) -> list[Message]:
    return mend(list(messages)).messages


def notes(*messages: Message) -> list[str]:
    return [place for place, text in mend(list(messages)).notes if text]


def unanswered(id: str) -> ToolMessage:
    return ToolMessage(id, [Text(NO_RESULT)], "look", is_error=True)


@given(conversations(Carries(system_in_middle=True)))
def test_a_conversation_in_order_is_the_very_same_list(messages: list[Message]):
    assert mend(messages) == (messages, ())
    assert mend(messages).messages is messages
    request = Request(messages=messages)
    assert mend_request(request) == (request, ())
    assert mend_request(request)[0] is request


_ids = st.sampled_from(["", "a", "b", "a_2", "call_1"])
_blocks = st.one_of(
    st.sampled_from([Text(""), Text("So."), Thinking("Hm."), Image(PNG)]),
    st.builds(ToolCall, _ids, st.just("look"), unparsed=st.sampled_from([None, None, "{"])),
)
_reasons: Any = st.sampled_from(["stop", "length", "tool_calls", "error", "aborted", "pause"])
anything: st.SearchStrategy[list[Message]] = st.lists(
    st.one_of(
        st.just(user("?")),
        st.just(SystemMessage([Text("Be brief.")])),
        st.builds(AssistantMessage, st.lists(_blocks, max_size=4), _reasons),
        st.builds(
            ToolMessage,
            _ids,
            st.just([Text("Rain.")]),
            st.sampled_from(["", "look"]),
            st.booleans(),
        ),
    ),
    max_size=8,
)


@given(anything)
def test_every_call_is_answered_once_behind_its_message_and_all_ids_differ(
    messages: list[Message],
):
    made = mend(messages).messages
    waiting: list[str] = []
    seen: list[str] = []
    for message in made:
        if isinstance(message, ToolMessage):
            assert waiting.pop(0) == message.tool_call_id
            continue
        assert waiting == []
        assert message.content
        if isinstance(message, AssistantMessage):
            waiting = [each.id for each in message.tool_calls]
            seen += waiting
    assert waiting == []
    assert all(seen)
    assert len(set(seen)) == len(seen)


@given(anything)
def test_what_is_mended_stays_as_it_is(messages: list[Message]):
    once = mend(messages)
    again = mend(once.messages)
    assert again.messages is once.messages
    assert again.notes == ()
    assert (once.messages is messages) == (once.notes == ())


@given(anything)
def test_nobodys_words_get_lost_but_an_unfinished_thought(messages: list[Message]):
    def words(some: list[Message]) -> list[str]:
        blocks = [block for each in some for block in each.content]
        texts = [block.text for block in blocks if isinstance(block, Text) and block.text]
        return sorted(text for text in texts if text in ("?", "So.", "Rain.", "Be brief."))

    assert words(mend(messages).messages) == words(messages)


@given(anything, st.lists(st.sampled_from(["u", "a"]), max_size=3))
def test_a_conversation_that_grows_keeps_its_beginning(messages: list[Message], more: list[str]):
    start = mend(messages).messages
    added: list[Message] = [user("More?") if each == "u" else assistant("More.") for each in more]
    assert mend([*messages, *added]).messages[: len(start)] == start


def test_calls_without_results_are_marked_directly_behind_their_message():
    said = assistant("So.", call("a"), call("b"))
    result = tool_result("b", "Rain.")
    made = mended(user("?"), said, result, user("Go on."))
    assert made == [user("?"), said, unanswered("a"), result, user("Go on.")]
    assert notes(user("?"), said, result) == ["messages[1]"]


def test_results_stand_in_the_order_of_their_calls_and_the_rest_behind_them():
    said = assistant(call("a"), call("b"))
    a, b = tool_result("a", "Rain."), tool_result("b", "Sun.")
    assert mended(said, b, user("Hurry!"), a) == [said, a, b, user("Hurry!")]


def test_results_without_a_call_become_the_users_text():
    stray = ToolMessage("x", [Text("Rain."), Image(PNG)], "look", is_error=True)
    (told,) = mended(stray)
    assert told == user("The error of an earlier tool call (look x):", "Rain.", Image(PNG))
    said = assistant(call("a"))
    first, second = tool_result("a", "Rain."), tool_result("a", "Snow.")
    *start, told = mended(said, first, second)
    assert start == [said, first]
    assert told == user("The result of an earlier tool call (a):", "Snow.")
    assert isinstance(mended(first, said)[0], UserMessage)


def test_ids_that_two_providers_both_used_are_told_apart_with_their_results():
    first, second = assistant(call("call_1")), assistant(call("call_1"))
    rain, sun = tool_result("call_1", "Rain."), tool_result("call_1", "Sun.")
    made = mended(first, rain, second, sun)
    assert made[:2] == [first, rain]
    assert made[2].content[0] == ToolCall("call_1_2", "look", {"at": "call_1"})
    assert made[3] == tool_result("call_1_2", "Sun.")
    twice = mended(assistant(call("a"), call("a"), call("a_2")), rain)
    assert [each.id for each in twice[0].content] == ["a", "a_2", "a_2_2"]  # type: ignore[union-attr]


def test_a_late_result_belongs_to_the_latest_call_with_its_id_that_waits():
    first, second = assistant(call("a")), assistant(call("a"))
    made = mended(first, second, tool_result("a", "late"), tool_result("a", "later"))
    assert [each.content for each in made if isinstance(each, ToolMessage)] == [
        [Text("later")],
        [Text("late")],
    ]


@pytest.mark.parametrize("reason", ["error", "aborted", "length"])
def test_an_answer_that_broke_off_keeps_its_text_and_its_whole_calls(reason: StopReason):
    said = AssistantMessage([Text("So."), call("a"), BROKEN, Thinking("Hm")], reason)
    made = mended(user("?"), said, user("Go on."))
    assert made[1].content == [Text("So."), call("a")]
    assert made[2] == unanswered("a")
    assert isinstance(made[1], AssistantMessage)
    assert made[1].stop_reason == reason


def test_a_broken_call_that_was_answered_stays_so_that_the_model_learns_of_it():
    said, result = assistant(BROKEN), tool_result(BROKEN, "That was no JSON.", is_error=True)
    assert mended(said, result) == [said, result]


def test_thinking_in_a_finished_answer_stays():
    said = AssistantMessage([Thinking("Hm.")])
    assert mended(said) == [said]


@pytest.mark.parametrize(
    "content",
    [
        [],
        [Text("")],
        [Thinking("Hm")],
        [BROKEN],
        [Thinking("Hm", "signed"), BROKEN],
        [Text(""), BROKEN],
    ],
)
def test_an_answer_of_which_nothing_is_left_vanishes(content: list[Any]):
    said = AssistantMessage(content, "aborted")
    assert mended(user("?"), said, user("Go on.")) == [user("?"), user("Go on.")]
    assert set(notes(user("?"), said)) == {"messages[1]"}


def test_an_empty_text_with_opaque_data_is_something():
    said = assistant(Text("", meta={"anthropic-messages": {"type": "server_tool_use"}}))
    assert mended(said) == [said]
