"""Embeddings, asked for and given ("Embeddings" in the Gemini API reference).

We ask for many at a time (``batchEmbedContents``), however few there are; clients may also ask for a
single one (``embedContent``). What the batch tells of one text is told of all: its task, its length.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.base import Place, Target, merge_options
from polyvox.dialects.gemini.endpoint import post, resource
from polyvox.dialects.gemini.errors import read_error
from polyvox.dialects.gemini.fields import Fields
from polyvox.dialects.gemini.parts_in import read_text
from polyvox.dialects.gemini.wire import NAME, Json
from polyvox.embedding import EmbeddingRequest, Embeddings, Task, as_inputs
from polyvox.errors import BadRequestError
from polyvox.http import HttpRequest
from polyvox.usage import NO_USAGE, Usage

BATCH = "batchEmbedContents"
SINGLE = "embedContent"

_WORDS: dict[Task, str] = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "similarity": "SEMANTIC_SIMILARITY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
    "question": "QUESTION_ANSWERING",
    "fact_check": "FACT_VERIFICATION",
    "code_query": "CODE_RETRIEVAL_QUERY",
}
_TASKS: dict[str, Task] = {word: task for task, word in _WORDS.items()}


class _Vector(msgspec.Struct):
    values: list[float] = []


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None


class _Answer(msgspec.Struct, rename="camel"):
    embeddings: list[_Vector] = []
    usage_metadata: _Usage | None = None
    error: Any = None


class GeminiEmbeddings:
    """The codec; see ``polyvox.dialects.embedding.EmbeddingCodec`` for what each method promises."""

    def encode_request(self, request: EmbeddingRequest, target: Target) -> HttpRequest:
        """The request for ``batchEmbedContents``; options go into each of its requests."""
        common: Json = {"model": resource(target.model)}
        if request.task is not None:
            common["taskType"] = _WORDS[request.task]
        if request.dimensions is not None:
            common["outputDimensionality"] = request.dimensions
        merge_options(common, request, *dict.fromkeys((NAME, target.provider)))
        each = [{**common, "content": {"parts": [{"text": text}]}} for text in request.inputs]
        return post(target, BATCH, {"requests": each})

    def decode_response(self, body: bytes, target: Target) -> Embeddings:
        """The vectors."""
        answer = read_answer(body, _Answer, "these are no embeddings")
        if answer.error:
            raise read_error(200, {}, body)
        counted = answer.usage_metadata and answer.usage_metadata.prompt_token_count
        return Embeddings(
            vectors=[vector.values for vector in answer.embeddings],
            usage=NO_USAGE if counted is None else Usage(input_tokens=counted),
            provider=target.provider,
            model=target.model,
        )

    def decode_request(self, body: bytes, place: Place) -> EmbeddingRequest:
        """The request that a client sent, to either address."""
        fields = Fields.parse(body)
        if place.path.endswith(f":{SINGLE}"):
            return _read_request([fields], place)
        requests = fields.take_list("requests")
        if not requests:
            raise fields.wrong("requests", "there are none")
        for each in requests:  # what stands beside them is said of each
            each.rest |= fields.rest
        return _read_request(requests, place)

    def encode_response(self, result: Embeddings, request: EmbeddingRequest, place: Place) -> bytes:
        """The answer in the form of the address that was asked."""
        vectors = [{"values": vector} for vector in result.vectors]
        answer: Json = {"usageMetadata": {"promptTokenCount": result.usage.input_tokens}}
        if place.path.endswith(f":{SINGLE}"):
            return jsontext.encode({"embedding": vectors[0], **answer})
        return jsontext.encode({"embeddings": vectors, **answer})


def _read_request(requests: list[Fields], place: Place) -> EmbeddingRequest:
    texts = [_text(each) for each in requests]
    wishes = [{k: v for k, v in each.rest.items() if k != "model"} for each in requests]
    if any(each != wishes[0] for each in wishes):
        raise BadRequestError("requests: they must all have the same wishes, such as taskType")
    common = requests[0]
    model = common.take("model", str, "").removeprefix("models/")
    request = EmbeddingRequest(
        inputs=as_inputs(texts, "requests"),
        model=place.model or model,
        dimensions=common.take("outputDimensionality", int, None),
        task=_TASKS.get(str(common.rest.get("taskType"))),
    )
    if request.task is not None:
        del common.rest["taskType"]
    if common.rest:
        request.options = {NAME: common.rest}
    return request


def _text(request: Fields) -> str:
    content = request.take_object("content")
    if content is None:
        raise request.wrong("content", "is missing")
    return "".join(block.text for block in read_text(content))
