"""Both halves of the dialect over a real socket: our client asks our mock of Ollama."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import polyvox
from polyvox.errors import ConfigurationError, NotFoundError, ProtocolError
from polyvox.events import TextDelta, Warned
from polyvox.messages import Text, Thinking
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import FREE


@asynccontextmanager
async def serving(
    script: Any, **settings: Any
) -> AsyncIterator[tuple[MockProvider, polyvox.AsyncClient]]:
    async with (
        MockProvider("ollama", script, **settings) as server,
        polyvox.AsyncClient(base_urls={"ollama": server.url}) as client,
    ):
        yield server, client


CALL = {"type": "tool_call", "id": "c1", "name": "weather", "arguments": {"city": "Oslo"}}
ANSWER = {
    "message": {
        "content": [{"type": "thinking", "text": "Hm."}, {"type": "text", "text": "So:"}, CALL]
    }
}


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_stream_that_begins_with_a_brace_is_read_as_it_comes(size: int):
    async with serving([ANSWER, "to be"], knobs=Knobs(write_size=size)) as (server, client):
        reply = await client.complete("ollama/llama3.2", "Rain?")
        thought, text, call = reply.content
        assert thought == Thinking("Hm.", producer="ollama/llama3.2")
        assert text == Text("So:")
        assert (call.id, call.arguments) == ("c1", {"city": "Oslo"})
        assert reply.usage.cost.status == FREE.status
        async with client.stream("ollama/llama3.2", "Hamlet:") as stream:
            pieces = [event.text async for event in stream if isinstance(event, TextDelta)]
        assert pieces == ["to", " be"]
        assert server.requests[0].path == "/api/chat"
        assert server.answers[0].chunks[0].startswith(b"{")


async def test_a_whole_answer_is_read_too():
    async with serving([ANSWER]) as (server, client):
        options = {"ollama": {"stream": False}}
        reply = await client.complete("ollama/llama3.2", "Rain?", options=options)
        assert (reply.thinking, reply.text) == ("Hm.", "So:")
        assert server.requests[0].request.stream is False


@pytest.mark.parametrize("streamed", [True, False])
async def test_filling_in_the_middle(streamed: bool):
    options = {"ollama": {"endpoint": "generate", "suffix": "!", "stream": streamed}}
    async with serving(["wor"]) as (server, client):
        reply = await client.complete("ollama/codellama", "Hello ", options=options)
        assert reply.text == "wor"
        assert server.requests[0].path == "/api/generate"
        assert b'"response":"wor"' in server.answers[0].body


async def test_what_cannot_be_told_is_warned_of():
    async with serving(["a"]) as (_, client):
        async with client.stream("ollama/m", "x", parallel_tool_calls=False) as stream:
            warned = [event.field async for event in stream if isinstance(event, Warned)]
        assert warned == ["parallel_tool_calls"]


async def test_a_stream_that_is_cut_is_an_error_with_what_came():
    async with serving(["to be or not"], knobs=Knobs(malformed_chunk=2)) as (_, client):
        with pytest.raises(ProtocolError) as caught:
            await client.complete("ollama/m", "Hamlet:")
        assert caught.value.message is not None
        assert caught.value.message.text == "to be"


async def test_a_model_that_is_not_there_says_how_to_get_it():
    error = {"kind": "not_found", "text": "model 'nope' not found"}
    async with serving([{"error": error}]) as (_, client):
        with pytest.raises(NotFoundError) as caught:
            await client.complete("ollama/nope", "x")
        assert caught.value.hint == "Get it with 'ollama pull nope'."


async def test_the_mock_streams_lines_without_comments():
    async with serving(["a"]) as (_, client):
        assert await client.models("ollama") == ["ollama/mock-model"]
    with pytest.raises(ConfigurationError, match="ping_every is for server-sent events"):
        MockProvider("ollama", knobs=Knobs(ping_every=1))
