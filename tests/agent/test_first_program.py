"""The agent that README and docs begin with, as it stands there, over every wire format there is."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from polyvox.dialects import DIALECTS
from polyvox.messages import ToolMessage
from polyvox.providers import load_providers
from polyvox.providers.simulated import simulated_model
from polyvox.testing import MockProvider

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = {
    "openai-chat": "openai/gpt-5-mini",
    "openai-responses": "openai-responses/gpt-5-mini",
    "anthropic-messages": "anthropic/claude-sonnet-4-5",
    "gemini": "google/gemini-2.5-flash",
    "ollama": "ollama/llama3.2",
    "bedrock-converse": "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
}
ANSWER = "weather says: 4 degrees and rain in Oslo"


def program(page: str) -> str:
    """The page's first block with an agent."""
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return next(block for block in blocks if "Agent(" in block)


def test_there_is_a_model_for_every_dialect():
    assert PROVIDERS.keys() == DIALECTS.keys()


def test_readme_and_docs_begin_with_the_same_program_of_about_eight_lines():
    assert program("README.md") == program("docs/agents.md")
    assert sum(bool(line.strip()) for line in program("README.md").splitlines()) <= 10


@pytest.mark.parametrize("dialect", DIALECTS)
def test_it_calls_its_tool_and_answers(
    dialect: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    name = PROVIDERS[dialect]
    row = load_providers()[name.partition("/")[0]]
    names: dict[str, Any] = {}
    with MockProvider(dialect, model=simulated_model("tools")) as mock:
        monkeypatch.setenv(row.base_url_env[0], mock.url)
        monkeypatch.setenv(row.key_env[0], "key")
        exec(program("README.md").replace("openai/gpt-5-mini", name), names)
        asked = [each.request for each in mock.requests]
        asyncio.run(names["agent"].aclose())
        del names["agent"]
    result = names["result"]
    assert capsys.readouterr().out.startswith(ANSWER)
    assert [[tool.name for tool in each.tools] for each in asked] == [["weather"]] * 2
    (message,) = [each for each in result.messages if isinstance(each, ToolMessage)]
    assert message.content[0].text == "4 degrees and rain in Oslo"
    assert result.usage.output_tokens > 0


def test_it_runs_without_a_provider(capsys: pytest.CaptureFixture[str]):
    exec(program("README.md").replace("openai/gpt-5-mini", "simulated/tools"), {})
    assert capsys.readouterr().out.startswith(ANSWER)
