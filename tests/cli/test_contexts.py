"""``polyvox contexts``, against a gateway that runs."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import NOBODY, Run
from .gateway_process import ADMIN_KEY, Gateway, gateway
from .terminal import Terminal

Contexts = Callable[..., Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as served:
        yield served


@pytest.fixture
def contexts(run: Run, served: Gateway) -> Contexts:
    """Run ``polyvox contexts``."""

    def runner(*arguments: str, **options: Any) -> Any:
        return run("contexts", *arguments, env=served.env, **options)

    return runner


def begun(contexts: Contexts, name: str, *texts: str) -> str:
    roles = ("user", "assistant")
    lines = (json.dumps({"role": roles[n % 2], "content": text}) for n, text in enumerate(texts))
    done = contexts("import", "-", "--name", name, stdin="\n".join(lines))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_conversation_of_calls_is_listed_shown_and_found(contexts: Contexts, served: Gateway):
    for text in ("Where to in June?", "And when exactly?"):
        body = {
            "model": "simulated/echo",
            "messages": [{"role": "user", "content": text}],
            "polyvox": {"context": "calls"},
        }
        request = urllib.request.Request(
            f"{served.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"authorization": f"Bearer {ADMIN_KEY}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 200
    listed = contexts("list")
    head, *rows = listed.stdout.splitlines()
    assert head.split()[:2] == ["NAME", "ORGANISATION"]
    assert any("calls" in row and "Where to in June?" in row for row in rows)
    assert "\x1b" not in listed.stdout
    shown = contexts("show", "calls").stdout
    assert "[0] user\nWhere to in June?" in shown
    assert "[3] assistant\nAnd when exactly?" in shown
    found = json.loads(contexts("search", "JUNE", "--json", "-n", "1").stdout)
    assert (found["name"], found["place"], found["role"]) == ("calls", 1, "assistant")


def test_a_fork_has_the_beginning(contexts: Contexts):
    id = begun(contexts, "trip", "one", "two", "three", "four")
    copy = contexts("fork", "trip", "--messages", "2").stdout.strip()
    shown = json.loads(contexts("show", copy, "--json").stdout)
    assert shown["context"]["parent"] == id
    assert [each["message"]["content"][0]["text"] for each in shown["messages"]] == ["one", "two"]


def test_what_is_exported_comes_in_again_as_it_was(contexts: Contexts, tmp_path: Path):
    begun(contexts, "out", "one", "two")
    assert contexts("export", "out", "-o", str(tmp_path / "out.jsonl")).returncode == 0
    assert contexts("import", str(tmp_path / "out.jsonl"), "--name", "in").returncode == 0
    assert contexts("export", "in").stdout == (tmp_path / "out.jsonl").read_text()
    openai = contexts("export", "in", "--format", "openai").stdout.splitlines()
    assert json.loads(openai[0]) == {"role": "user", "content": "one"}
    bad = contexts("import", "-", stdin="{}\nnonsense")
    assert (bad.returncode, "line 2 is no JSON" in bad.stderr) == (2, True)


def test_the_older_part_is_summarised_by_the_model_that_is_named(contexts: Contexts):
    begun(contexts, "long", *(f"{n} {'word ' * 200}" for n in range(40)))
    done = contexts("compact", "long", "-m", "simulated/lorem", "--keep", "100")
    assert done.returncode == 0, done.stderr
    assert "stands for the first 38 of 40 messages" in done.stderr
    assert contexts("show", "long").stdout.count("\n[") == 40
    begun(contexts, "short", "one", "two")
    done = contexts("compact", "short", "-m", "simulated/lorem")
    assert (done.returncode, "too short" in done.stderr) == (1, True)


def test_what_is_deleted_is_gone(contexts: Contexts):
    begun(contexts, "first", "one")
    begun(contexts, "second", "one")
    assert contexts("delete", "first", "second").returncode == 0
    gone = contexts("show", "first")
    assert (gone.returncode, "there is no context 'first'" in gone.stderr) == (5, True)
    assert contexts("search", "zzzzzz").returncode == 1


def test_names_are_completed_and_nobody_is_missed_where_no_gateway_answers(
    contexts: Contexts, run: Run, served: Gateway
):
    begun(contexts, "completed", "one")
    asked = {"_POLYVOX_COMPLETE": "bash_complete", "COMP_WORDS": "polyvox contexts show compl"}
    done = run(env=served.env | asked | {"COMP_CWORD": "3"})
    assert done.stdout == "plain,completed\n"
    away = served.env | {"POLYVOX_GATEWAY_URL": NOBODY}
    done = run(env=away | asked | {"COMP_CWORD": "3"})
    assert (done.stdout.strip(), done.stderr) == ("", "")
    done = run("contexts", "list", env=away)
    assert (done.returncode, "no gateway answers" in done.stderr) == (10, True)


def test_on_a_terminal_what_was_said_can_t_move_the_cursor(
    contexts: Contexts, terminal: Callable[..., Terminal], served: Gateway
):
    begun(contexts, "odd", "red: \x1b[31m!\x1b]0;title\x07")
    shown = terminal("contexts", "show", "odd", env=served.env)
    shown.expect("red: [31m!]0;title")
    assert "\x1b[31m" not in shown.raw
    assert "\x1b]0;" not in shown.raw
