"""The places where OpenAI-like providers put the usage of a stream."""

import json
from typing import Any

import pytest

from polyvox.errors import ConfigurationError
from polyvox.testing import Knobs, MockProvider

USAGE = {"input_tokens": 70, "output_tokens": 8, "basis": "reported"}
SCRIPT = [{"message": {"content": "a b", "usage": USAGE}}]


async def chunks(ask: Any, place: Any, **fields: Any) -> list[dict[str, Any]]:
    async with MockProvider("openai-chat", SCRIPT, knobs=Knobs(usage=place)) as mock:
        body = await (await (await ask(mock, **fields)).head()).body()
        *data, done = [part.removeprefix(b"data: ") for part in body.split(b"\n\n") if part]
        assert done == b"[DONE]"
        return [json.loads(each) for each in data]


def prompt_tokens(chunk: dict[str, Any]) -> int | None:
    usage = chunk.get("usage")
    return usage and usage["prompt_tokens"]


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
async def test_in_a_chunk_of_its_own_at_the_end(ask: Any, options: dict[str, Any]):
    *others, last = await chunks(ask, "last", **options)
    assert last["choices"] == []
    assert prompt_tokens(last) == 70
    assert not any("usage" in chunk for chunk in others)
    assert all(chunk["choices"] for chunk in others)


async def test_beside_the_finish_reason(ask: Any):
    *others, last = await chunks(ask, "with_finish", stream_options={"include_usage": True})
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["completion_tokens"] == 8
    assert not any("usage" in chunk for chunk in others)


async def test_in_every_chunk_growing(ask: Any):
    found = await chunks(ask, "every")
    assert all(chunk["choices"] for chunk in found)
    told = [chunk["usage"]["completion_tokens"] for chunk in found]
    assert told == sorted(told)
    assert told[-1] == 8


async def test_nowhere(ask: Any):
    found = await chunks(ask, "none", stream_options={"include_usage": True})
    assert not any("usage" in chunk for chunk in found)
    async with MockProvider("openai-chat", SCRIPT, knobs=Knobs(usage="none")) as mock:
        whole = json.loads(await (await (await ask(mock, stream=False)).head()).body())
        assert "usage" not in whole


async def test_other_dialects_have_one_place_only():
    with pytest.raises(ConfigurationError, match="the knob usage is for openai-chat"):
        MockProvider("anthropic-messages", knobs=Knobs(usage="last"))
    with pytest.raises(ConfigurationError, match="the knob usage is for openai-chat"):
        MockProvider(
            "anthropic-messages", [{"message": {"content": ""}, "knobs": {"usage": "last"}}]
        )
