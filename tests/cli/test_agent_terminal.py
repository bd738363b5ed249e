"""`polyvox agent run` in a real pseudo-terminal: live tools, approvals, Ctrl-C, conversations."""

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from .conftest import Run
from .terminal import Terminal

Open = Callable[..., Terminal]

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "researcher.toml")
QUESTION = 'Search the documents for "spring tides", and calculate 3.57 * 7.'
ENTER, CTRL_C, CTRL_D, CTRL_U = "\r", "\x03", "\x04", "\x15"

TOOLS = '''
import threading
from pathlib import Path

from polyvox import Agent, tool
from polyvox.tools import ToolContext


@tool(needs_approval=True)
def remove(path: str) -> str:
    """Remove a file."""
    return f"{path} is gone"


@tool
def dig(place: str, context: ToolContext[None]) -> str:
    """Dig, until somebody writes into the pipe."""
    context.update(f"half of {place} is dug")
    return Path("pipe").read_text()


@tool
def hang() -> str:
    """Never come back."""
    threading.Event().wait()
    return ""


@tool(needs_approval=True)
def lurk() -> str:
    """Never come back, once somebody approves."""
    threading.Event().wait()
    return ""


digger = Agent("simulated/tools", tools=[dig], name="digger")
boss = Agent("simulated/tools", tools=[digger.as_tool()], name="boss")
'''


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    """An agent with tools of every kind, and the pipe that one of them reads."""
    (tmp_path / "shed.py").write_text(TOOLS, "utf-8")
    text = (
        'model = "simulated/tools"\ntools = ["shed:remove", "shed:dig", "shed:hang", "shed:lurk"]\n'
    )
    (tmp_path / "helper.toml").write_text(text, "utf-8")
    os.mkfifo(tmp_path / "pipe")


def last_line(seen: str) -> str:
    return seen.rstrip().rpartition("\n")[2]


def messages_of(run: Run, name: str) -> list[dict[str, object]]:
    return json.loads(run("agent", "sessions", "show", "--json", name).stdout)["messages"]


# ------------------------------------------------------------------------------------- live


def test_the_researcher_shows_its_tools_and_ends_with_the_cost(terminal: Open):
    shown = terminal("agent", "run", EXAMPLE, QUESTION)
    assert shown.wait() == 0
    assert re.search(r'✓ search_documents\(query="spring tides"\) +\d+\.\d s', shown.seen)
    assert re.search(r'✓ calculate\(expression="3\.57 \* 7"\) +\d+\.\d s', shown.seen)
    assert "calculate says: 24.99" in shown.seen
    assert re.fullmatch(
        r"2 turns · 2 tools · \d+ tokens in, \d+ out · free · [\d.]+ s", last_line(shown.seen)
    )


def test_an_agent_out_of_a_module_shows_those_inside_it_too(terminal: Open, tmp_path: Path):
    shown = terminal("agent", "run", "shed:boss", 'ask the digger to `dig in "Oslo"`')
    shown.expect("digger(task=")
    shown.expect('dig(place="Oslo") half of Oslo is dug')
    (tmp_path / "pipe").write_text("all")
    assert shown.wait() == 0
    assert re.search(r"✓ digger\(.*\n  ✓ dig\(", shown.seen)
    assert "digger says: dig says: all" in shown.seen
    assert last_line(shown.seen).startswith("2 turns · 2 tools · ")


def test_a_tool_at_work_turns_and_tells_how_far_it_is(terminal: Open, tmp_path: Path):
    shown = terminal("agent", "run", "helper.toml", 'dig in "Oslo"')
    line = shown.expect("half of Oslo is dug")
    assert re.search(r'[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] dig\(place="Oslo"\)', line)
    assert "✓" not in line
    (tmp_path / "pipe").write_text("all of it")
    shown.expect("✓ dig(")
    shown.expect("dig says: all of it")
    assert shown.wait() == 0


def test_no_line_of_a_tool_is_wider_than_forty_columns(terminal: Open, tmp_path: Path):
    place = "the longest street in the whole of Oslo"
    shown = terminal("agent", "run", "helper.toml", f'dig in "{place}"', env={"COLUMNS": "40"})
    shown.expect("dig(")
    (tmp_path / "pipe").write_text("all")
    assert shown.wait() == 0
    rows = [row.rpartition("\r")[2] for row in shown.seen.split("\n") if " dig(" in row]
    assert rows
    assert all(len(row) <= 40 for row in rows)
    assert re.search(r"✓ dig\(place=.*… \d+\.\d s\n", shown.seen)


