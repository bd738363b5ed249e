"""`polyvox mock`: a server for scripts and tests."""

import json
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Run

Start = Callable[..., "subprocess.Popen[str]"]


def served(process: subprocess.Popen[str]) -> tuple[str, dict[str, str]]:
    """The address and the variables that a mock prints once it answers."""
    url, export = process.stdout.readline().strip(), process.stdout.readline().strip()
    word, *pairs = shlex.split(export)
    assert word == "export"
    return url, dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize(
    ("dialect", "model"),
    [
        ("anthropic-messages", "anthropic/claude-sonnet-4-5"),
        ("openai-chat", "openai/gpt-5-mini"),
        ("openai-responses", "openai-responses/gpt-5-mini"),
        ("gemini", "google/gemini-2.5-flash"),
        ("ollama", "ollama/llama3.2"),
    ],
)
def test_the_printed_variables_are_all_that_is_needed(
    start: Start, run: Run, dialect: str, model: str
):
    mock = start("mock", "--dialect", dialect)
    url, variables = served(mock)
    assert url.startswith("http://127.0.0.1:")
    done = run("ask", "-m", model, "hi there", env=variables)
    assert (done.returncode, done.stdout) == (0, "hi there\n"), done.stderr
    mock.send_signal(signal.SIGTERM)
    assert mock.wait(30) == 0
    assert "1 request, 1 answered in full" in mock.stdout.read()
    assert "1 message, streamed" in mock.stderr.read()


def test_ctrl_c_ends_it_well_too(start: Start):
    mock = start("mock")
    served(mock)
    mock.send_signal(signal.SIGINT)
    assert mock.wait(30) == 0
    assert "0 requests" in mock.stdout.read()


def test_a_script_is_played_turn_by_turn(start: Start, run: Run, tmp_path: Path):
    script = ["First.", {"error": {"kind": "rate_limit", "text": "slow down", "retry_after": 3}}]
    (tmp_path / "script.json").write_text(json.dumps(script))
    _, variables = served(start("mock", "--script", "script.json"))
    ask = ("ask", "-m", "openai/gpt-5-mini", "hi")
    assert run(*ask, env=variables).stdout == "First.\n"
    second = run(*ask, env=variables)
    assert second.returncode == 8
    assert "Ask again in 3 s" in second.stderr


def test_knobs_bend_the_answer(start: Start, run: Run):
    options = ("--body", "html", "--retry-after-form", "date", "--delay-headers", "0")
    _, variables = served(start("mock", *options))
    assert run("ask", "-m", "openai/gpt-5-mini", "hi", env=variables).returncode == 12


def test_the_help_says_what_a_knob_takes(run: Run):
    shown = run("mock", "--help").stdout
    assert "--delay-chunks SECONDS" in shown
    assert "--cut-after INTEGER" in shown
    assert "--cut-mode [fin|rst|stall]" in shown


def test_every_request_is_told_with_its_status(start: Start, run: Run):
    mock = start("mock", "--expect-key", "right")
    _, variables = served(mock)
    ask = ("ask", "-m", "openai/gpt-5-mini", "hi")
    run(*ask, env=variables)
    run(*ask, env=variables | {"OPENAI_API_KEY": "wrong"})
    mock.send_signal(signal.SIGTERM)
    mock.wait(30)
    first, second = mock.stderr.read().splitlines()
    assert first == "200 POST /v1/chat/completions  gpt-5-mini  1 message, streamed"
    assert second == "401 POST /v1/chat/completions"


def test_a_script_that_is_over_says_so_in_sentences(start: Start, run: Run, tmp_path: Path):
    (tmp_path / "script.json").write_text('["only"]')
    _, variables = served(start("mock", "--script", "script.json"))
    ask = ("ask", "-m", "openai/gpt-5-mini", "hi")
    assert run(*ask, env=variables).returncode == 0
    assert "script[1] was asked for. Write more turns" in run(*ask, env=variables).stderr


def test_a_key_can_be_wanted(start: Start, run: Run):
    _, variables = served(start("mock", "--expect-key", "right"))
    ask = ("ask", "-m", "openai/gpt-5-mini", "hi")
    assert run(*ask, env=variables).returncode == 0
    assert run(*ask, env=variables | {"OPENAI_API_KEY": "wrong"}).returncode == 4


def test_the_ready_file_holds_the_address(start: Start, tmp_path: Path):
    mock = start("mock", "--ready-file", "ready")
    url, _ = served(mock)
    assert mock.poll() is None
    mock.send_signal(signal.SIGTERM)
    mock.wait(30)
    assert (tmp_path / "ready").read_text() == f"{url}\n"


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (
            ("--cut-mode", "sideways"),
            2,
            "'--cut-mode': 'sideways' is not one of 'fin', 'rst', 'stall'",
        ),
        (("--delay-chunks", "soon"), 2, "'--delay-chunks': 'soon'"),
        (("--cut-after", "abc"), 2, "'--cut-after': 'abc'"),
        (("--status", "200"), 2, "400<=x<=599"),
        (("--ready-file", "no/such/folder"), 3, "can't write no/such/folder"),
        (("--dialect", "klingon"), 2, "klingon"),
        (("--script", "missing.json"), 3, "missing.json"),
        (("--no-such-knob", "1"), 2, "--no-such-knob"),
    ],
)
def test_a_wrong_option_is_named(run: Run, options: tuple[str, ...], code: int, problem: str):
    done = run("mock", *options)
    assert done.returncode == code, done.stderr
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_an_error_of_one_line(start: Start, run: Run):
    url, _ = served(start("mock"))
    port = url.split(":")[2].partition("/")[0]
    done = run("mock", "--port", port)
    assert done.returncode == 3
    assert "can't listen" in done.stderr
    assert "Traceback" not in done.stderr
