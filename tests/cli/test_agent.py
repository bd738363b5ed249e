"""`polyvox agent` without a terminal: the answer in a pipe, events as JSON, runs that wait, sessions."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from polyvox.agent import AgentEnd, AgentStart, NestedRun, ToolExecutionEnd, decode_agent_event

from .conftest import COMMAND, Run
from .test_completion import offered

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "researcher.toml")
QUESTION = 'Search the documents for "spring tides", and calculate 3.57 * 7.'

TOOLS = '''
import threading
from pathlib import Path

from polyvox import Agent, tool
from polyvox.errors import PolyvoxError


@tool
def fetch(word: str) -> str:
    """Get a word."""
    return f"{word}!"


@tool(needs_approval=True)
def remove(path: str) -> str:
    """Remove a file."""
    Path(path).unlink()
    return f"{path} is gone"


@tool
def hang() -> str:
    """Never come back."""
    Path("hangs").write_text("now")
    threading.Event().wait()
    return ""


@tool
def broken() -> str:
    """Fail."""
    raise ValueError("a pipe burst")


expert = Agent("simulated/tools", tools=[fetch], name="expert")
boss = Agent("simulated/tools", tools=[expert.as_tool()], name="boss")


def make():
    return Agent("simulated/tools", tools=[fetch], name="made")


def not_an_agent():
    return 7
'''


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    path = tmp_path / "shed.py"
    path.write_text(TOOLS, "utf-8")
    return path


@pytest.fixture
def agent(tools: Path) -> Callable[..., str]:
    """Write an agent's file: ``agent("name", tools=["fetch"], more="[limits]")``."""

    def write(name: str = "helper", *tool_names: str, more: str = "") -> str:
        named = [f"shed:{each}" for each in tool_names]
        text = f'model = "simulated/tools"\ntools = {json.dumps(named)}\n{more}'
        (tools.parent / f"{name}.toml").write_text(text, "utf-8")
        return f"{name}.toml"

    return write


