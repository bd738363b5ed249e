"""The embeddings of every dialect that has them: laws for both halves, and what each says on the wire."""

import json
from array import array
from base64 import b64encode
from contextlib import suppress
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.dialects import DIALECTS, Place, Quirks, Target, find_route, get_dialect
from polyvox.dialects.embedding import EmbeddingCodec
from polyvox.dialects.quirks import EmbedQuirks
from polyvox.embedding import EmbeddingRequest, Embeddings, Task
from polyvox.errors import (
    BadRequestError,
    ContextWindowExceededError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
)
from polyvox.secret import Secret
from polyvox.usage import Cost, Usage

NAMES = [name for name in DIALECTS if get_dialect(name).embeddings is not None]
OPENAI = ["openai-chat", "openai-responses"]
PATHS = {
    "openai-chat": "/v1/embeddings",
    "openai-responses": "/v1/embeddings",
    "gemini": "/v1beta/models/m1:batchEmbedContents",
    "ollama": "/api/embed",
}
TWO = Embeddings(vectors=[[0.5, -1.0], [0.25, 2.0]], usage=Usage(input_tokens=7), model="m1")

texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)
floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
VENDOR = {"user": "u1", "priority": 3}


def codec_of(name: str) -> EmbeddingCodec:
    codec = get_dialect(name).embeddings
    assert codec is not None
    return codec


def target_of(name: str, **embed: Any) -> Target:
    dialect = get_dialect(name)
    return Target(
        provider="acme",
        model="m1",
        base_url=f"https://acme.test{dialect.base_path}",
        key=Secret("sk-1"),
        quirks=Quirks(embed=EmbedQuirks(**embed)),
    )


def place_of(name: str, path: str = "") -> Place:
    found = find_route(get_dialect(name), "POST", path or PATHS[name])
    assert found is not None
    assert found[0].kind == "embed"
    return found[1]


def sent(name: str, request: EmbeddingRequest, **embed: Any) -> dict[str, Any]:
    return json.loads(codec_of(name).encode_request(request, target_of(name, **embed)).body)


@st.composite
def requests(draw: st.DrawFn, name: str) -> EmbeddingRequest:
    tasks = get_args(Task) if name == "gemini" else ()
    return EmbeddingRequest(
        inputs=draw(st.lists(texts, min_size=1, max_size=5)),
        model="m1",
        dimensions=draw(st.none() | st.integers(1, 4096)),
        task=draw(st.sampled_from([None, *tasks])),
        options=draw(st.sampled_from([{}, {name: VENDOR}])),
    )


@st.composite
def results(draw: st.DrawFn) -> Embeddings:
    size = draw(st.integers(1, 6))
    vector = st.lists(floats32, min_size=size, max_size=size)
    return Embeddings(
        vectors=draw(st.lists(vector, min_size=1, max_size=5)),
        usage=Usage(input_tokens=draw(st.integers(0, 10**6))),
        provider="acme",
        model="m1",
    )


# Laws


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_request_is_read_as_it_was_written(name: str, data: st.DataObject):
    request = data.draw(requests(name))
    codec, target = codec_of(name), target_of(name)
    http = codec.encode_request(request, target)
    assert http.url.removeprefix("https://acme.test") == PATHS[name]
    assert codec.decode_request(http.body, place_of(name)) == request
    assert codec.encode_request(request, target).body == http.body


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("name", NAMES)
@given(result=results())
def test_an_answer_is_read_as_it_was_written(name: str, encoding: Any, result: Embeddings):
    asked = EmbeddingRequest(inputs=["a"] * len(result.vectors), model="m1", encoding=encoding)
    body = codec_of(name).encode_response(result, asked, place_of(name))
    read = codec_of(name).decode_response(body, target_of(name))
    assert (read.vectors, read.usage) == (result.vectors, result.usage)
    assert (read.provider, read.model) == ("acme", "m1")


@pytest.mark.parametrize("name", NAMES)
@given(result=results(), where=st.floats(0, 1, exclude_max=True))
def test_an_answer_cut_anywhere_is_no_answer(name: str, result: Embeddings, where: float):
    asked = EmbeddingRequest(inputs=["a"] * len(result.vectors), model="m1")
    body = codec_of(name).encode_response(result, asked, place_of(name))
    with pytest.raises(ProtocolError):
        codec_of(name).decode_response(body[: int(len(body) * where)], target_of(name))


