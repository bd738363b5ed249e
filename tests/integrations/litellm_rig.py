"""What tests of composites inside LiteLLM share: its functions ask, mock providers are asked.

LiteLLM does not go with the newest openai SDK; `make test` runs them where LiteLLM is.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from polyvox.testing import MockProvider
from polyvox.testing.threaded import ThreadedMock

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
litellm: Any = pytest.importorskip("litellm", reason="LiteLLM is in .venv-bench: see `make test`")

from polyvox.integrations.litellm import register  # noqa: E402 - of no use without LiteLLM

KEY = "sk-canary-0123456789"
MOA = "composite/moa/openai/gpt-4o"
COUNCIL = "composite/council/openai/gpt-4o"
PANEL = ["openai/gpt-4o-mini", "openai/gpt-4.1-mini", "openai/gpt-4.1-nano"]
ASKED = [{"role": "user", "content": "Why is the sky blue?"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALLING = {
    "message": {
        "content": [
            {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}
        ]
    }
}
USAGE = {"input_tokens": 100, "output_tokens": 10, "cache_read_tokens": 40, "reasoning_tokens": 5}
RANKING = "Good.\n\nFINAL RANKING:\n1. Response A\n2. Response B"


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "POLYVOX_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    known = list(litellm.custom_provider_map)
    litellm.custom_provider_map.clear()
    register()
    yield
    litellm.custom_provider_map[:] = known


@pytest.fixture
def mock(request: pytest.FixtureRequest) -> Iterator[ThreadedMock]:
    """Answers every model, by the script of the test if it has one."""
    with MockProvider("openai-chat", getattr(request, "param", None)) as serving:
        yield serving


def scripted(*turns: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("mock", [list(turns)], indirect=True, ids=["script"])


def there(mock: ThreadedMock) -> dict[str, Any]:
    return {"messages": ASKED, "api_key": KEY, "api_base": mock.url}


def said(content: str, **usage: int) -> dict[str, Any]:
    return {"message": {"content": content, "usage": {**USAGE, **usage}}}


def models(mock: ThreadedMock) -> list[str]:
    return [each.request.model for each in mock.requests]


def trace_of(response: Any) -> dict[str, Any]:
    return response._hidden_params["polyvox_trace"]


def deltas(chunks: list[Any]) -> list[dict[str, Any]]:
    return [chunk.choices[0].delta.model_dump(exclude_none=True) for chunk in chunks]
