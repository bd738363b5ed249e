"""Which model is asked when none is named, and that it is said."""

import pytest

from polyvox.cli.addresses import is_loopback
from polyvox.secret import without_password
from polyvox.testing import Knobs

from .conftest import Run


def test_without_anything_the_echo_answers_and_says_why(run: Run):
    done = run("ask", "hello")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr.startswith("Using simulated/echo: no API key is set")
    assert "polyvox doctor" in done.stderr
    assert done.stderr.count("\n") == 1


def test_quiet_says_nothing(run: Run):
    assert run("ask", "-q", "hello").stderr == ""


def test_a_named_model_is_not_explained(run: Run):
    assert run("ask", "-m", "simulated/echo", "hello").stderr == ""
    named = run("ask", "hello", env={"POLYVOX_MODEL": "simulated/lorem"})
    assert (named.stdout[:5], named.stderr) == ("Lorem", "")


def test_a_key_that_is_there_decides(run: Run, polyvox_mock):
    server = polyvox_mock("openai-chat", ["Hello."])
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "mock"}
    done = run("ask", "hi", env=env)
    assert (done.returncode, done.stdout) == (0, "Hello.\n")
    assert done.stderr.startswith("Using openai/gpt-5-mini: OPENAI_API_KEY is set.")


def test_a_key_without_its_address_is_passed_over(run: Run):
    done = run("ask", "hi", env={"AZURE_OPENAI_API_KEY": "mock"})
    assert done.stderr.startswith("Using simulated/echo")


@pytest.mark.parametrize(
    ("variable", "provider", "dialect"),
    [
        ("OLLAMA_HOST", "ollama", "ollama"),
        ("LLAMA_CPP_BASE_URL", "llama-cpp", "openai-chat"),
    ],
)
def test_a_local_server_that_answers_is_used(
    run: Run, polyvox_mock, variable: str, provider: str, dialect: str
):
    server = polyvox_mock(dialect, ["Local."], models=["nomic-embed-text", "small:1b"])
    done = run("ask", "hi", env={variable: server.url})
    assert (done.returncode, done.stdout) == (0, "Local.\n"), done.stderr
    assert done.stderr.startswith(f"Using {provider}/small:1b: no API key is set, and ")
    assert server.url in done.stderr
    assert [request.method for request in server.requests] == ["GET", "POST"]


def test_a_local_server_without_a_model_is_named(run: Run, polyvox_mock):
    server = polyvox_mock("ollama", ["x"], models=["nomic-embed-text"])
    done = run("ask", "hi", env={"OLLAMA_HOST": server.url})
    assert done.stdout == "hi\n"
    assert "Ollama answers but has no model" in done.stderr


def test_a_local_server_that_never_answers_is_given_up(run: Run, polyvox_mock):
    server = polyvox_mock("ollama", ["x"], knobs=Knobs(delay_headers=600))
    done = run("ask", "hi", env={"OLLAMA_HOST": server.url})
    assert done.stdout == "hi\n"


def test_a_server_elsewhere_is_not_asked(run: Run):
    # A name that resolves nowhere: asking would cost time, and tell a stranger.
    done = run("doctor", env={"OLLAMA_HOST": "http://gpu-box.invalid:11434"})
    assert "not on this machine; not asked" in done.stdout


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:11434/v1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8080/v1", True),
        ("http://localhost:1234", True),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1", False),
        ("https://api.example.com", False),
        ("nonsense", False),
    ],
)
def test_what_counts_as_this_machine(url: str, here: bool):
    assert is_loopback(url) is here


def test_a_password_in_an_address_is_not_shown():
    shown = without_password("http://ada:s3cret@proxy.example:3128/path?token=x#y")
    assert shown == "http://***@proxy.example:3128/path"
