"""The ollama client at the gateway, beyond what every client does."""

from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from .upstreams import DIALECTS, SAID, Upstreams

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
HELLO: Any = [{"role": "user", "content": "Weather?"}]
EMBED = [dialect for dialect in DIALECTS if dialect != "anthropic-messages"]
upstream = pytest.mark.parametrize("dialect", DIALECTS)


def client_of(behind: Upstreams, **headers: str) -> ollama.Client:
    return ollama.Client(
        host=behind.url, headers={"authorization": f"Bearer {behind.key}", **headers}
    )


@pytest.fixture
def client(behind: Upstreams) -> Iterator[ollama.Client]:
    with client_of(behind) as client:
        yield client


@upstream
def test_a_prompt_is_gone_on_with(client: ollama.Client, dialect: str) -> None:
    told = client.generate(f"up-{dialect}/words", "Weather?", system="Be brief.")
    assert (told.response, told.done, told.done_reason) == (SAID, True, "stop")
    parts = list(client.generate(f"up-{dialect}/words", "Weather?", stream=True))
    assert "".join(part.response for part in parts) == SAID
    assert parts[-1].eval_count == 4


@upstream
def test_thoughts_are_told_apart(client: ollama.Client, dialect: str) -> None:
    message = client.chat(f"up-{dialect}/thinks", HELLO, think=True).message
    assert (message.thinking, message.content) == ("Hm, Oslo.", "I had no thought.")


@upstream
def test_pictures_arrive(client: ollama.Client, dialect: str) -> None:
    asked: Any = [{"role": "user", "content": "What is this?", "images": [PNG]}]
    told = client.chat(f"up-{dialect}/sees", asked)
    assert told.message.content == "image/png, 16 bytes"


@pytest.mark.parametrize("dialect", EMBED)
def test_texts_become_vectors(client: ollama.Client, dialect: str) -> None:
    found = client.embed(f"up-{dialect}/vectors", ["rain in Oslo", "sun in Rom"], dimensions=16)
    assert [len(each) for each in found.embeddings] == [16, 16]


def test_models_are_listed(client: ollama.Client) -> None:
    (model,) = client.list().models
    assert model.model == "simulated/echo"


@upstream
def test_a_context_is_named_in_a_header(behind: Upstreams, dialect: str) -> None:
    headers = {"x-polyvox-context": f"ollama-{dialect}"}
    with client_of(behind, **headers) as client:
        client.chat(f"up-{dialect}/words", HELLO)
        list(client.chat(f"up-{dialect}/words", HELLO, stream=True))
    said = [message.text for message in behind.last(dialect).messages]
    assert said == ["Weather?", SAID, "Weather?"]
