"""The google-genai SDK at the gateway, beyond what every client does."""

from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import types

from .upstreams import DIALECTS, SAID, SIGNATURE, Upstreams

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
EMBED = [dialect for dialect in DIALECTS if dialect != "anthropic-messages"]
upstream = pytest.mark.parametrize("dialect", DIALECTS)


def client_of(behind: Upstreams, **headers: str) -> genai.Client:
    options = types.HttpOptions(base_url=behind.url, headers=headers or None)
    return genai.Client(api_key=behind.key, http_options=options)


@pytest.fixture
def client(behind: Upstreams) -> Iterator[genai.Client]:
    with client_of(behind) as client:
        yield client


@upstream
def test_a_chat_goes_on(client: genai.Client, behind: Upstreams, dialect: str) -> None:
    chat = client.chats.create(model=f"up-{dialect}/words")
    assert chat.send_message("Weather?").text == SAID
    assert "".join(part.text or "" for part in chat.send_message_stream("Sure?")) == SAID
    assert chat.send_message("And tomorrow?").text == SAID
    said = [message.text for message in behind.last(dialect).messages]
    assert said == ["Weather?", SAID, "Sure?", SAID, "And tomorrow?"]


@upstream
def test_functions_are_called_by_the_sdk_itself(client: genai.Client, dialect: str) -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    config: Any = types.GenerateContentConfig(tools=[weather])
    told = client.models.generate_content(
        model=f"up-{dialect}/tools", contents="Weather?", config=config
    )
    # The SDK tells what a function gave as an object, and so it is told to the model.
    assert (told.text or "").startswith('Oslo: {"result":"rain in Oslo"}. Bergen: ')


@pytest.mark.parametrize("dialect", ["anthropic-messages", "gemini"])
def test_thoughts_go_back_to_who_signed_them(client: genai.Client, dialect: str) -> None:
    thoughts = types.ThinkingConfig(include_thoughts=True)
    config = types.GenerateContentConfig(thinking_config=thoughts)
    chat = client.chats.create(model=f"up-{dialect}/thinks", config=config)
    first = chat.send_message("Weather?")
    (thought, _) = first.candidates[0].content.parts  # pyright: ignore[reportOptionalSubscript]
    assert (thought.thought, thought.text) == (True, "Hm, Oslo.")
    assert chat.send_message("Sure?").text == f"1 of mine: {SIGNATURE}"


@upstream
def test_pictures_arrive(client: genai.Client, dialect: str) -> None:
    shown: Any = ["What is this?", types.Part.from_bytes(data=PNG, mime_type="image/png")]
    told = client.models.generate_content(model=f"up-{dialect}/sees", contents=shown)
    assert told.text == "image/png, 16 bytes"


@upstream
def test_tokens_are_counted(client: genai.Client, dialect: str) -> None:
    told = client.models.count_tokens(model=f"up-{dialect}/words", contents="Weather?")
    assert (told.total_tokens or 0) > 0


@pytest.mark.parametrize("dialect", EMBED)
def test_texts_become_vectors(client: genai.Client, dialect: str) -> None:
    given: Any = ["rain in Oslo", "sun in Rom"]
    config = types.EmbedContentConfig(output_dimensionality=16)
    found = client.models.embed_content(
        model=f"up-{dialect}/vectors", contents=given, config=config
    )
    assert [len(each.values or []) for each in found.embeddings or []] == [16, 16]


def test_models_are_listed(client: genai.Client) -> None:
    (model,) = client.models.list()
    assert model.name == "models/simulated/echo"
    assert "generateContent" in (model.supported_actions or [])


@upstream
def test_a_context_is_named_in_a_header(behind: Upstreams, dialect: str) -> None:
    headers = {"x-polyvox-context": f"google-{dialect}"}
    with client_of(behind, **headers) as client:
        for text in ("Weather?", "And tomorrow?"):
            client.models.generate_content(model=f"up-{dialect}/words", contents=text)
    said = [message.text for message in behind.last(dialect).messages]
    assert said == ["Weather?", SAID, "And tomorrow?"]


def test_a_context_is_named_in_the_body(behind: Upstreams, client: genai.Client) -> None:
    options = types.HttpOptions(extra_body={"polyvox": {"context": "google-body"}})
    config = types.GenerateContentConfig(http_options=options)
    for text in ("Weather?", "And tomorrow?"):
        client.models.generate_content(model="up-gemini/words", contents=text, config=config)
    said = [message.text for message in behind.last("gemini").messages]
    assert said == ["Weather?", SAID, "And tomorrow?"]


def test_what_is_new_passes_the_sdk(client: genai.Client, novel: str) -> None:
    told = client.models.generate_content(model=f"{novel}-gemini/m", contents="Hi")
    assert told.text == "Hi."
    parts = list(client.models.generate_content_stream(model=f"{novel}-gemini/m", contents="Hi"))
    assert "".join(part.text or "" for part in parts) == "Hi."