def test_no_color_means_no_colours(terminal: Open):
    plain = terminal("agent", "run", EXAMPLE, "calculate 2 + 3", env={"NO_COLOR": "1"})
    assert plain.wait() == 0
    assert "✓ calculate" in plain.seen
    assert "\x1b[32m" not in plain.raw
    coloured = terminal("agent", "run", EXAMPLE, "calculate 2 + 3")
    assert coloured.wait() == 0
    assert "\x1b[32m✓" in coloured.raw


def test_what_the_model_thinks_is_dim_or_left_out(terminal: Open, tmp_path: Path):
    script = '[{message = {content = [{type = "thinking", text = "Hm."}, {type = "text", text = "Yes."}]}}]'
    text = f'model = "simulated/scripted"\n[settings.options.simulated]\nscript = {script}\n'
    (tmp_path / "thinker.toml").write_text(text, "utf-8")
    shown = terminal("agent", "run", "thinker.toml", "Well?")
    assert shown.wait() == 0
    assert "\x1b[2mHm." in shown.raw
    assert "Yes." in shown.seen
    hidden = terminal("agent", "run", "--no-thinking", "thinker.toml", "Well?")
    assert hidden.wait() == 0
    assert "Hm." not in hidden.seen


# ------------------------------------------------------------------------------------- approvals


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["y"], "remove says: a.txt is gone"),
        (["n too risky"], "remove failed: Not run: the user says: too risky"),
        (["n", ""], "remove failed: remove was not run: it is not allowed."),
        (["maybe", "y"], "remove says: a.txt is gone"),
        (["e", CTRL_U + '{"path": "b.txt"}'], "remove says: b.txt is gone"),
        (["e", CTRL_U + '{"path": 7}', CTRL_U + '{"path": "c"}'], "remove says: c is gone"),
    ],
)
def test_a_call_that_needs_an_approval_is_asked_about(terminal: Open, keys: list[str], told: str):
    shown = terminal("agent", "run", "helper.toml", "remove a.txt")
    shown.expect("remove {")
    shown.expect('"path": "a.txt"')
    for typed in keys:
        shown.expect_prompt()
        shown.type(typed + ENTER)
    shown.expect(told)
    assert shown.wait() == 0


def test_what_is_asked_about_hides_nothing(terminal: Open, tmp_path: Path):
    path = "a\u202egpj.exe\u200b\x9b" + "long" * 500 + "END"
    call = {"type": "tool_call", "id": "1", "name": "remove", "arguments": {"path": path}}
    turns = [{"message": {"content": [call], "stop_reason": "tool_calls"}}, "Well."]
    agent = f"""
from polyvox import Agent
from polyvox.providers.simulated import ScriptedModel
from shed import remove

agent = Agent(ScriptedModel({turns!a}), tools=[remove])
"""
    (tmp_path / "tricky.py").write_text(agent, "utf-8")
    shown = terminal("agent", "run", "tricky:agent", "Go.")
    shown.expect_prompt()
    asked = shown.seen.replace("\n", "").replace("\r", "")
    assert r'"path": "a\u202egpj.exe\u200b\u009blonglong' in asked
    assert 'longEND"' in asked
    shown.type("n" + ENTER)
    shown.expect_prompt()
    shown.type(ENTER)
    assert shown.wait() == 0
    assert "\u202e" not in shown.seen


def test_always_holds_for_the_tool_as_long_as_the_conversation(terminal: Open):
    shown = terminal("agent", "run", "helper.toml")
    shown.expect_prompt()
    shown.type("remove a.txt" + ENTER)
    shown.expect_prompt()
    shown.type("a" + ENTER)
    shown.expect("remove says: a.txt is gone")
    shown.expect_prompt()
    shown.type("remove b.txt" + ENTER)
    shown.expect("remove says: b.txt is gone")
    shown.expect_prompt()
    shown.type(CTRL_D)
    assert shown.wait() == 0
    assert shown.seen.count("needs an approval") == 1


def test_ctrl_c_instead_of_an_answer_stops_the_agent(terminal: Open):
    shown = terminal("agent", "run", "helper.toml", "remove a.txt")
    shown.expect_prompt()
    shown.type(CTRL_C)
    shown.expect("Stopped. Say something")
    shown.expect_prompt()
    shown.type(CTRL_C)
    assert shown.wait() == 130
    assert "is gone" not in shown.seen


def test_what_was_typed_before_the_question_is_no_answer_to_it(terminal: Open):
    shown = terminal("agent", "run", "helper.toml", "remove a.txt")
    shown.type("y" + ENTER)  # there is no question yet
    shown.expect_prompt()
    shown.type("n not yet" + ENTER)
    shown.expect("the user says: not yet")
    assert shown.wait() == 0


