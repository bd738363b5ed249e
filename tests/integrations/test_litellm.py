"""Composites inside LiteLLM: who is asked, and what comes back."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from polyvox import AsyncClient, Client
from polyvox.integrations.litellm import register
from polyvox.providers.simulated import ScriptedModel
from polyvox.testing import Knobs, MockProvider
from polyvox.testing.threaded import ThreadedMock

from .litellm_rig import (
    ASKED,
    COUNCIL,
    KEY,
    MOA,
    PANEL,
    RANKING,
    deltas,
    litellm,
    mock,
    models,
    registered,
    said,
    scripted,
    there,
    trace_of,
)

# LiteLLM's own warnings: raised as errors, some would be swallowed in there and change the answer.
pytestmark = pytest.mark.filterwarnings("default")
__all__ = ["mock", "registered"]  # fixtures

# Whole answers


@scripted(said("One."), said("Two."), said("Three."), said("All of it."))
def test_a_mixture_of_agents(mock: ThreadedMock):
    response = litellm.completion(model=MOA, proposers=PANEL, **there(mock))
    message = response.choices[0].message
    assert (message.content, response.choices[0].finish_reason) == ("All of it.", "stop")
    assert response.model == MOA
    assert sorted(models(mock)) == sorted(["gpt-4o", *(name[7:] for name in PANEL)])
    told = mock.requests[-1].request
    assert told.model == "gpt-4o"
    assert all(text in told.messages[-1].text for text in ("One.", "Two.", "Three."))
    assert all(each.headers["authorization"] == f"Bearer {KEY}" for each in mock.requests)
    lines = message.reasoning_content.splitlines()
    assert lines[0] == "Layer 1"
    assert [line.partition(":")[0] for line in lines[1:4]] == [f"- {name}" for name in PANEL]
    assert lines[-1] == "- openai/gpt-4o"


@scripted(*[said(text) for text in ("One.", "Two.", "Three.", "All of it.")])
def test_usage_and_cost_are_those_of_the_whole_tree(mock: ThreadedMock):
    response = litellm.completion(model=MOA, proposers=PANEL, **there(mock))
    usage = response.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (400, 40, 440)
    assert usage.prompt_tokens_details.cached_tokens == 160
    assert usage.completion_tokens_details.reasoning_tokens == 20
    trace = trace_of(response)
    asked = [*trace["children"][0]["children"], trace["children"][1]]
    nanos = sum(node["usage"]["cost"]["nanos"] for node in asked)
    assert response._hidden_params["response_cost"] == pytest.approx(nanos / 1e9, abs=1e-12) != 0
    assert [node["kind"] for node in asked] == ["proposal"] * 3 + ["aggregation"]
    assert response.choices[0].message.provider_specific_fields["polyvox_trace"] == trace


def test_a_cost_that_nobody_knows_is_none(mock: ThreadedMock):
    response = litellm.completion(model="composite/moa/openai/of-my-own", **there(mock))
    assert response._hidden_params["response_cost"] is None


@scripted("One.", "Two.", RANKING, RANKING, "The council's answer.")
async def test_a_council(mock: ThreadedMock):
    response = await litellm.acompletion(
        model=COUNCIL,
        optional_params={"council": PANEL[:2], "exclude_own": False, "seed": 7},
        **there(mock),
    )
    assert response.choices[0].message.content == "The council's answer."
    sections = response.choices[0].message.reasoning_content.split("\n\n")
    assert [section.splitlines()[0] for section in sections] == [
        "Opinions",
        "Reviews",
        "Ranking",
        "Chairman",
    ]
    assert models(mock)[-1] == "gpt-4o"
    assert sorted(models(mock)[:4]) == sorted([name[7:] for name in PANEL[:2]] * 2)


def test_a_summary_that_is_not_wanted_is_left_out(mock: ThreadedMock):
    response = litellm.completion(
        model=MOA, include_stage_summaries_in_reasoning=False, **there(mock)
    )
    assert getattr(response.choices[0].message, "reasoning_content", None) is None
    assert trace_of(response)["kind"] == "moa"


THOUGHTFUL = {
    "message": {
        "content": [{"type": "thinking", "text": "Hmm."}, {"type": "text", "text": "Blue."}]
    }
}


@scripted("One.", THOUGHTFUL)
@pytest.mark.parametrize("summary", [True, False])
@pytest.mark.parametrize("stream", [True, False])
def test_the_last_stages_own_reasoning_follows_the_summary(
    mock: ThreadedMock, summary: bool, stream: bool
):
    response = litellm.completion(
        model=MOA,
        stream=stream,
        optional_params={
            "proposers": PANEL[:1],
            "include_stage_summaries_in_reasoning": summary,
        },
        **there(mock),
    )
    if stream:
        response = litellm.stream_chunk_builder(list(response))
    thought = response.choices[0].message.reasoning_content
    assert thought.endswith("- openai/gpt-4o\n\nHmm." if summary else "Hmm.")
    assert thought.startswith("Layer 1" if summary else "Hmm.")


def test_a_member_may_be_a_composite(mock: ThreadedMock):
    nested = "composite/moa-4-calls/openai/gpt-4o-mini"
    response = litellm.completion(model=MOA, proposers=[nested, PANEL[1]], **there(mock))
    assert sorted(models(mock)) == sorted(["gpt-4o-mini"] * 4 + ["gpt-4.1-mini", "gpt-4o"])
    [layer, _] = trace_of(response)["children"]
    assert layer["children"][0]["children"][0]["model"] == nested


def test_a_member_that_only_litellm_knows_is_asked_through_it(mock: ThreadedMock):
    proposers = [{"model": "lm_studio/local", "litellm_params": {"temperature": 0.5}}]
    response = litellm.completion(model=MOA, proposers=proposers, **there(mock))
    [layer, _] = trace_of(response)["children"]
    assert layer["children"][0]["model"] == "litellm/lm_studio/local"
    assert mock.requests[0].request.temperature == 0.5
    assert mock.requests[0].headers["authorization"] == f"Bearer {KEY}"


# Parallel, from wherever it is called


@pytest.mark.parametrize("stream", [True, False])
def test_members_are_asked_at_the_same_time(mock: ThreadedMock, stream: bool):
    mock.knobs = Knobs(hold_until=3)
    asked = litellm.completion(
        model=COUNCIL, stream=stream, chairman="simulated/lorem", council=PANEL, **there(mock)
    )
    assert list(asked) if stream else asked.choices[0].message.content
    assert len(mock.requests) == 6


async def test_also_without_await_where_a_loop_runs(mock: ThreadedMock):
    mock.knobs = Knobs(hold_until=3)
    response = litellm.completion(
        model=MOA, aggregator="simulated/lorem", proposers=PANEL, **there(mock)
    )
    assert len(mock.requests) == 3
    assert response.choices[0].message.content


async def test_with_await_too(mock: ThreadedMock):
    mock.knobs = Knobs(hold_until=6)
    calls = [
        litellm.acompletion(model=MOA, aggregator="simulated/lorem", proposers=PANEL, **there(mock))
        for _ in range(2)
    ]
    assert len(await asyncio.gather(*calls)) == 2


FIRST_CALLS = """
import asyncio, sys
import litellm
from polyvox.integrations.litellm import register
register()
asked = dict(model="composite/moa/openai/gpt-4o", proposers={panel!r}, api_key="k",
    messages=[{{"role": "user", "content": "hi"}}], api_base=sys.argv[1])
