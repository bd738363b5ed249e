"""Embeddings by the official SDKs of OpenAI, Google and Ollama: their parsing judges our server halves."""

from typing import Any

import ollama
import openai
import pytest
from google import genai
from google.genai import errors, types

from polyvox.embedding import EmbeddingRequest
from polyvox.providers.simulated.embedding import vector_of
from polyvox.testing import Knobs, MockProvider

TEXTS = ["cats", "dogs and cats"]
VECTORS = [vector_of(text, 8) for text in TEXTS]
OPENAI = ["openai-chat", "openai-responses"]
# The SDK's own session class is of a kind that aiohttp would rather not see.
IGNORE_AIOHTTP = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")


def gemini_client(url: str) -> genai.Client:
    return genai.Client(api_key="goog-key", http_options=types.HttpOptions(base_url=url))


def read(server: Any) -> EmbeddingRequest:
    request = server.requests[-1].embedding
    assert request is not None
    return request


# openai


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}])
@pytest.mark.parametrize("dialect", OPENAI)
def test_openai_gets_vectors_in_either_encoding(dialect: str, encoding: Any):
    with (
        MockProvider(dialect) as server,
        openai.OpenAI(base_url=server.url, api_key="sk", max_retries=0) as client,
    ):
        answer = client.embeddings.create(
            model="text-embedding-3-small", input=TEXTS, dimensions=8, user="u1", **encoding
        )
    assert [entry.embedding for entry in answer.data] == VECTORS
    assert [entry.index for entry in answer.data] == [0, 1]
    assert (answer.model, answer.object) == ("text-embedding-3-small", "list")
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (4, 4)
    assert read(server) == EmbeddingRequest(
        inputs=TEXTS,
        model="text-embedding-3-small",
        dimensions=8,
        options={dialect: {"user": "u1"}},
        encoding="float" if encoding else "base64",
    )


async def test_openai_gets_one_vector_asynchronously():
    async with (
        MockProvider("openai-chat") as server,
        openai.AsyncOpenAI(base_url=server.url, api_key="sk", max_retries=0) as client,
    ):
        answer = await client.embeddings.create(model="m", input="cats")
    assert answer.data[0].embedding == vector_of("cats")


def test_openai_is_told_what_is_wrong():
    with (
        MockProvider("openai-chat") as server,
        openai.OpenAI(base_url=server.url, api_key="sk", max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError, match=r"input\[1\] is empty"):
            client.embeddings.create(model="m", input=["a", ""])
        server.knobs = Knobs(status=429, retry_after=7)
        with pytest.raises(openai.RateLimitError) as caught:
            client.embeddings.create(model="m", input="a")
        assert caught.value.response.headers["retry-after"] == "7"


# google-genai


def test_google_gets_vectors_and_its_wishes_are_understood():
    config = types.EmbedContentConfig(
        task_type="RETRIEVAL_DOCUMENT", output_dimensionality=8, title="T"
    )
    with MockProvider("gemini") as server, gemini_client(server.url) as client:
        contents: Any = TEXTS
        answer = client.models.embed_content(
            model="gemini-embedding-001", contents=contents, config=config
        )
    assert [each.values for each in answer.embeddings or ()] == VECTORS
    assert answer.usage_metadata is not None
    assert answer.usage_metadata.prompt_token_count == 4
    assert read(server) == EmbeddingRequest(
        inputs=TEXTS,
        model="gemini-embedding-001",
        dimensions=8,
        task="document",
        options={"gemini": {"title": "T"}},
    )


@IGNORE_AIOHTTP
async def test_google_gets_one_vector_asynchronously():
    async with MockProvider("gemini") as server, gemini_client(server.url).aio as client:
        answer = await client.models.embed_content(model="m", contents="cats")
    assert [each.values for each in answer.embeddings or ()] == [vector_of("cats")]


def test_google_is_told_what_is_wrong():
    with MockProvider("gemini") as server, gemini_client(server.url) as client:
        contents: Any = ["a", ""]
        with pytest.raises(errors.ClientError, match=r"requests\[1\] is empty"):
            client.models.embed_content(model="m", contents=contents)


# ollama


def test_ollama_gets_vectors_and_its_options_are_kept():
    with MockProvider("ollama") as server, ollama.Client(host=server.url) as client:
        answer = client.embed("nomic-embed-text", TEXTS, truncate=False, dimensions=8)
    assert answer.embeddings == VECTORS
    assert (answer.model, answer.prompt_eval_count) == ("nomic-embed-text", 4)
    assert read(server) == EmbeddingRequest(
        inputs=TEXTS,
        model="nomic-embed-text",
        dimensions=8,
        options={"ollama": {"truncate": False}},
    )


async def test_ollama_gets_one_vector_asynchronously():
    async with MockProvider("ollama") as server, ollama.AsyncClient(host=server.url) as client:
        answer = await client.embed("m", "cats")
    assert answer.embeddings == [vector_of("cats")]


def test_ollama_is_told_what_is_wrong():
    with (
        MockProvider("ollama") as server,
        ollama.Client(host=server.url) as client,
        pytest.raises(ollama.ResponseError, match="input is empty"),
    ):
        client.embed("m", [])


# The anthropic dialect has no such address


def test_a_mock_without_embeddings_says_what_it_answers_to():
    with (
        MockProvider("anthropic-messages") as server,
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk", max_retries=0) as client,
        pytest.raises(openai.NotFoundError, match="nothing answers to POST /v1/embeddings"),
    ):
        client.embeddings.create(model="m", input="a")
