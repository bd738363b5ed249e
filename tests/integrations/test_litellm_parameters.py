"""What may be said to a composite inside LiteLLM, and what is wrong."""

import json
from typing import Any

import pytest

from polyvox.errors import RateLimitError
from polyvox.integrations.litellm.failures import raising
from polyvox.testing import Knobs, MockProvider
from polyvox.testing.threaded import ThreadedMock

from .litellm_rig import (
    ASKED,
    COUNCIL,
    KEY,
    MOA,
    PANEL,
    WEATHER,
    litellm,
    mock,
    models,
    registered,
    scripted,
    there,
)

# LiteLLM's own warnings: raised as errors, some would be swallowed in there and change the answer.
pytestmark = pytest.mark.filterwarnings("default")
__all__ = ["mock", "registered"]  # fixtures

# What is asked

PARAMETERS: dict[str, Any] = {
    "temperature": 0.3,
    "top_p": 0.9,
    "max_tokens": 50,
    "stop": ["END"],
    "seed": 3,
    "response_format": {"type": "json_object"},
    "n": 1,
    "frequency_penalty": 0.5,
}


def test_openais_parameters_reach_every_member_and_tools_only_the_last(mock: ThreadedMock):
    litellm.completion(
        model=MOA,
        proposers=PANEL,
        tools=[WEATHER],
        tool_choice="auto",
        allowed_openai_params=["reasoning_effort"],
        reasoning_effort="low",
        extra_body={"service_tier": "flex"},
        **PARAMETERS,
        **there(mock),
    )
    for each in mock.requests:
        request, body = each.request, json.loads(each.body)
        assert (request.temperature, request.top_p, request.max_tokens) == (0.3, 0.9, 50)
        assert (request.stop, request.seed) == (["END"], 3)
        assert request.response_format is not None
        assert (body["frequency_penalty"], body["service_tier"]) == (0.5, "flex")
        assert bool(request.tools) == (request.model == "gpt-4o")


def test_they_may_stand_in_optional_params_too(mock: ThreadedMock):
    given = {"proposers": PANEL[:1], "temperature": 0.4, "reasoning_effort": "low"}
    litellm.completion(model="composite/moa/openai/o3-mini", optional_params=given, **there(mock))
    assert mock.requests[-1].request.reasoning.effort == "low"
    assert mock.requests[0].request.temperature == 0.4


@pytest.mark.parametrize(
    ("thinking", "said"),
    [
        ({"type": "enabled", "budget_tokens": 2048}, {"type": "enabled", "budget_tokens": 2048}),
        ({"type": "disabled"}, {"type": "disabled"}),
    ],
)
def test_anthropics_word_for_reasoning_reaches_members(
    thinking: dict[str, Any], said: dict[str, Any]
):
    with MockProvider("anthropic-messages") as mock:
        own = {"thinking": thinking, "stop": "END", "timeout": 30, "max_tokens": 4000}
        proposers = [{"model": "anthropic/claude-sonnet-4-5", "litellm_params": own}]
        asked = {"proposers": proposers, "aggregator": "simulated/lorem"}
        litellm.completion(model=MOA, messages=ASKED, api_key=KEY, api_base=mock.url, **asked)
    body = json.loads(mock.requests[0].body)
    assert body.get("thinking", {"type": "disabled"}) == said
    assert body["stop_sequences"] == ["END"]


def test_a_members_own_parameters_come_before_the_calls(mock: ThreadedMock):
    with MockProvider("openai-chat") as other:
        own = {"api_base": other.url, "api_key": "sk-of-its-own", "temperature": 0.9, "user": "bob"}
        proposers = [PANEL[0], {"model": PANEL[1], "litellm_params": own, "samples": 2}]
        asked = {"proposers": proposers, "temperature": 0.3, "user": "ada"}
        litellm.completion(model=MOA, extra_body={"top_k": 4}, **asked, **there(mock))
        assert models(mock) == ["gpt-4o-mini", "gpt-4o"]
        assert models(other) == ["gpt-4.1-mini"] * 2
        for each in other.requests:
            assert each.headers["authorization"] == "Bearer sk-of-its-own"
            assert each.request.temperature == 0.9
            body = json.loads(each.body)
            assert (body["user"], body["top_k"]) == ("bob", 4)
    assert {each.request.temperature for each in mock.requests} == {0.3}


def test_headers_reach_every_member(mock: ThreadedMock):
    litellm.completion(model=MOA, extra_headers={"x-team": "blue"}, **there(mock))
    assert [each.headers["x-team"] for each in mock.requests] == ["blue"] * 4