@pytest.mark.parametrize("name", NAMES)
@given(body=st.binary(max_size=60))
def test_whatever_comes_only_our_errors_are_raised(name: str, body: bytes):
    for read in (
        lambda: codec_of(name).decode_request(body, place_of(name)),
        lambda: codec_of(name).decode_response(body, target_of(name)),
    ):
        with suppress(PolyvoxError):
            read()


# Every dialect


@pytest.mark.parametrize("name", NAMES)
def test_the_key_goes_along_and_the_caller_keeps_the_last_word(name: str):
    request = EmbeddingRequest(inputs=["a"], options={name: {"x": 1}, "acme": {"x": 2}})
    http = codec_of(name).encode_request(request, target_of(name))
    assert http.headers["authorization"] == "Bearer sk-1"
    assert b'"x":2' in http.body


@pytest.mark.parametrize("name", NAMES)
def test_a_body_without_texts_names_the_field(name: str):
    with pytest.raises(BadRequestError, match=r"^(input|requests)"):
        codec_of(name).decode_request(b'{"model": "m1"}', place_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_body_that_is_no_json_is_a_bad_request(name: str):
    with pytest.raises(BadRequestError, match="no JSON"):
        codec_of(name).decode_request(b"inputs", place_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_an_error_with_a_good_status_is_raised_as_itself(name: str):
    _, body = get_dialect(name).encode_error(RateLimitError("slow down"))
    with pytest.raises(PolyvoxError, match="slow down"):
        codec_of(name).decode_response(body, target_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_body_says_so(name: str):
    with pytest.raises(ProtocolError, match="nothing"):
        codec_of(name).decode_response(b" ", target_of(name))


def test_a_task_that_cant_be_told_is_named_as_dropped():
    request = EmbeddingRequest(inputs=["a"], task="query")
    dropped = {
        name: [
            field for field, _ in codec_of(name).encode_request(request, target_of(name)).dropped
        ]
        for name in NAMES
    }
    assert dropped == {name: ["task"] for name in NAMES} | {"gemini": []}


def test_anthropic_has_none():
    assert get_dialect("anthropic-messages").embeddings is None


# OpenAI


@pytest.mark.parametrize("name", OPENAI)
def test_vectors_are_asked_for_in_base64_where_the_provider_has_it(name: str):
    request = EmbeddingRequest(inputs=["a", "b"], dimensions=2)
    plain = {"model": "m1", "input": ["a", "b"], "dimensions": 2}
    assert sent(name, request) == plain
    assert sent(name, request, encoding="base64") == {**plain, "encoding_format": "base64"}


@pytest.mark.parametrize("name", OPENAI)
def test_quirks_name_the_path_the_length_and_the_task(name: str):
    request = EmbeddingRequest(inputs=["a"], dimensions=2, task="document")
    quirks: dict[str, Any] = {
        "path": "/v9/embed",
        "dimensions_field": "output_dimension",
        "tasks": {"document": "passage"},
    }
    http = codec_of(name).encode_request(request, target_of(name, **quirks))
    assert http.url == "https://acme.test/v1/v9/embed"
    assert http.dropped == ()
    assert codec_of(name).decode_request(http.body, Place()) == EmbeddingRequest(
        inputs=["a"], model="m1", dimensions=2, task="document"
    )


def answer_of(*entries: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"object": "list", "data": entries, "model": "m1-v2", **fields}).encode()


def read_openai(body: bytes, **embed: Any) -> Embeddings:
    return codec_of("openai-chat").decode_response(body, target_of("openai-chat", **embed))


def test_vectors_come_in_the_order_of_their_indexes():
    two = [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0.5]}]
    read = read_openai(answer_of(*two))
    assert read.vectors == [[0.5], [1.0]]
    assert read.response_model == "m1-v2"


@pytest.mark.parametrize("index", [{}, {"index": 0}, {"index": None}])
def test_indexes_that_say_nothing_leave_the_order(index: dict[str, Any]):
    read = read_openai(answer_of({"embedding": [1], **index}, {"embedding": [2], **index}))
    assert read.vectors == [[1.0], [2.0]]


@pytest.mark.parametrize("places", [[0, 2], [1, 2], [0, None], [0, 1, 1]])
def test_indexes_with_holes_are_refused(places: list[int | None]):
    with pytest.raises(ProtocolError, match="not numbered"):
        read_openai(answer_of(*({"embedding": [1], "index": place} for place in places)))


def test_signed_bytes_are_read_as_numbers():
    written = b64encode(array("b", [-128, 0, 127]).tobytes()).decode()
    read = read_openai(answer_of({"embedding": written}), encoding="base64_int8")
    assert read.vectors == [[-128.0, 0.0, 127.0]]


