"""A conversation goes from one provider to another and back; what is opaque goes home only."""

import pytest

from polyvox import AsyncClient
from polyvox.messages import AssistantMessage, Text, Thinking, ToolCall, tool_result, user
from polyvox.testing import MockProvider

from .rig import CANARY, DIALECTS, MODELS, PROVIDERS, soon

SIGNATURE = "c2lnbmVkIGJ5IHRoZSBwcm9kdWNlcg=="
SEALED = "c2VhbGVkIHJlYXNvbmluZw=="

ANSWERS = {
    "anthropic-messages": AssistantMessage(
        [
            Thinking("Two cities, two calls.", SIGNATURE),
            Thinking("", SEALED, redacted=True),
            Text("Let me look."),
            ToolCall("toolu_01", "weather", {"city": "Oslo"}),
            ToolCall("toolu_02", "weather", {"city": "Bergen"}),
        ],
        "tool_calls",
    ),
    "openai-chat": AssistantMessage(
        [
            Thinking(
                "Two cities, two calls.",
                meta={
                    "reasoning_details": [
                        {"type": "reasoning.encrypted", "data": SEALED, "id": "r1", "index": 0}
                    ]
                },
                producer="any",
            ),
            Text("Let me look."),
            ToolCall("call.with:odd/characters-" + "x" * 60, "weather", {"city": "Oslo"}),
            ToolCall("call_2", "weather", {"city": "Bergen"}),
        ],
        "tool_calls",
    ),
}


@pytest.mark.parametrize("first", DIALECTS)
async def test_an_answer_is_handed_on_to_another_provider_and_back(first):
    second = next(dialect for dialect in DIALECTS if dialect != first)
    async with (
        MockProvider(first, [ANSWERS[first], "Thanks."]) as home,
        MockProvider(second, ["It rains in both."]) as abroad,
        AsyncClient(
            keys={PROVIDERS[first]: CANARY, PROVIDERS[second]: CANARY + "2"},
            base_urls={PROVIDERS[first]: home.url, PROVIDERS[second]: abroad.url},
        ) as client,
    ):
        prompt = user("Does it rain in Oslo or in Bergen?")
        asked = await soon(client.complete(MODELS[first], [prompt]))
        assert [block.arguments for block in asked.tool_calls] == [
            {"city": "Oslo"},
            {"city": "Bergen"},
        ]
        results = [tool_result(call, "rain") for call in asked.tool_calls]

        answered = await soon(client.complete(MODELS[second], [prompt, asked, *results]))
        assert answered.text == "It rains in both."
        history = [prompt, asked, *results, answered, user("Thank you.")]
        assert (await soon(client.complete(MODELS[first], history))).text == "Thanks."

        (foreign,) = abroad.requests
        back = home.requests[1]
    check_pairs(foreign.request.messages)
    check_pairs(back.request.messages)
    # Abroad nobody sees what only the producer can read, nor reasoning they did not make.
    assert SIGNATURE.encode() not in foreign.body
    assert SEALED.encode() not in foreign.body
    assert b"Two cities, two calls." not in foreign.body
    assert (CANARY + "2") in str(foreign.headers)
    # At home it all comes back as it was given out.
    assert back.request.messages[-1] == user("Thank you.")
    if first == "anthropic-messages":
        assert SIGNATURE.encode() in back.body
        assert SEALED.encode() in back.body
        assert b"Two cities, two calls." in back.body
    again = back.request.messages[1]
    assert again.text == "Let me look."
    if first == "anthropic-messages":
        assert [call.id for call in again.tool_calls] == ["toolu_01", "toolu_02"]


def check_pairs(messages: list) -> None:
    """Every tool call has its result, by the same id, in the same order; ids are distinct."""
    calls = [
        call
        for message in messages
        if isinstance(message, AssistantMessage)
        for call in message.tool_calls
    ]
    results = [message for message in messages if type(message).__name__ == "ToolMessage"]
    assert [call.arguments["city"] for call in calls] == ["Oslo", "Bergen"]
    assert [call.id for call in calls] == [result.tool_call_id for result in results]
    assert len({call.id for call in calls}) == 2
    assert [result.content for result in results] == [[Text("rain")], [Text("rain")]]


async def test_a_request_is_the_same_bytes_each_time_it_is_made(dialect):
    tools = [
        {"name": name, "parameters": {"type": "object", "properties": {"b": {}, "a": {}}}}
        for name in ("zebra", "ape", "mouse")
    ]
    asked = ANSWERS[dialect]
    history = [user("Hi."), asked, *(tool_result(call, "rain") for call in asked.tool_calls)]
    provider = PROVIDERS[dialect]
    async with MockProvider(dialect) as mock:
        for _ in range(3):
            async with AsyncClient(keys={provider: CANARY}, base_urls={provider: mock.url}) as each:
                await soon(each.complete(MODELS[dialect], history, tools=tools))
        bodies = {request.body for request in mock.requests}
        (body,) = bodies
    assert body.index(b"zebra") < body.index(b"ape") < body.index(b"mouse")


async def test_a_broken_off_call_in_the_history_is_not_sent_as_a_whole_one(dialect):
    cut = AssistantMessage(
        [Text("Let me"), ToolCall("call_1", "weather", unparsed='{"city": "Os')], "error"
    )
    provider = PROVIDERS[dialect]
    async with (
        MockProvider(dialect) as mock,
        AsyncClient(keys={provider: CANARY}, base_urls={provider: mock.url}) as client,
    ):
        await soon(client.complete(MODELS[dialect], [user("Hi."), cut, user("Go on.")]))
        (request,) = mock.requests
    for message in request.request.messages:
        for call in getattr(message, "tool_calls", []):
            assert not call.executable
