"""Embeddings, asked for and given ("Generate embeddings" in Ollama's API documentation).

Ollama cuts a text that is too long for the model; ``options={"ollama": {"truncate": False}}`` makes
that an error instead.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.base import Place, Target, auth_headers, merge_options
from polyvox.dialects.embedding import untold
from polyvox.dialects.fields import Fields
from polyvox.dialects.ollama.errors import line_error
from polyvox.embedding import EmbeddingRequest, Embeddings, as_inputs
from polyvox.http import HttpRequest
from polyvox.usage import NO_USAGE, Usage

EMBED = "/api/embed"


class _Answer(msgspec.Struct):
    embeddings: list[list[float]] = []
    model: str = ""
    prompt_eval_count: int | None = None
    error: Any = None


class OllamaEmbeddings:
    """The codec; see ``polyvox.dialects.embedding.EmbeddingCodec`` for what each method promises."""

    def encode_request(self, request: EmbeddingRequest, target: Target) -> HttpRequest:
        """The request for ``/api/embed``."""
        body: dict[str, Any] = {"model": target.model, "input": request.inputs}
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        merge_options(body, request, *dict.fromkeys(("ollama", target.provider)))
        return HttpRequest(
            "POST",
            target.base_url.rstrip("/") + EMBED,
            {"content-type": "application/json", **auth_headers(target)},
            jsontext.encode(body),
            dropped=untold(request),
        )

    def decode_response(self, body: bytes, target: Target) -> Embeddings:
        """The vectors."""
        answer = read_answer(body, _Answer, "these are no embeddings")
        if answer.error:
            raise line_error(answer.error)
        tokens = answer.prompt_eval_count
        return Embeddings(
            vectors=answer.embeddings,
            usage=NO_USAGE if tokens is None else Usage(input_tokens=tokens),
            provider=target.provider,
            model=target.model,
            response_model=answer.model,
        )

    def decode_request(self, body: bytes, place: Place) -> EmbeddingRequest:
        """The request that a client sent; its address says nothing more."""
        fields = Fields.parse(body)
        request = EmbeddingRequest(
            inputs=as_inputs(fields.take_any("input"), "input"),
            model=fields.take("model", str),
            dimensions=fields.take("dimensions", int, None),
        )
        if fields.rest:
            request.options = {"ollama": fields.rest}
        return request

    def encode_response(self, result: Embeddings, request: EmbeddingRequest, place: Place) -> bytes:
        """The answer; how long it took is not known here."""
        answer: dict[str, Any] = {
            "model": result.response_model or result.model or request.model,
            "embeddings": result.vectors,
            "total_duration": 0,
            "load_duration": 0,
            "prompt_eval_count": result.usage.input_tokens,
        }
        return jsontext.encode(answer)
