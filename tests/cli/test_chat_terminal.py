"""`polyvox chat` in a real pseudo-terminal: editing, Ctrl-C, history."""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox.testing import Knobs

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from .terminal import Terminal

Open = Callable[..., Terminal]

ENTER, ALT_ENTER, CTRL_C, CTRL_D, UP, TAB = "\r", "\x1b\r", "\x03", "\x04", "\x1b[A", "\t"
SLOW = ("-m", "simulated/lorem", "-o", "tokens=100000", "-o", "tokens_per_second=200")


def test_ctrl_c_stops_the_answer_keeps_it_and_the_chat_goes_on(terminal: Open, tmp_path: Path):
    chat = terminal("chat", *SLOW)
    chat.expect("Talking with simulated/lorem")
    chat.expect_prompt()
    chat.type("hello" + ENTER)
    chat.expect("Lorem ipsum dolor")
    chat.type(CTRL_C)
    chat.expect("interrupted by Ctrl-C")
    chat.expect_prompt()
    chat.type("/cost" + ENTER)
    chat.expect("1 answer: ")
    chat.expect_prompt()
    chat.type("/save chat.md" + ENTER)
    chat.expect("Saved to chat.md")
    chat.expect_prompt()
    chat.type(CTRL_D)
    assert chat.wait() == 0
    saved = (tmp_path / "chat.md").read_text()
    assert "## simulated/lorem (interrupted)\n\nLorem ipsum dolor" in saved


def test_ctrl_c_hangs_up_and_the_next_message_carries_the_partial_answer(
    terminal: Open, polyvox_mock
):
    server = polyvox_mock(
        "anthropic-messages",
        ["word " * 1000, "Second."],
        knobs=Knobs(text_piece=5, delay_chunks=0.02),
    )
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    chat = terminal("chat", "-m", "anthropic/claude-sonnet-4-5", env=env)
    chat.expect_prompt()
    chat.type("hello" + ENTER)
    chat.expect("word word word")
    chat.type(CTRL_C)
    assert server.wait_for_hangup().hung_up == "client"
    chat.expect("interrupted by Ctrl-C")
    chat.expect_prompt()
    chat.type("go on" + ENTER)
    chat.expect("Second.")
    said = [m.content[0].text for m in server.requests[1].request.messages]
    assert said[0] == "hello"
    assert said[1].startswith("word word word")
    assert said[2] == "go on"


def test_a_line_typed_while_an_answer_comes_is_sent_after_it(terminal: Open, tmp_path: Path):
    chat = terminal("chat", *SLOW)
    chat.expect_prompt()
    chat.type("hello" + ENTER)
    chat.expect("Lorem ipsum dolor")
    chat.type("/save early.md" + ENTER)
    chat.type(CTRL_C)  # a terminal throws away what waits in it, unless it is told not to
    chat.expect("interrupted by Ctrl-C")
    chat.expect("Saved to early.md")
    assert "hello" in (tmp_path / "early.md").read_text()


def test_nothing_is_said_of_the_usage_of_a_message_that_was_never_sent(terminal: Open):
    chat = terminal("chat", "-m", "simulated/echo", "-o", "tokens=300")
    chat.expect_prompt()
    chat.type("hello" + ENTER)
    chat.expect("has no option 'tokens'")
    assert "tokens in" not in chat.seen


def test_a_chat_that_is_gone_on_with_shows_where_it_stands(terminal: Open):
    first = terminal("chat", "-m", "simulated/echo")
    for line in ("one", "two", "/save chat.json", "/exit"):
        first.expect_prompt()
        first.type(line + ENTER)
    assert first.wait() == 0
    second = terminal("chat", "-c", "chat.json")
    shown = second.expect("2 questions so far\ntwo\n")
    assert "Talking with simulated/echo" in shown
    assert "\x1b[2mtwo" in second.raw
    quiet = terminal("chat", "-q", "-c", "chat.json")
    quiet.expect_prompt()
    assert "so far" not in quiet.seen


def test_several_lines_make_one_message(terminal: Open, tmp_path: Path):
    chat = terminal("chat", "-m", "simulated/echo")
    chat.expect_prompt()
    chat.type("one" + ALT_ENTER + "two" + ENTER)
    chat.expect_prompt()
    chat.type("/save chat.md" + ENTER)
    chat.expect("Saved")
    assert "## You\n\none\ntwo\n" in (tmp_path / "chat.md").read_text()