first, second = [lambda: litellm.completion(**asked), lambda: asyncio.run(litellm.acompletion(**asked))][
    :: 1 if sys.argv[2] == "sync" else -1]
for call in (first, second):
    trace = call()._hidden_params["polyvox_trace"]
    assert not any(each.get("status") for each in trace["children"][0]["children"]), trace
"""


@pytest.mark.timeout(600)  # LiteLLM is imported twenty times
def test_the_first_calls_of_a_process_lose_nobody(tmp_path: Path):
    script = tmp_path / "first_calls.py"
    script.write_text(FIRST_CALLS.format(panel=PANEL), encoding="utf-8")

    def run(number: int) -> tuple[int, str, list[str]]:
        with MockProvider("openai-chat") as mock:
            order = "sync" if number % 2 else "async"
            done = subprocess.run(
                [sys.executable, "-W", "error::ResourceWarning", str(script), mock.url, order],
                capture_output=True,
                text=True,
                check=False,
                timeout=200,
            )
            return done.returncode, done.stdout + done.stderr, sorted(models(mock))

    once = sorted(["gpt-4o", *(name[7:] for name in PANEL)])
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(run, range(20)))
    assert runs == [(0, "", sorted(once * 2))] * 20


# Registering


def test_registering_again_changes_nothing():
    first = register()
    known = list(litellm.custom_provider_map)
    assert register() is first
    assert litellm.custom_provider_map == known
    assert litellm._custom_providers.count("composite") == 1
    assert litellm.provider_list.count("composite") == 1


def test_another_client_takes_the_place_of_the_first():
    class Models(AsyncClient):
        def model(self, name: str) -> Any:
            return super().model(name) if "composite" in name else ScriptedModel([name.upper()])

    others = {"provider": "mine", "custom_handler": object()}
    litellm.custom_provider_map.insert(0, others)
    client = Models()
    assert register(client=client) is register(client=client)
    assert [each["provider"] for each in litellm.custom_provider_map] == ["mine", "composite"]
    response = litellm.completion(model=COUNCIL, messages=ASKED)
    assert response.choices[0].message.content == "OPENAI/GPT-4O"


def test_nothing_else_of_litellm_is_touched_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str], mock: ThreadedMock
):
    kept = ("callbacks", "success_callback", "drop_params", "num_retries", "api_key", "model_cost")
    before = {name: repr(getattr(litellm, name)) for name in kept}
    litellm.custom_provider_map.clear()
    register()
    litellm.completion(model=MOA, **there(mock))
    list(litellm.completion(model=MOA, stream=True, **there(mock)))
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(model="composite/x/y", messages=ASKED)
    assert {name: repr(getattr(litellm, name)) for name in kept} == before
    assert capfd.readouterr() == ("", "")


def test_profiles_of_the_configuration(
    mock: ThreadedMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "other.toml"
    path.write_text(
        f"""
        [providers.openai]
        base_url = "{mock.url}"
        key = "sk-of-the-file"
        [profiles.board]
        strategy = "council"
        members = ["openai/gpt-4o-mini", "openai/gpt-4.1-mini"]
        chairman = "openai/gpt-4o"
        """,
        encoding="utf-8",
    )
    asked: dict[str, Any] = {"model": "composite/profile/board", "messages": ASKED}
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**asked)
    response = litellm.completion(config_file_path=str(path), **asked)
    assert response._hidden_params["response_cost"] > 0
    assert len(mock.requests) == 5
    litellm.completion(
        optional_params={"config_file_path": str(path), "reviewers": PANEL[:1]}, **asked
    )
    assert len(mock.requests) == 9
    register(config=path)
    litellm.completion(**asked)
    monkeypatch.setenv("POLYVOX_CONFIG", str(path))
    litellm.custom_provider_map.clear()
    register()
    litellm.completion(**asked)
    assert len(mock.requests) == 19
    assert {each.headers["authorization"] for each in mock.requests} == {"Bearer sk-of-the-file"}


OF_ITS_OWN = pytest.mark.parametrize(
    "own", [{}, {"proposers": PANEL}, {"api_key": KEY}], ids=["named", "described", "keyed"]
)


@OF_ITS_OWN
def test_what_a_call_describes_is_logged_as_one_with_its_trace(
    own: dict[str, Any], tmp_path: Path, mock: ThreadedMock
):
    path, log = tmp_path / "logged.toml", tmp_path / "calls.jsonl"
    path.write_text(
        f"""
        [providers.openai]
        base_url = "{mock.url}"
        key = "sk-of-the-file"
        [log]
        path = "{log}"
        """,
        encoding="utf-8",
    )
    client = Client.from_config(path)
    register(client=client)
    litellm.completion(model=MOA, messages=ASKED, **own)
    client.close()
    [record] = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert record["model"] == MOA
    assert record["message"]["trace"]["kind"] == "moa"
    assert len(mock.requests) == 4


@OF_ITS_OWN
def test_budgets_of_the_configuration_hold(own: dict[str, Any], tmp_path: Path, mock: ThreadedMock):
    path = tmp_path / "poor.toml"
    path.write_text(
        f"""
        [providers.openai]
        base_url = "{mock.url}"
        key = "sk-of-the-file"
        [budgets.none]
        limit = "$0.0000001"
        models = ["composite/*"]
        """,
        encoding="utf-8",
    )
    register(config=path)
    with pytest.raises(litellm.PermissionDeniedError, match="none"):
        litellm.completion(model=MOA, messages=ASKED, **own)
    assert mock.requests == []


def test_what_a_provider_lacks_is_told(mock: ThreadedMock):
    with MockProvider("anthropic-messages") as other:
        own = {"api_base": other.url}
        asked = {
            "model": MOA,
            "proposers": [{"model": "anthropic/claude-sonnet-4-5", "litellm_params": own}],
            "seed": 3,
            **there(mock),
        }
        response = litellm.completion(**asked)
        chunks = list(litellm.completion(stream=True, **asked))
    [warning] = response._hidden_params["polyvox_warnings"]
    assert warning.startswith("layer 1: anthropic/claude-sonnet-4-5: seed: ")
    told = [
        delta["provider_specific_fields"]
        for delta in deltas(chunks)
        if "provider_specific_fields" in delta
    ]
    assert told[0]["polyvox_warnings"] == [warning]


def test_the_proxys_handler_is_one_and_opens_nothing():
    from polyvox.integrations import litellm as ours

    assert ours.handler is ours.handler
    assert isinstance(ours.handler, litellm.CustomLLM)
    with pytest.raises(AttributeError):
        _ = ours.nothing
