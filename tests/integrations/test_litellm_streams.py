"""Tool calls and streams of composites inside LiteLLM."""

import asyncio
import gc
import json
from typing import Any

import pytest

from polyvox.testing import Knobs
from polyvox.testing.threaded import ThreadedMock

from .litellm_rig import (
    CALLING,
    COUNCIL,
    MOA,
    PANEL,
    RANKING,
    WEATHER,
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

# Tools


@scripted("One.", CALLING)
def test_tool_calls_are_the_callers(mock: ThreadedMock):
    response = litellm.completion(model=MOA, proposers=PANEL[:1], tools=[WEATHER], **there(mock))
    [choice] = response.choices
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert (call.id, call.function.name) == ("c1", "weather")
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    assert choice.message.reasoning_content.startswith("Layer 1")


@scripted("One.", CALLING, "It rains in Oslo.")
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_tool_executor_runs_them_and_only_the_last_stage_is_asked_again(
    mock: ThreadedMock, kind: str
):
    ran: list[tuple[str, str]] = []

    def run(name: str, arguments: str) -> dict[str, str]:
        ran.append((name, arguments))
        return {"weather": "rain"}

    async def run_later(name: str, arguments: str) -> dict[str, str]:
        return run(name, arguments)

    given = {"proposers": PANEL[:1], "tool_executor": run if kind == "plain" else run_later}
    response = litellm.completion(model=MOA, tools=[WEATHER], optional_params=given, **there(mock))
    assert response.choices[0].message.content == "It rains in Oslo."
    assert ran == [("weather", '{"city":"Oslo"}')]
    assert models(mock) == ["gpt-4o-mini", "gpt-4o", "gpt-4o"]
    assert "rain" in mock.requests[-1].request.messages[-1].text
    [tool] = trace_of(response)["children"][1]["children"]
    assert (tool["kind"], tool["label"]) == ("tool", "weather")


@scripted("One.", "Two.", RANKING, RANKING, CALLING, "It rains.")
def test_in_a_council_too(mock: ThreadedMock):
    response = litellm.completion(
        model=COUNCIL,
        council=PANEL[:2],
        tools=[WEATHER],
        tool_executor=lambda name, arguments: "rain",
        **there(mock),
    )
    assert response.choices[0].message.content == "It rains."


@scripted("One.", "No tools then.")
def test_no_rounds_of_tools_at_all(mock: ThreadedMock):
    response = litellm.completion(
        model=MOA,
        proposers=PANEL[:1],
        tools=[WEATHER],
        tool_executor=lambda name, arguments: "rain",
        max_tool_iterations=0,
        **there(mock),
    )
    assert response.choices[0].message.content == "No tools then."
    assert mock.requests[-1].request.tool_choice == "none"


# Streams


@scripted("One.", said("Blue light is scattered."))
@pytest.mark.parametrize("with_await", [True, False])
async def test_a_stream_has_the_summary_first_and_then_the_last_stages_words(
    mock: ThreadedMock, with_await: bool
):
    mock.knobs = Knobs(text_piece=5)
    asked = {"model": MOA, "proposers": PANEL[:1], "stream": True, **there(mock)}
    if with_await:
        chunks = [chunk async for chunk in await litellm.acompletion(**asked)]
    else:
        chunks = list(litellm.completion(**asked))
    heard = deltas(chunks)
    assert heard[0]["role"] == "assistant"
    assert heard[1]["reasoning_content"].startswith("Layer 1")
    words = [delta["content"] for delta in heard if delta.get("content")]
    assert "".join(words) == "Blue light is scattered."
    assert len(words) > 1
    assert chunks[-1].choices[0].finish_reason == "stop"
    whole = litellm.stream_chunk_builder(chunks)
    assert whole.choices[0].message.reasoning_content == heard[1]["reasoning_content"]


@scripted(said("One."), said("All."))
async def test_a_streams_usage_cost_and_trace(mock: ThreadedMock):
    seen: list[dict[str, Any]] = []
    noted = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Noting(litellm.integrations.custom_logger.CustomLogger):
        async def async_log_success_event(self, kwargs: Any, **_: Any) -> None:
            seen.append(kwargs)
            loop.call_soon_threadsafe(noted.set)

    litellm.callbacks.append(noting := Noting())
    try:
        stream = await litellm.acompletion(
            model=MOA,
            proposers=PANEL[:1],
            stream=True,
            stream_options={"include_usage": True},
            **there(mock),
        )
        chunks = [chunk async for chunk in stream]
        async with asyncio.timeout(30):
            await noted.wait()
    finally:
        litellm.logging_callback_manager.remove_callback_from_list_by_object(
            litellm.callbacks, noting
        )
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (200, 20)
    assert usage.prompt_tokens_details.cached_tokens == 80
    [trace] = [
        delta["provider_specific_fields"]["polyvox_trace"]
        for delta in deltas(chunks)
        if "provider_specific_fields" in delta
    ]
    asked = [trace["children"][0]["children"][0], trace["children"][1]]
    nanos = sum(node["usage"]["cost"]["nanos"] for node in asked)
    assert seen[-1]["response_cost"] == pytest.approx(nanos / 1e9, abs=1e-12) != 0


@scripted("One.", CALLING)
def test_tool_calls_in_a_stream(mock: ThreadedMock):
    mock.knobs = Knobs(arguments_piece=4)
    chunks = list(
        litellm.completion(
            model=MOA, proposers=PANEL[:1], tools=[WEATHER], stream=True, **there(mock)
        )
    )
    pieces = [each for delta in deltas(chunks) for each in delta.get("tool_calls", ())]
    assert len(pieces) > 2
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    [call] = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls
    assert (call.id, json.loads(call.function.arguments)) == ("c1", {"city": "Oslo"})


async def test_the_first_words_come_before_the_rest_is_there(mock: ThreadedMock):
    mock.knobs = Knobs(text_piece=1, cut_after=900, cut_mode="stall")
    asked = {"model": MOA, "proposers": ["simulated/lorem"], "stream": True, **there(mock)}
    stream = await litellm.acompletion(**asked)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    await stream.aclose()
    await asyncio.to_thread(mock.wait_for_hangup)


def test_a_stream_that_is_left_alone_hangs_up(mock: ThreadedMock):
    mock.knobs = Knobs(text_piece=1, cut_after=900, cut_mode="stall")
    asked = {"model": MOA, "proposers": ["simulated/lorem"], "stream": True, **there(mock)}
    for chunk in litellm.completion(**asked):
        if chunk.choices[0].delta.content:
            break
    gc.collect()
    mock.wait_for_hangup()


@pytest.mark.parametrize("stream", [True, False])
async def test_who_stops_waiting_ends_all_branches(mock: ThreadedMock, stream: bool):
    mock.knobs = Knobs(hold_until=100)
    asked = {"model": MOA, "proposers": PANEL, "stream": stream, **there(mock)}
    if stream:
        reading = asyncio.create_task(anext(await litellm.acompletion(**asked)))
    else:
        reading = asyncio.create_task(litellm.acompletion(**asked))
    for _ in PANEL:
        await asyncio.to_thread(mock.wait_for_request)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    for _ in PANEL:
        await asyncio.to_thread(mock.wait_for_hangup)


async def test_a_stream_that_fails_before_its_first_words(mock: ThreadedMock):
    mock.knobs = Knobs(status=401)
    stream = await litellm.acompletion(model=MOA, stream=True, **there(mock))
    with pytest.raises(litellm.AuthenticationError):
        await anext(stream)
    stream = litellm.completion(model=MOA, stream=True, **there(mock))
    with pytest.raises(litellm.AuthenticationError):
        next(stream)