def sessions(run: Run) -> list[dict[str, object]]:
    lines = run("agent", "sessions", "list", "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


# ------------------------------------------------------------------------------------- in a pipe


def test_in_a_pipe_the_answer_alone_goes_to_stdout(run: Run):
    done = run("agent", "run", EXAMPLE, QUESTION)
    assert done.returncode == 0
    assert done.stdout.startswith("search_documents says: tides: Spring tides come")
    assert done.stdout.endswith("calculate says: 24.99\n")
    lines = done.stderr.splitlines()
    assert sorted(line.rpartition(" ")[0].rpartition(" ")[0] for line in lines[:2]) == [
        '✓ calculate(expression="3.57 * 7")',
        '✓ search_documents(query="spring tides")',
    ]
    assert lines[-1].startswith("2 turns · 2 tools · ")
    assert " · free · " in lines[-1]


def test_the_prompt_may_come_on_stdin(run: Run):
    done = run("agent", "run", EXAMPLE, stdin="calculate 2 + 3\n")
    assert done.stdout == "calculate says: 5\n"


def test_quiet_leaves_the_answer_alone(run: Run):
    done = run("agent", "run", "-q", EXAMPLE, "calculate 2 + 3")
    assert (done.stdout, done.stderr) == ("calculate says: 5\n", "")


def test_a_tool_that_fails_is_told_with_its_error(run: Run, agent: Callable[..., str]):
    done = run("agent", "run", agent("helper", "broken"), "use broken")
    mark, error, _ = done.stderr.splitlines()
    assert mark.startswith("✗ broken() ")
    assert "a pipe burst" in error


def test_json_is_every_event_as_a_line_and_nothing_else(run: Run):
    done = run("agent", "run", "--json", EXAMPLE, "calculate 2 + 3")
    assert done.stderr == ""
    events = [decode_agent_event(line) for line in done.stdout.splitlines()]
    assert isinstance(events[0], AgentStart)
    assert isinstance(events[-1], AgentEnd)
    assert events[-1].outcome == "done"
    assert [e.result.text for e in events if isinstance(e, ToolExecutionEnd)] == ["5"]


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix closes them")
@pytest.mark.parametrize(
    ("closed", "told", "noted"),
    [("<&-", "hi\n", "1 turn"), (">&-", "", "1 turn"), ("2>&-", "hi\n", "")],
)
def test_it_runs_where_a_stream_is_closed(
    environment: dict[str, str], tmp_path: Path, closed: str, told: str, noted: str
):
    (tmp_path / "agent.toml").write_text('model = "simulated/echo"', "utf-8")
    command = shlex.join([*COMMAND, "agent", "run", "agent.toml", "hi"])
    done = subprocess.run(
        ["sh", "-c", f"{command} {closed}"],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, told)
    assert noted in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_to_ask_is_an_error_that_says_so(run: Run):
    done = run("agent", "run", EXAMPLE)
    assert done.returncode == 2
    assert "there is nothing to ask" in done.stderr


# ------------------------------------------------------------------------------------- whose it is


@pytest.mark.parametrize("reference", ["shed:make", "shed.py:make"])
def test_a_function_that_makes_an_agent_is_run(run: Run, tools: Path, reference: str):
    done = run("agent", "run", reference, 'fetch "now"')
    assert done.stdout == "fetch says: now!\n"


def test_the_tools_inside_of_an_agent_stand_below_it(run: Run, tools: Path):
    done = run("agent", "run", "shed:boss", 'ask the expert to `fetch "now"`')
    assert "fetch says: now!" in done.stdout
    outer, inner, last = done.stderr.splitlines()
    assert outer.startswith("✓ expert(task=")
    assert inner.startswith('  ✓ fetch(word="now")')
    assert " 2 tools " in last
    shown = run("agent", "run", "--json", "shed:boss", 'ask the expert to `fetch "now"`').stdout
    events = [decode_agent_event(line) for line in shown.splitlines()]
    assert any(isinstance(event, NestedRun) and event.path == ["expert"] for event in events)


@pytest.mark.parametrize(
    ("reference", "code", "told"),
    [
        ("shed:bos", 3, "Did you mean 'boss'?"),
        ("shed:not_an_agent", 2, "shed:not_an_agent is no agent, but of type int"),
        ("nothing:agent", 3, "there is no module 'nothing'"),
        ("helper", 3, "'helper' refers to no agent"),
        ("gone.toml", 3, "gone.toml can't be read"),
    ],
)
def test_what_is_no_agent_is_told(run: Run, tools: Path, reference: str, code: int, told: str):
    done = run("agent", "run", reference, "hi")
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_another_model_may_be_asked(run: Run):
    done = run("agent", "run", "-m", "simulated/echo", EXAMPLE, "hello")
    assert done.stdout == "hello\n"


def test_a_model_may_have_a_name_of_the_configuration(
    run: Run, agent: Callable[..., str], tmp_path: Path
):
    (tmp_path / "polyvox.toml").write_text("[aliases]\nquick = 'simulated/echo'\n", "utf-8")
    assert run("agent", "run", "-m", "quick", agent(), "hello").stdout == "hello\n"


def test_a_model_without_a_key_is_told_before_anything_is_kept(run: Run):
    done = run("agent", "run", "-m", "openai/gpt-5-mini", EXAMPLE, "hello")
    assert done.returncode == 3
    assert "OPENAI_API_KEY" in done.stderr
    assert sessions(run) == []


def test_the_calls_are_in_the_log_with_the_session(run: Run):
    run("agent", "run", "--session", "mine", EXAMPLE, "calculate 2 + 3")
    run("agent", "run", "--no-log", EXAMPLE, "calculate 2 + 3")
    lines = run("log", "list", "--json").stdout.splitlines()
    assert [json.loads(line)["session"] for line in lines] == ["mine", "mine"]


def test_a_limit_ends_the_run_with_its_own_code(run: Run, agent: Callable[..., str]):
    file = agent("helper", "fetch", more="[limits]\nturns = 1\n")
    done = run("agent", "run", file, 'fetch "now"')
    assert done.returncode == 15
    assert "limits.turns" in done.stderr


# ------------------------------------------------------------------------------------- approvals


def test_without_a_terminal_a_call_that_needs_an_approval_waits(
    run: Run, agent: Callable[..., str], tmp_path: Path
):
    (tmp_path / "a.txt").touch()
    file = agent("helper", "remove")
    done = run("agent", "run", "--session", "s", file, "remove a.txt")
    assert (done.returncode, done.stdout) == (16, "")
    assert 'waits for an approval: remove(path="a.txt")' in done.stderr
    assert (tmp_path / "a.txt").exists()
    hint = done.stderr.partition("hint: polyvox ")[2].partition(";")[0]
    again = run("agent", "resume", file, "s")
    assert again.returncode == 16
    gone_on = run(*hint.split())
    assert (gone_on.returncode, gone_on.stdout) == (0, "remove says: a.txt is gone\n")
    assert not (tmp_path / "a.txt").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--deny", "remove"), "remove failed: remove was not run: it is not allowed."),
        (("--deny", "remove=too risky"), "remove failed: Not run: the user says: too risky"),
        (("--edit", 'remove={"path": "b.txt"}'), "remove says: b.txt is gone"),
        (("--approve", "all"), "remove says: a.txt is gone"),
    ],
)
def test_a_call_that_waits_may_be_decided_otherwise(
    run: Run, agent: Callable[..., str], tmp_path: Path, arguments: tuple[str, ...], told: str
):
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").touch()
    file = agent("helper", "remove")
    run("agent", "run", file, "remove a.txt")
    done = run("agent", "resume", file, *arguments)
    assert (done.returncode, done.stdout) == (0, f"{told}\n")


