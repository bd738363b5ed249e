"""`polyvox chat` in a pipe: lines in, plain text out."""

import json
from pathlib import Path

from polyvox.messages import AssistantMessage, Text, UserMessage

from .conftest import Run

CHAT = ("chat", "-m", "simulated/echo")


def test_every_line_is_a_message(run: Run):
    done = run(*CHAT, stdin="hello\n\nworld\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\nworld\n", "")


def test_quotes_hold_several_lines_together(run: Run):
    assert (
        run(*CHAT, stdin='"""one\n  two\n\nthree"""\nfour\n').stdout
        == "one\n  two\n\nthree\nfour\n"
    )


def test_the_model_is_told_what_was_said_before(run: Run, polyvox_mock):
    server = polyvox_mock("anthropic-messages", ["First.", "Second."])
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    done = run(
        *("chat", "-m", "anthropic/claude-sonnet-4-5", "-s", "Be brief."),
        stdin="one\ntwo\n",
        env=env,
    )
    assert done.stdout == "First.\nSecond.\n"
    request = server.requests[1].request
    assert request.system == [Text("Be brief.")]
    said = [(type(m), m.content[0].text) for m in request.messages]
    assert said == [(UserMessage, "one"), (AssistantMessage, "First."), (UserMessage, "two")]


def test_an_error_keeps_the_conversation(run: Run, polyvox_mock):
    error = {"error": {"kind": "overloaded", "text": "full just now"}}
    server = polyvox_mock("anthropic-messages", ["First.", error, "Third."])
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    done = run("chat", "-m", "anthropic/claude-sonnet-4-5", stdin="one\ntwo\n/retry\n", env=env)
    assert done.stdout == "First.\nThird.\n"
    assert "full just now" in done.stderr
    assert done.returncode == 9
    said = [m.content[0].text for m in server.requests[2].request.messages]
    assert said == ["one", "First.", "two"]


def test_commands_change_what_is_asked(run: Run, polyvox_mock):
    server = polyvox_mock("anthropic-messages", ["A.", "B.", "C."])
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    lines = ("one", "/undo", "two", "/clear", "/system Be kind.", "/model anthropic/other", "three")
    run("chat", "-m", "anthropic/claude-sonnet-4-5", stdin="\n".join(lines) + "\n", env=env)
    asked = [[m.content[0].text for m in r.request.messages] for r in server.requests]
    assert asked == [["one"], ["two"], ["three"]]
    assert server.requests[2].request.system == [Text("Be kind.")]
    assert server.requests[2].request.model == "other"


def test_options_of_one_model_are_dropped_for_the_next_and_that_is_said(run: Run):
    lines = "/model simulated/echo\nhello\n/option tokens_per_second=5000\n/option\nagain\n"
    done = run("chat", "-m", "simulated/lorem", "-o", "tokens=300", stdin=lines)
    assert done.stdout == "hello\nagain\n", done.stderr
    assert "warning: dropped, as set for simulated/lorem: tokens=300\n" in done.stderr
    assert "/option NAME=VALUE" in done.stderr
    assert done.stderr.count("Options: tokens_per_second=5000\n") == 2


def test_options_reach_the_provider_that_they_are_set_for(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat", ["A.", "B."])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    lines = "/option service_tier=flex\none\n/option -\n/option nonsense\ntwo\n"
    done = run("chat", "-m", "openai/gpt-5-mini", stdin=lines, env=env)
    first, second = (json.loads(request.body) for request in server.requests)
    assert first["service_tier"] == "flex"
    assert "service_tier" not in second
    assert "NAME=VALUE, not 'nonsense'" in done.stderr


def test_a_model_that_cannot_be_asked_is_refused_and_the_old_one_stays(run: Run):
    done = run(*CHAT, stdin="/model openai/gpt-5-mini\nhello\n")
    assert done.stdout == "hello\n"
    assert "OPENAI_API_KEY" in done.stderr


def test_an_unknown_command_names_the_nearest_and_is_not_sent(run: Run):
    done = run(*CHAT, stdin="/csot\n")
    assert done.stdout == ""
    assert "Did you mean /cost?" in done.stderr


def test_cost_counts_all_answers(run: Run):
    done = run(*CHAT, stdin="hello\nworld\n/undo\n/cost\n")
    assert done.stderr.endswith("2 answers: 4 tokens in, 2 out · free\n")


def test_a_chat_is_saved_and_gone_on_with(run: Run, tmp_path: Path):
    done = run(*CHAT, "-s", "Repeat.", stdin="hello\n/save chat.json\n/save chat.md\n")
    assert done.returncode == 0, done.stderr
    saved = json.loads((tmp_path / "chat.json").read_text())
    assert (saved["model"], saved["system"]) == ("simulated/echo", "Repeat.")
    assert [m["role"] for m in saved["messages"]] == ["user", "assistant"]
    text = (tmp_path / "chat.md").read_text()
    assert "## You\n\nhello\n\n## simulated/echo\n\nhello\n" in text
    done = run("chat", "--continue", "chat.json", stdin="again\n/save! chat.json\n/cost\n")
    assert done.stdout == "again\n", done.stderr
    assert "2 answers" in done.stderr
    saved = json.loads((tmp_path / "chat.json").read_text())
    assert len(saved["messages"]) == 4


def test_saving_writes_over_nothing_of_somebody_elses(run: Run, tmp_path: Path):
    (tmp_path / "notes.md").write_text("precious")
    done = run(*CHAT, stdin="hello\n/save notes.md\n")
    assert "/save! notes.md" in done.stderr
    assert (tmp_path / "notes.md").read_text() == "precious"


def test_saving_again_is_fine(run: Run, tmp_path: Path):
    done = run(*CHAT, stdin="hello\n/save chat.md\nworld\n/save chat.md\n")
    assert done.returncode == 0, done.stderr
    assert "world" in (tmp_path / "chat.md").read_text()


def test_only_known_forms_are_saved_and_read(run: Run, tmp_path: Path):
    assert ".md nor a .json" in run(*CHAT, stdin="/save chat.txt\n").stderr
    (tmp_path / "other.json").write_text('{"no": "chat"}')
    done = run("chat", "--continue", "other.json")
    assert done.returncode == 3
    assert "is no saved chat" in done.stderr


def test_a_missing_key_is_told_before_anything_is_typed(run: Run):
    done = run("chat", "-m", "openai/gpt-5-mini", stdin="hello\n")
    assert done.returncode == 3
    assert done.stdout == ""
