"""What a model is given of a long conversation."""

from hypothesis import given
from hypothesis import strategies as st

from polyvox.estimate import request_tokens
from polyvox.gateway.contexts.window import assembled
from polyvox.handover import mend
from polyvox.messages import (
    Message,
    SystemMessage,
    Text,
    ToolCall,
    ToolMessage,
    UserMessage,
    assistant,
    tool_result,
    user,
)
from polyvox.request import Request

LONG = "word " * 400
FRAME = Request(messages=[], system=[Text("Be brief.")], max_tokens=100)


def turns(count: int) -> list[Message]:
    return [each for n in range(count) for each in (user(f"q{n} {LONG}"), assistant(f"a{n}"))]


def begins(messages: list[Message]) -> list[str]:
    return [message.text[:2] for message in messages]


def test_all_of_it_is_given_where_the_window_is_not_known():
    whole = assembled(FRAME, turns(50), [user("now")], None)
    assert len(whole.messages) == 101


def test_the_oldest_turns_go_first_and_the_instructions_stay():
    whole = assembled(FRAME, turns(10), [user("now")], 2_000)
    assert begins(whole.messages) == ["q8", "a8", "q9", "a9", "no"]
    assert whole.system == [Text("Be brief.")]
    assert request_tokens(whole) + 100 <= 2_000


def test_what_is_new_stays_even_where_nothing_else_has_room():
    whole = assembled(FRAME, turns(3), [user(LONG * 10)], 1_000)
    assert begins(whole.messages) == ["wo"]


def test_examples_and_the_summary_in_the_frame_stay():
    frame = Request(messages=[user("Example?"), assistant("Yes."), user("[Summary]")])
    whole = assembled(frame, turns(9), [user("now")], 2_000)
    assert begins(whole.messages)[:3] == ["Ex", "Ye", "[S"]
    assert len(whole.messages) < 3 + 18 + 1


def test_instructions_in_the_middle_stay_when_their_turn_goes():
    rule = SystemMessage([Text("From now on in French.")])
    history = [*turns(2), rule, *turns(8)]
    whole = assembled(FRAME, history, [user("now")], 2_000)
    assert whole.messages[0] is rule
    assert begins(whole.messages)[1:] == ["q6", "a6", "q7", "a7", "no"]


def test_the_result_of_a_tool_is_never_without_its_call_though_it_is_new():
    call = ToolCall("c1", "weather")
    history = [*turns(5), user(f"Rain? {LONG}"), assistant(call)]
    whole = assembled(FRAME, history, [tool_result(call, "yes")], 800)
    assert whole.messages == [*history[-2:], tool_result(call, "yes")]


STEPS = st.lists(st.sampled_from(["ask", "tool", "two tools", "open", "rule"]), max_size=30)


@given(STEPS, st.integers(200, 6_000))
def test_however_long_it_is_no_call_is_parted_from_its_result(steps: list[str], window: int):
    history: list[Message] = []
    for number, step in enumerate(steps):
        history.append(user(f"q{number} {LONG[: 100 * number]}"))
        if step == "rule":
            history.append(SystemMessage([Text("Be kind.")]))
        calls = [ToolCall(f"c{n}", "f") for n in range(2 if step == "two tools" else 1)]
        if step in ("tool", "two tools", "open"):
            history.append(assistant(*calls))
        if step in ("tool", "two tools"):
            history += [tool_result(call, "done") for call in calls]
        history.append(assistant(f"a{number}"))
    whole = assembled(FRAME, history, [user("now")], window)
    said = [each for each in whole.messages if not isinstance(each, SystemMessage)]
    assert isinstance(said[0], UserMessage)
    known = {id(each) for each in history if isinstance(each, ToolMessage)}
    notes = mend(whole.messages).notes
    assert not [note for _, note in notes if "call of this result is not known" in note]
    kept = [each for each in whole.messages if id(each) in known]
    assert (
        kept
        == [each for each in history if isinstance(each, ToolMessage)][len(known) - len(kept) :]
    )