@pytest.mark.parametrize("written", ["!!!!", "AAA=", "AAAA"])
def test_broken_base64_is_a_protocol_error(written: str):
    with pytest.raises(ProtocolError, match="base64"):
        read_openai(answer_of({"embedding": written}))


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "total_tokens": 5}, Usage(5)),
        ({"total_tokens": 6}, Usage(6)),
        ({}, Usage(basis="missing")),
        (None, Usage(basis="missing")),
        (
            {"prompt_tokens": 5, "cost": 0.000_001},
            Usage(5, cost=Cost("known", nanos=1000, source="provider")),
        ),
    ],
)
def test_usage_is_what_the_provider_says(usage: Any, expected: Usage):
    assert read_openai(answer_of({"embedding": [1]}, usage=usage)).usage == expected


@pytest.mark.parametrize("tokens", [[1, 2], [[1, 2], [3]]])
def test_tokens_in_place_of_texts_are_refused_with_what_to_do(tokens: Any):
    body = json.dumps({"model": "m1", "input": tokens}).encode()
    with pytest.raises(BadRequestError, match="tokens are not taken") as caught:
        codec_of("openai-chat").decode_request(body, Place())
    assert caught.value.hint == "Send the texts themselves."


def test_one_text_may_be_a_string_and_an_unknown_encoding_is_named():
    codec = codec_of("openai-chat")
    one = codec.decode_request(b'{"model":"m1","input":"a","encoding_format":"base64"}', Place())
    assert one == EmbeddingRequest(inputs=["a"], model="m1", encoding="base64")
    with pytest.raises(BadRequestError, match="encoding_format: is 'ubinary'"):
        codec.decode_request(b'{"model":"m1","input":"a","encoding_format":"ubinary"}', Place())


# Gemini


def test_gemini_is_told_the_task_with_every_text():
    request = EmbeddingRequest(
        inputs=["a", "b"], dimensions=2, task="query", options={"gemini": {"title": "T"}}
    )
    common = {
        "model": "models/m1",
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 2,
        "title": "T",
    }
    assert sent("gemini", request)["requests"] == [
        {**common, "content": {"parts": [{"text": text}]}} for text in ("a", "b")
    ]


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_gemini_is_asked_for_one_text_too(version: str):
    place = place_of("gemini", f"/{version}/models/m1:embedContent")
    body = b'{"content":{"parts":[{"text":"a"},{"text":"b"}]},"task_type":"CLUSTERING"}'
    request = codec_of("gemini").decode_request(body, place)
    assert request == EmbeddingRequest(inputs=["ab"], model="m1", task="clustering")
    answer = json.loads(codec_of("gemini").encode_response(TWO, request, place))
    assert answer["embedding"] == {"values": [0.5, -1.0]}


def test_what_stands_beside_gemini_s_requests_is_said_of_all():
    each = [{"content": {"parts": [{"text": text}]}, "title": "T"} for text in "ab"]
    body = json.dumps({"requests": each, "polyvox": {"end_user": "ada"}}).encode()
    request = codec_of("gemini").decode_request(body, Place())
    assert request.inputs == ["a", "b"]
    assert request.options == {"gemini": {"title": "T", "polyvox": {"end_user": "ada"}}}


def test_gemini_wishes_that_differ_are_refused():
    each = [{"content": {"parts": [{"text": "a"}]}, "taskType": word} for word in ("X", "Y")]
    with pytest.raises(BadRequestError, match="same wishes"):
        codec_of("gemini").decode_request(json.dumps({"requests": each}).encode(), Place())


def test_gemini_without_a_count_says_that_it_is_missing():
    body = b'{"embeddings": [{"values": [1, 2]}]}'
    read = codec_of("gemini").decode_response(body, target_of("gemini"))
    assert (read.vectors, read.usage.basis) == ([[1.0, 2.0]], "missing")


# Ollama


def test_ollama_is_told_its_own_options():
    request = EmbeddingRequest(
        inputs=["a"], options={"ollama": {"truncate": False, "keep_alive": "5m"}}
    )
    assert sent("ollama", request) == {
        "model": "m1",
        "input": ["a"],
        "truncate": False,
        "keep_alive": "5m",
    }


def test_ollama_errors_with_a_good_status_keep_their_kind():
    with pytest.raises(ContextWindowExceededError):
        codec_of("ollama").decode_response(
            b'{"error": "the input length exceeds the context length"}', target_of("ollama")
        )