@scripted({"error": {"kind": "server", "text": "down"}}, "One.", "Two.")
def test_a_member_is_asked_again_as_often_as_max_retries_says(mock: ThreadedMock):
    response = litellm.completion(model=MOA, proposers=PANEL[:1], max_retries=1, **there(mock))
    assert response.choices[0].message.content == "Two."
    assert len(mock.requests) == 3


def test_a_preset_with_other_numbers(mock: ThreadedMock):
    litellm.completion(model=MOA, layers=3, samples=2, **there(mock))
    assert models(mock) == ["gpt-4o"] * 5


def test_a_council_of_at_most_so_many(mock: ThreadedMock):
    given = {"council_models": PANEL, "max_council_size": 1, "review_models": PANEL[2:]}
    litellm.completion(
        model=COUNCIL, optional_params=given, chairman_model="openai/gpt-4.1", **there(mock)
    )
    assert models(mock) == ["gpt-4o-mini", "gpt-4.1-nano", "gpt-4.1"]


def test_the_callers_messages_stay_as_they_are(mock: ThreadedMock):
    content = [{"type": "text", "text": "What is this?"}]
    before = {"role": "assistant", "content": "A cat.", "reasoning_content": "Layer 1\n- a: cat"}
    messages = [{"role": "user", "content": content}, before, ASKED[0]]
    copied = json.loads(json.dumps(messages))
    litellm.completion(model=MOA, **{**there(mock), "messages": messages})
    assert messages == copied
    assert all("Layer 1" not in each.body.decode() for each in mock.requests)


# What is wrong is said


def test_a_name_that_means_nothing_is_told_with_those_that_there_are():
    with pytest.raises(litellm.NotFoundError, match="did you mean 'moa'") as caught:
        litellm.completion(model="composite/mao/openai/gpt-4o", messages=ASKED)
    assert caught.value.status_code == 404
    with pytest.raises(litellm.NotFoundError, match="did you mean 'demo-moa'"):
        litellm.completion(model="composite/profile/demo-mao", messages=ASKED)
    with pytest.raises(litellm.NotFoundError, match="composite/moa/provider/model"):
        litellm.completion(model="composite/moa", messages=ASKED)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"propsers": PANEL}, "no parameter 'propsers'; did you mean 'proposers'"),
        ({"optional_params": {"top_pp": 1}}, "no parameter 'top_pp'; did you mean 'top_p'"),
        ({"council": PANEL}, "members is no key of the strategy 'moa'"),
        ({"proposers": "openai/gpt-4o"}, "proposers is no list"),
        ({"proposers": []}, "proposers is no list of models, or an empty one"),
        ({"proposers": [{"name": "x"}]}, r"proposers\[0\] names no model"),
        ({"proposers": [{"model": "x/y", "sample": 2}]}, "has no 'sample'; did you mean 'samples'"),
        ({"proposers": ["openia/gpt-4o"]}, "did you mean 'openai'|Did you mean"),
        ({"aggregator": {"model": "openai/x", "litellm_params": {"tools": [WEATHER]}}}, "tools is"),
        ({"layers": 1}, "layers"),
        ({"quorum": 4}, "quorum is 4"),
        ({"samples": "3"}, "samples is '3'"),
        ({"proposers": [{"model": "x/y", "samples": "3"}]}, r"proposers\[0\] is not right"),
        ({"proposers": ["gpt-of-nobody"]}, "'gpt-of-nobody' is no model name"),
        ({"extra_body": {"mine": object()}}, "can't be written as JSON"),
        ({"tool_executor": "weather"}, "tool_executor is no function"),
        ({"n": 2}, "only one answer"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"optional_params": []}, "optional_params"),
        ({"max_retries": "x"}, "an argument of the call is not right: Expected `int"),
        ({"config_file_path": 5}, "config_file_path is no path"),
        ({"optional_params": {1: 2}}, "no parameter 1"),
        ({"proposers": [{"model": "x/y", "litellm_params": ["a"]}]}, "litellm_params is no dict"),
        ({"proposers": [{"model": "x/y", 1: 2}]}, r"proposers\[0\] has no 1"),
        (
            {"proposers": [{"model": "x/y", "litellm_params": {"api_base": 5}}]},
            r"an argument of proposers\[0\] is not right",
        ),
    ],
)
def test_a_wrong_parameter_is_named(given: dict[str, Any], text: str):
    with pytest.raises(litellm.BadRequestError, match=text) as caught:
        litellm.completion(model=MOA, messages=ASKED, api_key=KEY, **given)
    assert caught.value.status_code == 400


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (503, "ServiceUnavailableError"),
    ],
)
async def test_failures_are_litellms_exceptions(mock: ThreadedMock, status: int, kind: str):
    mock.knobs = Knobs(status=status)
    for call in (litellm.acompletion(model=MOA, **there(mock)), None):
        with pytest.raises(getattr(litellm, kind)) as caught:
            await call if call else litellm.completion(model=MOA, **there(mock))
        assert (caught.value.status_code, caught.value.llm_provider) == (status, "composite")
        assert KEY not in str(caught.value)


