"""`polyvox ask` with a model that LiteLLM reaches: LiteLLM itself, against our mock providers."""

import json
from importlib.util import find_spec

import pytest

from polyvox.testing import MockProvider

from .conftest import Run

pytestmark = pytest.mark.skipif(
    find_spec("litellm") is None, reason="LiteLLM is in .venv-bench: see `make test`"
)

NAME = "litellm/openai/gpt-4o-mini"


@pytest.fixture
def openai():
    with MockProvider("openai-chat", ["Good day.", "Good evening."]) as mock:
        yield mock


def variables(url: str) -> dict[str, str]:
    return {"OPENAI_API_BASE": url, "OPENAI_API_KEY": "sk-mock"}


def test_the_answer_and_its_cost(run: Run, openai):
    done = run("ask", "-m", NAME, "hi", env=variables(openai.url))
    assert (done.returncode, done.stdout) == (0, "Good day.\n")
    assert openai.requests[0].headers["authorization"] == "Bearer sk-mock"


def test_json_has_text_usage_and_cost(run: Run, openai):
    done = run("ask", "--json", "-m", NAME, "hi", env=variables(openai.url))
    said = json.loads(done.stdout)
    assert said["text"] == "Good day."
    assert said["usage"]["input_tokens"] > 0
    assert said["usage"]["cost"]["status"] == "known"
    assert said["usage"]["cost"]["source"] == "catalog"


def test_a_failure_leaves_standard_output_to_the_answer(run: Run):
    done = run("ask", "-m", NAME, "hi", env=variables("http://127.0.0.1:1/v1"))
    assert done.returncode != 0
    assert done.stdout == ""
    assert NAME in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_its_version(run: Run):
    done = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["litellm"]["status"] == "ok"
