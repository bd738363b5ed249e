"""The anthropic SDK at the gateway, beyond what every client does."""

import base64
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from .upstreams import DIALECTS, SAID, SIGNATURE, Upstreams

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HELLO: Any = [{"role": "user", "content": "Weather?"}]
upstream = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture
def client(behind: Upstreams) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=behind.url, api_key=behind.key, max_retries=0) as client:
        yield client


def thinking(dialect: str, model: str = "thinks") -> Any:
    return {
        "model": f"up-{dialect}/{model}",
        "max_tokens": 4_000,
        "thinking": {"type": "enabled", "budget_tokens": 1_024},
    }


@pytest.mark.parametrize("dialect", ["anthropic-messages", "gemini"])
@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_go_back_to_who_signed_them(
    client: anthropic.Anthropic, dialect: str, stream: bool
) -> None:
    def ask(messages: Any) -> Any:
        if not stream:
            return client.messages.create(messages=messages, **thinking(dialect))
        with client.messages.stream(messages=messages, **thinking(dialect)) as events:
            return events.get_final_message()

    first = ask(HELLO)
    assert [block.type for block in first.content] == ["thinking", "text"]
    assert first.content[0].thinking == "Hm, Oslo."
    as_it_came = first.content[0].signature == SIGNATURE
    assert as_it_came == (dialect == "anthropic-messages")  # else it says who has signed it, too
    again = [*HELLO, {"role": "assistant", "content": first.content}, *HELLO]
    assert ask(again).content[-1].text == f"1 of mine: {SIGNATURE}"


@upstream
def test_a_long_conversation_arrives_as_it_was(
    client: anthropic.Anthropic, behind: Upstreams, dialect: str
) -> None:
    turns: list[Any] = []
    for number in range(40):
        turns += [
            {"role": "user", "content": f"question {number}"},
            {"role": "assistant", "content": f"answer {number}"},
        ]
    client.messages.create(
        model=f"up-{dialect}/words", max_tokens=9, messages=[*turns, *HELLO], system="Be brief."
    )
    request = behind.last(dialect)
    said = [message.text for message in request.messages if message.role != "system"]
    assert said == [*(turn["content"] for turn in turns), "Weather?"]


@upstream
def test_the_events_of_a_message_are_in_order(client: anthropic.Anthropic, dialect: str) -> None:
    tool: Any = {"name": "weather", "input_schema": {"type": "object"}}
    events = list(
        client.messages.create(
            model=f"up-{dialect}/tools", max_tokens=99, messages=HELLO, tools=[tool], stream=True
        )
    )
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    assert kinds.count("message_start") == kinds.count("message_stop") == 1
    begun = [event.index for event in events if event.type == "content_block_start"]
    ended = [event.index for event in events if event.type == "content_block_stop"]
    assert begun == ended == [0, 1, 2, 3]


@upstream
def test_pictures_arrive(client: anthropic.Anthropic, dialect: str) -> None:
    source = {
        "type": "base64",
        "media_type": "image/png",
        "data": base64.b64encode(PNG).decode(),
    }
    asked: Any = [{"role": "user", "content": [{"type": "image", "source": source}]}]
    told = client.messages.create(model=f"up-{dialect}/sees", max_tokens=99, messages=asked)
    assert told.content[0].text == "image/png, 16 bytes"


@upstream
def test_a_picture_that_a_tool_gave_arrives(client: anthropic.Anthropic, dialect: str) -> None:
    data = base64.b64encode(PNG).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "seen"}, {"type": "image", "source": source}],
    }
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    asked: Any = [
        *HELLO,
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    tool: Any = {"name": "look", "input_schema": {"type": "object"}}
    told = client.messages.create(
        model=f"up-{dialect}/words", max_tokens=99, messages=asked, tools=[tool]
    )
    assert told.content[0].text == SAID


@upstream
def test_a_call_of_a_tool_that_was_cut_off_is_never_one(
    client: anthropic.Anthropic, dialect: str
) -> None:
    kinds: list[str] = []
    tool: Any = {"name": "weather", "input_schema": {"type": "object"}}
    with pytest.raises(anthropic.APIError, match="the power is out"):
        kinds += (
            event.type
            for event in client.messages.create(
                model=f"up-{dialect}/loses",
                max_tokens=99,
                messages=HELLO,
                tools=[tool],
                stream=True,
            )
        )
    assert "message_stop" not in kinds


@upstream
def test_tokens_are_counted(client: anthropic.Anthropic, dialect: str) -> None:
    told = client.messages.count_tokens(model=f"up-{dialect}/words", messages=HELLO)
    assert told.input_tokens > 0


def test_models_are_listed(client: anthropic.Anthropic) -> None:
    (model,) = client.models.list()
    assert (model.id, model.type) == ("simulated/echo", "model")


@upstream
def test_a_context_is_named_in_a_header_or_the_body(
    client: anthropic.Anthropic, behind: Upstreams, dialect: str
) -> None:
    name = f"anthropic-{dialect}"
    fields: Any = {"model": f"up-{dialect}/words", "max_tokens": 9}
    client.messages.create(messages=HELLO, extra_headers={"x-polyvox-context": name}, **fields)
    asked: Any = [{"role": "user", "content": "And tomorrow?"}]
    client.messages.create(messages=asked, extra_body={"polyvox": {"context": name}}, **fields)
    said = [message.text for message in behind.last(dialect).messages]
    assert said == ["Weather?", SAID, "And tomorrow?"]


def test_events_that_are_new_are_kept(client: anthropic.Anthropic, novel: str) -> None:
    asked: Any = {"model": f"{novel}-messages/m", "max_tokens": 9, "messages": HELLO}
    told = client.messages.create(**asked)
    assert told.model_dump()["novelty"] == {"a": [1, 2.5]}
    with client.messages.with_streaming_response.create(**asked, stream=True) as answer:
        assert "event: novel_event\n" in answer.read().decode()
    with client.messages.stream(**asked) as events:
        assert "".join(events.text_stream) == "Hi."
