"""Embeddings as OpenAI and its likes serve them, asked for and given.

Sources: "Create embeddings" in OpenAI's API reference; for what quirks name, the pages of the same
name in Mistral's, NVIDIA's and Perplexity's. Vectors in base64 are 32-bit floats, little-endian;
Perplexity's are signed bytes.
"""

import sys
from array import array
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.base import Place, Target, auth_headers, merge_options
from polyvox.dialects.bills import Bill, read_cost
from polyvox.dialects.embedding import untold
from polyvox.dialects.fields import Fields
from polyvox.dialects.openai_errors import decode_error
from polyvox.embedding import EmbeddingRequest, Embeddings, Encoding, Task, as_inputs
from polyvox.errors import BadRequestError, ProtocolError
from polyvox.http import HttpRequest
from polyvox.usage import NO_USAGE, Usage

__all__ = ["ROUTE_PATH", "OpenAIEmbeddings"]

ROUTE_PATH = "/embeddings"

_TASKS: dict[str, Task] = {"query": "query", "passage": "document", "document": "document"}
"""What clients say in ``input_type``."""


class _Entry(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Usage(Bill):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Entry] = []
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


class OpenAIEmbeddings:
    """The codec; see ``polyvox.dialects.embedding.EmbeddingCodec`` for what each method promises.

    Args:
        name: the dialect whose options it reads and keeps.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def encode_request(self, request: EmbeddingRequest, target: Target) -> HttpRequest:
        """The request for ``/embeddings``."""
        quirks = target.quirks.embed
        body: dict[str, Any] = {"model": target.model, "input": request.inputs}
        if quirks.encoding != "float":
            body["encoding_format"] = quirks.encoding
        if request.dimensions is not None:
            body[quirks.dimensions_field] = request.dimensions
        word = quirks.tasks.get(request.task or "")
        if word:
            body["input_type"] = word
        merge_options(body, request, *dict.fromkeys((self.name, target.provider)))
        return HttpRequest(
            "POST",
            target.base_url.rstrip("/") + quirks.path,
            {"content-type": "application/json", **auth_headers(target)},
            jsontext.encode(body),
            dropped=() if word else untold(request),
        )

    def decode_response(self, body: bytes, target: Target) -> Embeddings:
        """The vectors, in the order that their indexes tell."""
        answer = read_answer(body, _Answer, "these are no embeddings")
        if answer.error:
            raise decode_error(200, {}, body)
        signed_bytes = target.quirks.embed.encoding == "base64_int8"
        return Embeddings(
            vectors=[_vector(entry.embedding, signed_bytes) for entry in _ordered(answer.data)],
            usage=_read_usage(answer.usage),
            provider=target.provider,
            model=target.model,
            response_model=answer.model or "",
        )

    def decode_request(self, body: bytes, place: Place) -> EmbeddingRequest:
        """The request that a client sent; its address says nothing more."""
        fields = Fields.parse(body)
        inputs = fields.take_any("input")
        match inputs:
            case [int(), *_] | [[*_], *_]:
                hint = "Send the texts themselves."
                raise BadRequestError("input: tokens are not taken", hint=hint)
            case _:
                texts = as_inputs(inputs, "input")
        request = EmbeddingRequest(
            inputs=texts, model=fields.take("model", str), encoding=_read_encoding(fields)
        )
        for name in ("dimensions", "output_dimension"):
            request.dimensions = fields.take(name, int, None) or request.dimensions
        request.task = _TASKS.get(str(fields.rest.get("input_type")))
        if request.task is not None:
            del fields.rest["input_type"]
        if fields.rest:
            request.options = {self.name: fields.rest}
        return request

    def encode_response(self, result: Embeddings, request: EmbeddingRequest, place: Place) -> bytes:
        """The answer, with its vectors as the request wants them."""
        written = _as_base64 if request.encoding == "base64" else list[float]
        tokens = result.usage.input_tokens
        answer: dict[str, Any] = {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": written(vector)}
                for index, vector in enumerate(result.vectors)
            ],
            "model": result.response_model or result.model or request.model,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return jsontext.encode(answer)


def _read_encoding(fields: Fields) -> Encoding:
    match fields.take("encoding_format", str, "float"):
        case "float" | "base64" as encoding:
            return encoding
        case other:
            raise fields.wrong("encoding_format", f"is {other!r}, not 'float' or 'base64'")


def _ordered(entries: list[_Entry]) -> list[_Entry]:
    """The entries by their index. Where all say the same, as with some likes, it says nothing."""
    places = [entry.index for entry in entries]
    if len(set(places)) <= 1:
        return entries
    if sorted(place for place in places if place is not None) != list(range(len(entries))):
        raise ProtocolError(f"the embeddings are not numbered from 0 to {len(entries) - 1}")
    return sorted(entries, key=lambda entry: entry.index or 0)


def _vector(written: list[float] | str, signed_bytes: bool) -> list[float]:
    if not isinstance(written, str):
        return written
    numbers: array[float] | array[int] = array("b") if signed_bytes else array("f")
    try:
        numbers.frombytes(b64decode(written, validate=True))
    except (NotBase64, ValueError):
        raise ProtocolError("an embedding is no base64 of whole numbers of its kind") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return list(map(float, numbers)) if signed_bytes else list(numbers)


def _as_base64(vector: list[float]) -> str:
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode()


def _read_usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return NO_USAGE
    tokens = usage.total_tokens if usage.prompt_tokens is None else usage.prompt_tokens
    cost = read_cost(usage)
    if tokens is None:
        return Usage(basis="missing", cost=cost)
    return Usage(input_tokens=tokens, cost=cost)
