"""Any dialect in, any dialect out: our own client halves ask, mocks of the providers answer."""

import pytest

from polyvox.events import Done, TextDelta
from polyvox.messages import AssistantMessage, ToolCall
from polyvox.testing import MockProvider
from polyvox.tools import tool

from .rig import BEHIND, CALLERS, callers, upstream


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return "rain"


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_an_answer_comes_whole_and_streamed(serve, caller: str, behind: str) -> None:
    said = ["It rains in Oslo."] * 2
    async with (
        MockProvider(behind, script=said) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
        callers(gateway.url) as asking,
    ):
        whole = await asking.complete(f"via-{caller}/up/model-1", "Weather?", max_tokens=99)
        assert whole.text == "It rains in Oslo."
        async with asking.stream(f"via-{caller}/up/model-1", "Weather?", max_tokens=99) as stream:
            pieces = [event.text async for event in stream if isinstance(event, TextDelta)]
        assert "".join(pieces) == "It rains in Oslo."
        assert [received.request.model for received in mock.requests] == ["model-1"] * 2
        assert [received.request.max_tokens for received in mock.requests] == [99, 99]
        assert whole.usage.input_tokens == stream.message.usage.input_tokens > 0
        assert whole.usage.output_tokens == stream.message.usage.output_tokens > 0
        assert [line.error for line in gateway.books.ended] == [None, None]
        assert len(gateway.books.attempts) == 2


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_tools_are_called_in_parallel_across_dialects(
    serve, caller: str, behind: str
) -> None:
    calls = AssistantMessage(
        [
            ToolCall(f"call_{place}", "weather", {"city": city})
            for place, city in enumerate(("Oslo", "Bergen", "Rom"))
        ],
        "tool_calls",
    )
    script = [calls, calls]
    async with (
        MockProvider(behind, script=script) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
        callers(gateway.url) as asking,
    ):
        name = f"via-{caller}/up/model-1"
        whole = await asking.complete(name, "Weather?", tools=[weather])
        async with asking.stream(name, "Weather?", tools=[weather]) as stream:
            events = [event async for event in stream]
        assert isinstance(events[-1], Done)
        for message in (whole, stream.message):
            assert cities(message) == ["Oslo", "Bergen", "Rom"]
            assert message.stop_reason == "tool_calls"
        assert len({block.id for block in whole.content if isinstance(block, ToolCall)}) == 3


def cities(message: AssistantMessage) -> list[str]:
    return [block.arguments["city"] for block in message.content if isinstance(block, ToolCall)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "prompt"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/responses", {"input": "Hi"}),
        (
            "/v1/messages",
            {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9},
        ),
        ("/api/chat", {"messages": [{"role": "user", "content": "Hi"}]}),
    ],
)
async def test_a_model_has_the_name_in_the_answer_by_which_it_was_asked_for(
    serve, path: str, prompt: dict[str, object], stream: bool
) -> None:
    async with (
        MockProvider("gemini", script=["Hello."]) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        body = {"model": "up/model-1", "stream": stream, **prompt}
        headers = {"authorization": "Bearer good"}
        async with gateway.http.post(gateway.url + path, json=body, headers=headers) as answer:
            assert answer.status == 200
            told = (await answer.text()).replace(": ", ":")
    assert '"model":"up/model-1"' in told
    assert told.count('"model":') == told.count('"model":"up/model-1"')