def test_a_decision_about_a_call_that_does_not_wait_is_an_error(
    run: Run, agent: Callable[..., str]
):
    file = agent("helper", "remove")
    run("agent", "run", file, "remove a.txt")
    done = run("agent", "resume", file, "--approve", "rmove")
    assert done.returncode == 2
    assert "no call waits that is like 'rmove'" in done.stderr
    assert "(remove)" in done.stderr


def test_a_file_names_the_tools_that_need_an_approval(run: Run):
    done = run("agent", "run", EXAMPLE, "delete the notes")
    assert done.returncode == 16
    assert "delete_notes()" in done.stderr


# ------------------------------------------------------------------------------------- sessions


def test_a_conversation_is_gone_on_with(run: Run, agent: Callable[..., str]):
    file = agent("helper", "fetch")
    run("agent", "run", "--session", "one", file, 'fetch "a"')
    run("agent", "run", "--continue", file, 'fetch "b"')
    (info,) = sessions(run)
    assert (info["id"], info["agent"], info["turns"]) == ("one", "helper", 4)
    shown = run("agent", "sessions", "show", "one").stdout
    assert shown.index('fetch "a"') < shown.index('fetch "b"')


def test_without_a_session_nothing_is_kept(run: Run, agent: Callable[..., str]):
    file = agent("helper", "remove")
    done = run("agent", "run", "--no-session", file, "remove a.txt")
    assert done.returncode == 16
    assert "Nothing of it is kept" in done.stderr
    assert sessions(run) == []


def test_a_run_that_is_done_has_nothing_to_go_on_with(run: Run):
    run("agent", "run", "--session", "sum", EXAMPLE, "calculate 2 + 3")
    done = run("agent", "resume", EXAMPLE, "sum")
    assert (done.returncode, done.stdout) == (0, "")
    assert "there is nothing to do" in done.stderr


def test_continue_without_a_session_is_an_error(run: Run, agent: Callable[..., str]):
    done = run("agent", "run", "--continue", agent(), "hi")
    assert done.returncode == 5
    assert "no session of helper is kept" in done.stderr


def test_sessions_are_listed_shown_exported_and_deleted(run: Run, tmp_path: Path):
    run("agent", "run", "--session", "sum", EXAMPLE, "calculate 2 + 3")
    assert "sum " in run("agent", "sessions", "list").stdout
    state = json.loads(run("agent", "sessions", "show", "--json", "sum").stdout)
    assert state["outcome"] == "done"
    page = ("agent", "sessions", "export", "sum", "--format", "html", "-o", "sum.html")
    assert run(*page).returncode == 0
    assert "calculate" in (tmp_path / "sum.html").read_text("utf-8")
    assert offered(run, "polyvox agent sessions show s", 4) == ["sum"]
    assert run("agent", "sessions", "delete", "sum").returncode == 0
    done = run("agent", "sessions", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert run("agent", "sessions", "show", "sum").returncode == 5


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
def test_ctrl_c_ends_with_130_and_the_session_goes_on(
    start: Callable[..., "subprocess.Popen[str]"],
    run: Run,
    agent: Callable[..., str],
    tmp_path: Path,
):
    file = agent("helper", "hang")
    os.mkfifo(tmp_path / "hangs")
    process = start("agent", "run", "--session", "s", file, "hang")
    process.stdin.close()
    assert (tmp_path / "hangs").read_text() == "now"  # waits until the tool is there
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert "interrupted by Ctrl-C" in process.stderr.read()
    state = json.loads(run("agent", "sessions", "show", "--json", "s").stdout)
    assert "Stopped before it was done" in json.dumps(state["messages"][-1])


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_tools_print_is_none_of_the_answer(run: Run, tmp_path: Path, options: tuple[str, ...]):
    tools = "from polyvox import Agent\nprint('loading')\n\n\ndef add(a: int) -> int:\n"
    tools += "    print('at work')\n    return a + 1\n\n\n"
    (tmp_path / "noisy.py").write_text(tools + "agent = Agent('simulated/tools', tools=[add])\n")
    done = run("agent", "run", *options, "noisy:agent", "Add 3.")
    assert done.returncode == 0
    assert "loading" not in done.stdout
    assert "at work" not in done.stdout
    assert "add says: 4" in done.stdout
    assert done.stderr.startswith("loading\nat work\n")