def test_how_long_to_wait_is_told():
    with pytest.raises(litellm.RateLimitError) as caught, raising(MOA):
        raise RateLimitError("slow down", retry_after=7)
    assert caught.value.response.headers["retry-after"] == "7"


def test_without_a_key_it_is_an_authentication_error():
    with pytest.raises(litellm.AuthenticationError, match="OPENAI_API_KEY"):
        litellm.completion(model=MOA, messages=ASKED)


def test_who_can_not_be_reached():
    with pytest.raises(litellm.APIConnectionError):
        litellm.completion(model=MOA, messages=ASKED, api_key=KEY, api_base="http://127.0.0.1:1/v1")


def test_a_timeout_is_for_the_whole_call(mock: ThreadedMock):
    mock.knobs = Knobs(hold_until=100)
    with pytest.raises(litellm.Timeout):
        litellm.completion(model=MOA, timeout=0.2, **there(mock))


@scripted({"error": {"kind": "server", "text": "down"}}, "Two.", "All.")
def test_a_member_that_fails_is_left_out_and_named(mock: ThreadedMock):
    response = litellm.completion(model=MOA, proposers=PANEL[:2], **there(mock))
    assert "left out:" in response.choices[0].message.reasoning_content
    assert "left out" not in mock.requests[-1].body.decode()


def test_clients_of_a_proxy_do_not_say_who_is_asked():
    refused: list[dict[str, Any]] = [
        {"proposers": PANEL},
        {"optional_params": {"temperature": 1}},
        {"extra_headers": {"x-team": "blue"}},
    ]
    for body in refused:
        with pytest.raises(litellm.BadRequestError, match="not for the clients"):
            litellm.completion(
                model="composite/profile/demo-moa",
                messages=ASKED,
                proxy_server_request={"body": {"model": "x", **body}},
                **body,
            )
    for instead in ([{"model": "panel", "layers": 9}], [{"panel": [{"council": PANEL}]}]):
        for name in ("fallbacks", "context_window_fallbacks"):
            with pytest.raises(litellm.BadRequestError, match="not for the clients"):
                litellm.completion(
                    model="composite/profile/demo-moa",
                    messages=ASKED,
                    proxy_server_request={"body": {"model": "panel", name: instead}},
                )
    harmless = {"include_stage_summaries_in_reasoning": False, "temperature": 1, "seed": 2}
    litellm.completion(
        model="composite/profile/demo-moa",
        messages=ASKED,
        proxy_server_request={"body": harmless},
        **harmless,
    )


def test_what_goes_to_a_provider_is_no_argument_of_litellms(
    mock: ThreadedMock, monkeypatch: pytest.MonkeyPatch
):
    """An address would be sent the key that LiteLLM finds in the environment."""
    monkeypatch.setenv("LM_STUDIO_API_BASE", mock.url)
    monkeypatch.setenv("LM_STUDIO_API_KEY", "sk-of-the-environment")
    with MockProvider("openai-chat") as other:
        response = litellm.completion(
            model="composite/moa/simulated/lorem",
            messages=ASKED,
            proposers=["lm_studio/local"],
            frequency_penalty=0.5,
            extra_body={"api_base": other.url, "custom_llm_provider": "openai"},
        )
        assert other.requests == []
    [asked] = mock.requests
    assert json.loads(asked.body)["frequency_penalty"] == 0.5
    warnings = response._hidden_params["polyvox_warnings"]
    assert any("api_base: not sent" in text for text in warnings)


def test_a_preset_over_a_model_that_only_litellm_knows(
    mock: ThreadedMock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LM_STUDIO_API_BASE", mock.url)
    assert litellm.completion(model="composite/moa/lm_studio/local", messages=ASKED).choices
    assert models(mock) == ["local"] * 4
