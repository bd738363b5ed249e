"""`polyvox embed`: texts from arguments or stdin, vectors as lines of JSON."""

import json

import pytest

from polyvox.providers.simulated.embedding import vector_of
from polyvox.testing import ThreadedMock

from .conftest import Run

EMBED = ("embed", "-m", "simulated/embedding", "--dimensions", "4")


def vectors(stdout: str) -> list[list[float]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_every_argument_is_a_text(run: Run):
    done = run(*EMBED, "cats", "dogs and cats")
    assert (done.returncode, done.stderr) == (0, "")
    assert vectors(done.stdout) == [vector_of("cats", 4), vector_of("dogs and cats", 4)]


@pytest.mark.parametrize("argument", [(), ("-",)])
def test_else_every_line_on_stdin_is(run: Run, argument: tuple[str, ...]):
    done = run(*EMBED, *argument, stdin="cats\ndogs and cats\n")
    assert vectors(done.stdout) == [vector_of("cats", 4), vector_of("dogs and cats", 4)]


def test_json_has_the_usage_too(run: Run):
    found = json.loads(run(*EMBED, "--json", "cats").stdout)
    assert found["vectors"] == [vector_of("cats", 4)]
    assert found["model"] == "simulated/embedding"
    assert found["usage"]["input_tokens"] == 1
    assert found["usage"]["cost"]["status"] == "free"


def test_a_server_of_ones_own_is_told_the_options(run: Run, polyvox_mock):
    mock: ThreadedMock = polyvox_mock("ollama")
    done = run(
        *("embed", "-m", "m1", "--base-url", mock.url, "--dialect", "ollama"),
        *("--task", "query", "-o", "truncate=false", "cats"),
    )
    assert done.returncode == 0
    assert vectors(done.stdout) == [vector_of("cats")]
    assert "warning: task: not sent" in done.stderr
    assert json.loads(mock.requests[0].body) == {
        "model": "m1",
        "input": ["cats"],
        "truncate": False,
    }


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "text"),
    [
        (EMBED, "", 2, "there is nothing to embed"),
        (EMBED, "cats\n\ndogs\n", 6, "inputs[1] is empty"),
        (("embed", "cats"), "", 2, "missing option '-m'"),
        (("embed", "-m", "anthropic/claude-sonnet-4-5", "cats"), "", 5, "no embeddings"),
        (("embed", "-m", "mistral/mistral-embed", "cats"), "", 3, "MISTRAL_API_KEY"),
    ],
)
def test_what_is_wrong_is_told_with_its_exit_code(
    run: Run, arguments: tuple[str, ...], stdin: str, code: int, text: str
):
    done = run(*arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
