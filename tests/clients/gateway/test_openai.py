"""The openai SDK at the gateway, beyond what every client does."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import openai
import pydantic
import pytest

from .upstreams import DIALECTS, SAID, SIGNATURE, Upstreams

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HELLO: Any = [{"role": "user", "content": "Weather?"}]
PICTURE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
EMBED = [dialect for dialect in DIALECTS if dialect != "anthropic-messages"]
upstream = pytest.mark.parametrize("dialect", DIALECTS)


class Answer(pydantic.BaseModel):
    city: str
    degrees: int


@pytest.fixture
def client(behind: Upstreams) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{behind.url}/v1", api_key=behind.key, max_retries=0) as client:
        yield client


@upstream
def test_an_answer_is_parsed(client: openai.OpenAI, dialect: str) -> None:
    model = f"up-{dialect}/json"
    chat = client.chat.completions.parse(model=model, messages=HELLO, response_format=Answer)
    assert chat.choices[0].message.parsed == Answer(city="Oslo", degrees=4)
    response = client.responses.parse(model=model, input="Weather?", text_format=Answer)
    assert response.output_parsed == Answer(city="Oslo", degrees=4)


@upstream
def test_the_schema_reaches_the_provider(
    client: openai.OpenAI, behind: Upstreams, dialect: str
) -> None:
    model = f"up-{dialect}/json"
    client.chat.completions.parse(model=model, messages=HELLO, response_format=Answer)
    if dialect != "ollama":  # told as a bare schema, without its name
        wanted = behind.last(dialect).response_format
        assert wanted is not None
        assert set((wanted.schema or {})["properties"]) == {"city", "degrees"}


@upstream
def test_the_usage_comes_in_a_stream_only_if_it_is_asked_for(
    client: openai.OpenAI, dialect: str
) -> None:
    model = f"up-{dialect}/words"
    chunks = list(client.chat.completions.create(model=model, messages=HELLO, stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    options: Any = {"include_usage": True}
    *_, last = client.chat.completions.create(
        model=model, messages=HELLO, stream=True, stream_options=options
    )
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens == 4


@upstream
def test_the_events_of_a_response_are_in_order(client: openai.OpenAI, dialect: str) -> None:
    tool: Any = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    events = list(
        client.responses.create(
            model=f"up-{dialect}/tools", input="Weather?", tools=[tool], stream=True
        )
    )
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert kinds.count("response.completed") == 1
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))
    added = [event.item.id for event in events if event.type == "response.output_item.added"]
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert sorted(map(str, added)) == sorted(str(item.id) for item in done)
    assert [item.type for item in done] == ["message", *["function_call"] * 3]
    places = [event.output_index for event in events if event.type == "response.output_item.added"]
    assert places == [0, 1, 2, 3]


@pytest.mark.parametrize("dialect", ["openai-responses", "anthropic-messages", "gemini"])
def test_reasoning_goes_back_to_who_signed_it(client: openai.OpenAI, dialect: str) -> None:
    fields: Any = {
        "model": f"up-{dialect}/thinks",
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "reasoning": {"effort": "low"},
    }
    first = client.responses.create(input=HELLO, **fields)
    said: Any = [item.to_dict() for item in first.output]
    second = client.responses.create(input=[*HELLO, *said, *HELLO], **fields)
    assert second.output_text == f"1 of mine: {SIGNATURE}"


@upstream
def test_pictures_arrive(client: openai.OpenAI, dialect: str) -> None:
    model = f"up-{dialect}/sees"
    shown: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PICTURE}},
    ]
    asked: Any = [{"role": "user", "content": shown}]
    chat = client.chat.completions.create(model=model, messages=asked)
    assert chat.choices[0].message.content == "image/png, 16 bytes"
    shown = [{"type": "input_image", "image_url": PICTURE, "detail": "auto"}]
    asked = [{"role": "user", "content": shown}]
    response = client.responses.create(model=model, input=asked)
    assert response.output_text == "image/png, 16 bytes"


@upstream
def test_a_call_of_a_tool_that_was_cut_off_is_never_one(
    client: openai.OpenAI, dialect: str
) -> None:
    tool: Any = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object"}},
    }
    finished: list[Any] = []
    with (
        pytest.raises(openai.APIError, match="the power is out"),
        client.chat.completions.stream(
            model=f"up-{dialect}/loses", messages=HELLO, tools=[tool]
        ) as stream,
    ):
        finished += [
            event for event in stream if event.type == "tool_calls.function.arguments.done"
        ]
    assert finished == []


@pytest.mark.parametrize("dialect", EMBED)
@pytest.mark.parametrize("form", ["float", "base64"])
def test_texts_become_vectors(client: openai.OpenAI, dialect: str, form: Any) -> None:
    found = client.embeddings.create(
        model=f"up-{dialect}/vectors",
        input=["rain in Oslo", "sun in Rom"],
        encoding_format=form,
        dimensions=16,
    )
    assert [each.index for each in found.data] == [0, 1]
    if form == "base64":
        assert {len(base64.b64decode(str(each.embedding))) for each in found.data} == {64}
    else:
        assert {len(each.embedding) for each in found.data} == {16}
    assert found.usage.prompt_tokens > 0


@pytest.mark.parametrize("dialect", EMBED)
def test_vectors_are_the_same_in_either_form(client: openai.OpenAI, dialect: str) -> None:
    model = f"up-{dialect}/vectors"
    packed = client.embeddings.create(model=model, input="rain in Oslo")  # base64 underneath
    plain = client.embeddings.create(model=model, input="rain in Oslo", encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


def test_models_are_listed_and_described(client: openai.OpenAI) -> None:
    (listed,) = client.models.list()
    assert (listed.id, listed.object) == ("simulated/echo", "model")


@upstream
def test_a_context_is_named_in_the_body(
    client: openai.OpenAI, behind: Upstreams, dialect: str
) -> None:
    wish: Any = {"polyvox": {"context": f"body-{dialect}", "tags": {"feature": "trip"}}}
    model = f"up-{dialect}/words"
    client.chat.completions.create(model=model, messages=HELLO, extra_body=wish)
    client.responses.create(model=model, input="And tomorrow?", extra_body=wish)
    request = behind.last(dialect)
    assert [message.text for message in request.messages] == ["Weather?", SAID, "And tomorrow?"]
    assert b"polyvox" not in behind.mocks[dialect].requests[-1].body


@upstream
def test_a_context_is_named_in_a_header(
    client: openai.OpenAI, behind: Upstreams, dialect: str
) -> None:
    headers = {"x-polyvox-context": f"header-{dialect}", "x-polyvox-tags": '{"feature": "trip"}'}
    model = f"up-{dialect}/words"
    client.chat.completions.create(model=model, messages=HELLO, extra_headers=headers)
    list(
        client.chat.completions.create(
            model=model, messages=HELLO, extra_headers=headers, stream=True
        )
    )
    request = behind.last(dialect)
    assert [message.text for message in request.messages] == ["Weather?", SAID, "Weather?"]
    sent = behind.mocks[dialect].requests[-1].headers
    assert not any(name.startswith("x-polyvox") for name in sent)


def test_a_wish_that_means_nothing_is_told(client: openai.OpenAI) -> None:
    wish: Any = {"polyvox": {"contxt": "trip"}}
    with pytest.raises(openai.BadRequestError, match="contxt"):
        client.chat.completions.create(model="simulated/echo", messages=HELLO, extra_body=wish)


def test_the_call_and_its_cost_are_told_in_headers(client: openai.OpenAI) -> None:
    told = client.chat.completions.with_raw_response.create(model="up-gemini/words", messages=HELLO)
    assert told.headers["x-polyvox-call-id"].startswith("call_")
    assert float(told.headers["x-polyvox-cost"]) > 0


def test_what_is_new_in_an_answer_is_kept(client: openai.OpenAI, novel: str) -> None:
    chat = client.chat.completions.create(model=f"{novel}-chat/m", messages=HELLO)
    assert chat.choices[0].message.model_dump()["mood"] == "good"
    assert chat.model_dump()["novelty"] == {"a": [1, 2.5]}
    response = client.responses.create(model=f"{novel}-responses/m", input="Hi")
    assert response.output_text == "Hi."
    assert response.model_dump()["novelty"] == {"a": [1, 2.5]}


def test_events_that_are_new_are_kept(client: openai.OpenAI, novel: str) -> None:
    events = list(client.responses.create(model=f"{novel}-responses/m", input="Hi", stream=True))
    kinds = [event.type for event in events]
    assert "response.novel" in kinds
    assert kinds[-1] == "response.completed"
    chunks = list(
        client.chat.completions.create(model=f"{novel}-chat/m", messages=HELLO, stream=True)
    )
    assert json.loads(chunks[0].to_json())["novelty"] == {"a": [1, 2.5]}
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hi."