def test_models_and_commands_complete(terminal: Open):
    chat = terminal("chat", "-m", "simulated/echo")
    chat.expect_prompt()
    chat.type("/mode" + TAB)
    chat.expect("l")  # prompt_toolkit draws what is new, and completes in its own time
    chat.type("simulated/lor" + TAB)
    chat.expect("em")
    chat.type(ENTER)
    chat.expect("The model is simulated/lorem.")


def test_the_history_outlives_the_chat_and_is_private(terminal: Open, tmp_path: Path):
    first = terminal("chat", "-m", "simulated/echo")
    first.expect_prompt()
    first.type("remember me" + ENTER)
    first.expect_prompt()
    first.type("/exit" + ENTER)
    assert first.wait() == 0
    history = tmp_path / "state" / "polyvox" / "chat-history"
    assert "remember me" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    second = terminal("chat", "-m", "simulated/echo")
    second.expect_prompt()
    second.type(UP + UP)
    second.expect("remember me")


def test_ctrl_c_at_the_prompt_only_clears_the_line(terminal: Open):
    chat = terminal("chat", "-m", "simulated/echo")
    chat.expect_prompt()
    chat.type("unwanted" + CTRL_C)
    chat.expect("/exit leaves")
    chat.expect_prompt()
    chat.type(CTRL_D)
    assert chat.wait() == 0
    assert "tokens in" not in chat.seen


def test_an_error_shows_kind_and_hint_and_the_chat_goes_on(terminal: Open, polyvox_mock):
    error = {"error": {"kind": "rate_limit", "text": "slow down", "retry_after": 4}}
    server = polyvox_mock("anthropic-messages", [error, "Better now."])
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    chat = terminal("chat", "-m", "anthropic/claude-sonnet-4-5", env=env)
    chat.expect_prompt()
    chat.type("hello" + ENTER)
    chat.expect("slow down")
    chat.expect("again in 4 s")
    chat.expect("/retry asks again")
    chat.expect_prompt()
    chat.type("/retry" + ENTER)
    chat.expect("Better now.")


def test_an_answer_cannot_send_commands_to_the_terminal(terminal: Open, polyvox_mock):
    server = polyvox_mock("anthropic-messages", ["\x1b]0;owned\x07\x1b[8mdone"] * 2)
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    chat = terminal("chat", "-m", "anthropic/claude-sonnet-4-5", env=env)
    chat.expect_prompt()
    chat.type("hi" + ENTER)
    chat.expect("done")
    ask = terminal("ask", "hi", "-m", "anthropic/claude-sonnet-4-5", env=env)
    ask.expect("done")
    for shown in (chat, ask):
        assert "\x1b]0;" not in shown.raw
        assert "\x1b[8m" not in shown.raw


def test_the_cursor_is_there_again_after_an_answer(terminal: Open):
    chat = terminal("chat", "-m", "simulated/echo")
    chat.expect_prompt()
    chat.type("hello" + ENTER)
    chat.expect("free")
    assert chat.raw.rindex("\x1b[?25h") > chat.raw.rfind("\x1b[?25l")


def test_no_colour_is_written_where_none_is_wanted(terminal: Open):
    shown = terminal("ask", "-m", "opnai/x", "hi", env={"NO_COLOR": "1"})
    shown.expect("error: ")
    shown.wait()
    assert "\x1b[" not in shown.raw
    shown = terminal("ask", "-m", "opnai/x", "hi")
    shown.expect("error: ")
    shown.wait()
    assert "\x1b[31m" in shown.raw


def test_a_sign_of_life_while_nothing_comes(terminal: Open):
    shown = terminal("ask", "-m", "simulated/lorem", "-o", "first_token_delay=600", "hi")
    shown.expect("simulated/lorem 1 s")
    shown.type(CTRL_C)
    shown.expect("interrupted by Ctrl-C")
    assert shown.wait() == 130


def test_the_sign_of_life_goes_on_while_the_model_thinks_unseen(terminal: Open):
    content = [{"type": "thinking", "text": "hm " * 10_000}, {"type": "text", "text": "Yes."}]
    script = "script=" + json.dumps([{"message": {"content": content}}])
    arguments = (
        "ask",
        "hi",
        "-m",
        "simulated/scripted",
        "-o",
        script,
        "-o",
        "tokens_per_second=50",
    )
    quiet = terminal(*arguments)
    quiet.expect("simulated/scripted 2 s")
    quiet.type(CTRL_C)
    assert quiet.wait() == 130
    assert "hm" not in quiet.seen
    loud = terminal(*arguments, "--thinking")
    loud.expect("hm hm hm")
    loud.type(CTRL_C)
    assert loud.wait() == 130
