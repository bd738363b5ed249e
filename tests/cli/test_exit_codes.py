"""Every kind of failure ends with its own code, says what to do, and shows no traceback."""

import pytest

from polyvox import errors
from polyvox.cli.exit_codes import BY_KIND, EXIT_CODES, exit_code
from polyvox.errors import PolyvoxError
from polyvox.testing import Knobs

from .conftest import NOBODY, Run


def every_error() -> list[type[PolyvoxError]]:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    return [kind for kind in kinds if issubclass(kind, PolyvoxError)]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_code(kind: type[PolyvoxError]):
    assert kind.kind in BY_KIND
    assert exit_code(kind("text")) == BY_KIND[kind.kind]


def test_a_kind_of_somebody_elses_has_the_code_of_what_it_is():
    class OwnError(errors.RateLimitError):
        kind = "own"

    assert exit_code(OwnError("text")) == 8


def test_codes_are_told_once_and_in_order():
    codes = [code for code, _, _ in EXIT_CODES]
    assert codes == sorted(set(codes))


def test_help_shows_every_code(run: Run):
    for arguments in (("--help",), ("ask", "--help")):
        shown = run(*arguments).stdout
        for code, _, meaning in EXIT_CODES:
            assert f"{code:>3}  {meaning}" in shown


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic-messages"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"kind": "authentication", "text": "wrong key"}, 4),
        ({"kind": "permission_denied", "text": "not yours"}, 4),
        ({"kind": "not_found", "text": "no such model"}, 5),
        ({"kind": "bad_request", "text": "not like this"}, 6),
        ({"kind": "rate_limit", "text": "slow down", "retry_after": 7}, 8),
        ({"kind": "overloaded", "text": "full"}, 9),
        ({"kind": "server", "text": "broken"}, 9),
    ],
)
def test_what_a_provider_says(
    run: Run, polyvox_mock, dialect: str, error: dict[str, object], code: int
):
    server = polyvox_mock(dialect, [{"error": error}])
    model, prefix = {
        "openai-chat": ("openai/gpt-5-mini", "OPENAI"),
        "anthropic-messages": ("anthropic/claude-sonnet-4-5", "ANTHROPIC"),
    }[dialect]
    env = {f"{prefix}_BASE_URL": server.url, f"{prefix}_API_KEY": "mock-key-0123456789"}
    done = run("ask", "-m", model, "hi", env=env)
    assert done.returncode == code, done.stderr
    assert f"error: {model}" in done.stderr
    assert str(error["text"]) in done.stderr
    assert "Traceback" not in done.stderr
    assert "mock-key-0123456789" not in done.stderr
    if "retry_after" in error:
        assert "Ask again in 7 s" in done.stderr


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        (Knobs(body="html"), 12),
        (Knobs(body="empty"), 12),
        (Knobs(cut_after=300), 10),
        (Knobs(malformed_chunk=1), 12),
        (Knobs(status=401), 4),
        (Knobs(status=503), 9),
    ],
)
def test_what_goes_wrong_on_the_way(run: Run, polyvox_mock, knobs: Knobs, code: int):
    server = polyvox_mock("anthropic-messages", ["Hello. " * 50], knobs=knobs)
    env = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "mock"}
    done = run("ask", "-m", "anthropic/claude-sonnet-4-5", "hi", env=env)
    assert done.returncode in ({10, 12} if code == 10 else {code}), done.stderr
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_there(run: Run):
    done = run("ask", "--base-url", NOBODY, "-m", "any", "hi")
    assert done.returncode == 10
    assert "127.0.0.1:1" in done.stderr


def test_a_local_server_that_is_not_there_says_how_to_start_it(run: Run):
    done = run("ask", "-m", "ollama/llama3.2", "hi")
    assert done.returncode == 10
    assert "hint: Start it with 'ollama serve'." in done.stderr
    assert "ollama serve" not in run("ask", "--base-url", NOBODY, "-m", "any", "hi").stderr


def test_too_late(run: Run):
    arguments = ("ask", "-m", "simulated/lorem", "-o", "first_token_delay=600", "--timeout", "0.2")
    assert run(*arguments, "hi").returncode == 11


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("openai/gpt-5-mini", "OPENAI_API_KEY"),
        ("gpt-5-mini", "openai/gpt-5-mini"),
        ("opnai/gpt-5-mini", "openai"),
        ("simulated/ecko", "simulated/echo"),
    ],
)
def test_a_wrong_set_up_says_how_to_put_it_right(run: Run, model: str, hint: str):
    done = run("ask", "-m", model, "hi")
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert hint in done.stderr.partition("hint: ")[2]


def test_debug_shows_the_traceback(run: Run):
    for arguments in (("ask", "-v"), ("--debug", "ask")):
        done = run(*arguments, "-m", "openai/gpt-5-mini", "hi")
        assert "Traceback" in done.stderr
        assert done.returncode == 3


def test_an_unknown_command_names_the_nearest(run: Run):
    done = run("aks", "hi")
    assert done.returncode == 2
    assert "'ask'" in done.stderr