def test_a_tool_that_was_approved_of_is_stopped_by_ctrl_c_too(terminal: Open):
    shown = terminal("agent", "run", "helper.toml", "lurk")
    shown.expect_prompt()
    shown.type("y" + ENTER)
    shown.expect("lurk() 0.")
    shown.type(CTRL_C)
    shown.expect("✗ lurk()")
    shown.expect_prompt()
    shown.type(CTRL_C)
    assert shown.wait() == 130


def test_a_run_that_waits_is_asked_about_when_it_is_resumed(terminal: Open, run: Run):
    assert run("agent", "run", "--session", "s", "helper.toml", "remove a.txt").returncode == 16
    shown = terminal("agent", "resume", "helper.toml", "s")
    shown.expect_prompt()
    shown.type("y" + ENTER)
    shown.expect("remove says: a.txt is gone")
    assert shown.wait() == 0


# ------------------------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_stops_a_tool_and_what_is_typed_then_is_said_to_the_agent(terminal: Open, run: Run):
    shown = terminal("agent", "run", "--session", "s", "helper.toml", "hang")
    shown.expect("hang()")
    shown.type(CTRL_C)
    shown.expect("✗ hang()")
    shown.expect("Stopped. Say something")
    shown.expect_prompt()
    shown.type("remove a.txt" + ENTER)
    shown.expect_prompt()
    shown.type("y" + ENTER)
    shown.expect("remove says: a.txt is gone")
    assert shown.wait() == 0
    roles = [str(message["role"]) for message in messages_of(run, "s")]
    assert roles == ["user", "assistant", "tool", "user", "assistant", "tool", "assistant"]


def test_ctrl_c_in_an_answer_and_enter_alone_goes_on(terminal: Open, run: Run, tmp_path: Path):
    text = 'model = "simulated/lorem"\n[settings.options.simulated]\ntokens = 100000\n'
    (tmp_path / "slow.toml").write_text(f"{text}tokens_per_second = 200\n", "utf-8")
    shown = terminal("agent", "run", "--session", "s", "slow.toml", "talk")
    shown.expect("ipsum")
    shown.type(CTRL_C)
    shown.expect("Stopped. Say something")
    shown.expect_prompt()
    shown.type(ENTER)
    shown.expect("ipsum")
    shown.type(CTRL_C)
    shown.expect("Stopped. Say something")
    shown.expect_prompt()
    shown.type(CTRL_C)
    shown.expect("polyvox agent run slow.toml --session s")
    assert shown.wait() == 130
    answers = [message for message in messages_of(run, "s") if message["role"] == "assistant"]
    assert len(answers) == 2
    assert all(answer["stop_reason"] == "aborted" and answer["content"] for answer in answers)


# ------------------------------------------------------------------------------------- conversations


def test_without_a_prompt_it_is_a_conversation(terminal: Open, run: Run):
    shown = terminal("agent", "run", "--session", "s", EXAMPLE)
    shown.expect("Talking with researcher")
    for asked, told in (("calculate 2 + 3", "says: 5"), ("calculate 4 * 5", "says: 20")):
        shown.expect_prompt()
        shown.type(asked + ENTER)
        shown.expect(told)
        shown.expect(" · free · ")
    shown.expect_prompt()
    shown.type("/cost" + ENTER)
    shown.expect("tokens in")
    shown.expect_prompt()
    shown.type(CTRL_D)
    assert shown.wait() == 0
    assert len(messages_of(run, "s")) == 8


def test_a_conversation_in_which_nothing_was_said_is_not_kept(terminal: Open, run: Run):
    shown = terminal("agent", "run", EXAMPLE)
    shown.expect_prompt()
    shown.type(CTRL_D)
    assert shown.wait() == 0
    assert run("agent", "sessions", "list").returncode == 1


def test_an_error_is_told_and_the_conversation_goes_on(terminal: Open, tmp_path: Path):
    script = '[{error = {kind = "overloaded", text = "full"}}]'
    text = f'model = "simulated/scripted"\n[settings.options.simulated]\nscript = {script}\n'
    (tmp_path / "full.toml").write_text(text, "utf-8")
    shown = terminal("agent", "run", "full.toml")
    shown.expect_prompt()
    shown.type("hi" + ENTER)
    shown.expect("error: simulated/scripted: full")
    shown.expect_prompt()
    shown.type("/exit" + ENTER)
    assert shown.wait() == 0
