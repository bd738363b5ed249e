"""The dialect "gemini": generateContent of Google's Gemini API, and those who speak it too.

From the Gemini API reference ("Generating content", "Counting tokens", "Models", "Files") and the
pages "Function calling", "Thinking", "Thought signatures" and "Structured outputs" of the Gemini
API documentation. We speak version v1beta, and to clients v1 as well, which is written the same.

One module each for the words and shapes of an answer (``wire``), what sets models apart (``traits``,
``thinking``), schemas (``schema``), parts and requests both ways (``parts_out``, ``parts_in``,
``request_out``, ``request_in``, with ``fields``), answers both ways (``answer_in``, ``answer_out``,
``frames``), embeddings (``embeddings``), addresses (``endpoint``) and ``errors``.
"""

from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.base import Route, Target, auth_headers
from polyvox.dialects.gemini.answer_in import GeminiDecoder, read_response
from polyvox.dialects.gemini.answer_out import GeminiEncoder, write_response
from polyvox.dialects.gemini.embeddings import BATCH, SINGLE, GeminiEmbeddings
from polyvox.dialects.gemini.endpoint import base, post, resource
from polyvox.dialects.gemini.errors import error_body, read_error
from polyvox.dialects.gemini.frames import GeminiFrames
from polyvox.dialects.gemini.parts_out import takes_url
from polyvox.dialects.gemini.request_in import read_request
from polyvox.dialects.gemini.request_out import RequestWriter
from polyvox.dialects.gemini.wire import NAME
from polyvox.dialects.passing import JsonPassing
from polyvox.errors import PolyvoxError
from polyvox.http import HttpRequest
from polyvox.request import Request

__all__ = ["DIALECT", "Gemini"]

_METHODS = ["generateContent", "countTokens"]


class _ListedModel(msgspec.Struct, rename="camel"):
    name: str
    supported_generation_methods: list[str] | None = None


class _ModelList(msgspec.Struct):
    models: list[_ListedModel] = []


class _Count(msgspec.Struct, rename="camel"):
    total_tokens: int


def _routes(version: str) -> list[Route]:
    model = f"{version}/models/{{model}}"
    return [
        Route("answer", "POST", f"{model}:generateContent", stream=False),
        Route("answer", "POST", f"{model}:streamGenerateContent", stream=True),
        Route("count", "POST", f"{model}:countTokens"),
        Route("embed", "POST", f"{model}:{BATCH}"),
        Route("embed", "POST", f"{model}:{SINGLE}"),
        Route("models", "GET", f"{version}/models"),
    ]


def _method(request: Request) -> str:
    return "streamGenerateContent?alt=sse" if request.stream else "generateContent"


def _empty(request: Request, target: Target) -> HttpRequest:
    return post(target, _method(request), {})


def _leave(fields: dict[str, Any], request: Request, target: Target) -> None:
    """The model stands in the address."""


class Gemini:
    """The codec; see ``polyvox.dialects.base.Dialect`` for what each method promises.

    Parts that only the API knows (its own tools' code and results) are empty ``Text`` blocks with
    the original in ``meta``, so that they can be sent back; thought signatures stay on their blocks.

    >>> from polyvox.messages import user
    >>> target = Target(provider="google", model="gemini-2.5-flash", base_url="https://g.example")
    >>> DIALECT.encode_request(Request(messages=[user("Hi")], stream=False), target)
    HttpRequest(POST https://g.example/v1beta/models/gemini-2.5-flash:generateContent, 54 bytes)
    """

    name = NAME
    base_path = ""
    routes = tuple(route for version in ("/v1beta", "/v1") for route in _routes(version))
    embeddings = GeminiEmbeddings()
    whole = (b"{",)  # a list is a stream
    passing = JsonPassing(_empty, _leave)

    # Client half

    takes_url = staticmethod(takes_url)
    decode_response = staticmethod(read_response)
    frame_reader = GeminiFrames
    stream_decoder = GeminiDecoder
    decode_error = staticmethod(read_error)

    def encode_request(self, request: Request, target: Target) -> HttpRequest:
        """The request for ``generateContent``, or for its streaming sister, in server-sent events."""
        writer = RequestWriter(request, target)
        http = post(target, _method(request), writer.body())
        http.dropped = tuple(writer.notes)
        return http

    def models_request(self, target: Target) -> HttpRequest | None:
        """A request for the list of models, or None if the provider has none."""
        path = target.quirks.models_path
        if not path:
            return None
        return HttpRequest("GET", f"{base(target)}{path}?pageSize=1000", auth_headers(target))

    def decode_models(self, body: bytes) -> list[str]:
        """The names of those in such a list that answer. Raises ``ProtocolError`` when it is none."""
        return [
            model.name.removeprefix("models/")
            for model in read_answer(body, _ModelList).models
            if "generateContent" in (model.supported_generation_methods or _METHODS)
        ]

    def count_request(self, request: Request, target: Target) -> HttpRequest | None:
        """A request that counts the prompt's tokens, or None if the provider can't."""
        if not target.quirks.count_tokens:
            return None
        asked = {"model": resource(target.model), **RequestWriter(request, target).body()}
        return post(target, "countTokens", {"generateContentRequest": asked})

    def decode_count(self, body: bytes) -> int:
        """The number in its answer. Raises ``ProtocolError`` when there is none."""
        return read_answer(body, _Count).total_tokens

    # Server half

    decode_request = staticmethod(read_request)
    encode_response = staticmethod(write_response)
    stream_encoder = GeminiEncoder

    def encode_error(self, error: PolyvoxError) -> tuple[int, bytes]:
        """Status and body of an error answer."""
        status, body = error_body(error)
        return status, jsontext.encode(body)

    def encode_models(self, names: list[str]) -> bytes:
        """The list of models that a server offers."""
        models = [
            {
                "name": resource(name),
                "displayName": name,
                "supportedGenerationMethods": _METHODS,
            }
            for name in names
        ]
        return jsontext.encode({"models": models})

    def encode_count(self, tokens: int) -> bytes | None:
        """The answer to a token count."""
        return jsontext.encode({"totalTokens": tokens})


DIALECT = Gemini()
