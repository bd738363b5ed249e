"""Signed reasoning goes back to whom it is from, and to nobody else, whatever dialect carried it."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from polyvox import AsyncClient
from polyvox.events import TextDelta
from polyvox.messages import AssistantMessage, Text, Thinking, user
from polyvox.testing import MockProvider

from .rig import CALLERS as SPOKEN
from .rig import asking, read, upstream
from .wire_grammar import check_wire

SIGNED = ("anthropic-messages", "gemini", "openai-responses")
CALLERS = {
    "anthropic-messages": ("", "x-api-key"),
    "gemini": ("", "x-goog-api-key"),
    "openai-responses": ("/v1", "bearer"),
}


ANSWER = AssistantMessage([Thinking("Well ...", "c2lnbmVk"), Text("Yes.")])
HIDDEN = AssistantMessage([Thinking("", "c2lnbmVk", redacted=True), Text("Yes.")])
HIDING = ("anthropic-messages", "bedrock-converse")


def caller(dialect: str, url: str) -> AsyncClient:
    path, auth = CALLERS[dialect]
    row = {"dialect": dialect, "base_url": url + path, "auth": auth}
    return AsyncClient(providers={"via": row}, keys={"via": "good"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by", SIGNED)
@pytest.mark.parametrize("spoken", CALLERS)
@pytest.mark.parametrize("then", SIGNED)
async def test_a_signature_reaches_only_its_own_producer(serve, spoken, by, then, stream) -> None:
    await check_ways(serve, ANSWER, spoken, by, then, stream=stream)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by", HIDING)
@pytest.mark.parametrize("spoken", CALLERS)
@pytest.mark.parametrize("then", [*SIGNED, "bedrock-converse"])
async def test_reasoning_that_is_hidden_reaches_only_its_own_producer(
    serve, spoken, by, then, stream
) -> None:
    await check_ways(serve, HIDDEN, spoken, by, then, stream=stream)


async def check_ways(
    serve: Any, answer: AssistantMessage, spoken: str, by: str, then: str, *, stream: bool
) -> None:
    """The answer goes back to its producer whole, and to another one without what is signed."""
    async with (
        MockProvider(by, script=[answer] * 2) as first,
        MockProvider(then, script=["Later."]) as second,
        AsyncClient(
            providers={
                "first": {"dialect": by, "base_url": first.url},
                "second": {"dialect": then, "base_url": second.url},
            },
            keys={"first": "any", "second": "any"},
        ) as client,
        serve(client) as gateway,
        caller(spoken, gateway.url) as asking,
    ):
        if stream:
            async with asking.stream("via/first/m", "Well?", max_tokens=4000) as events:
                async for _ in events:
                    pass
                said = events.message
        else:
            said = await asking.complete("via/first/m", "Well?", max_tokens=4000)
        # As callers do that keep what they get, and know nothing of producers.
        kept = [replace(block, producer=None) for block in said.content]
        conversation = [user("Well?"), AssistantMessage(kept), user("And?")]
        await asking.complete("via/first/m", conversation, max_tokens=4000)
        await asking.complete("via/second/m", conversation, max_tokens=4000)
    # A provider of the caller's own dialect passes it on as it came; nobody then knows more than that.
    unknown = spoken == by == then
    assert "c2lnbmVk" in json.dumps(json.loads(first.requests[-1].body))
    assert ("c2lnbmVk" in second.requests[-1].body.decode()) == unknown


@pytest.mark.parametrize("answer", [ANSWER, HIDDEN], ids=["signed", "hidden"])
@pytest.mark.parametrize("by", HIDING)
@pytest.mark.parametrize("spoken", SPOKEN)
async def test_reasoning_is_never_told_as_a_text_of_nothing(serve, spoken, by, answer) -> None:
    async with (
        MockProvider(by, script=[answer]) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        told = await asking(gateway, spoken, stream=True)
    assert check_wire(spoken, told.body) == "done"
    texts = [event.text for event in read(spoken, told.body) if isinstance(event, TextDelta)]
    assert "".join(texts) == "Yes."
    assert all(texts)
    if spoken == "openai-chat":
        assert told.body.count(b'"content":""') == 1  # beside the role, as OpenAI begins
