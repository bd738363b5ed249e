"""The dialect "anthropic-messages": Anthropic's Messages API, and those who speak it too.

From the pages "Create a Message", "Streaming Messages", "Count tokens in a Message", "List Models"
and "Errors" of Anthropic's API documentation, version 2023-06-01.

One module each for the words and shapes of an answer (``wire``), blocks and requests both ways
(``blocks_out``, ``blocks_in``, ``prompt_out``, ``request_out``, ``request_in``), answers both ways
(``plain``, ``answer_in``, ``answer_out``) and ``errors``. What all dialects share in which Claude is
asked stands beside them: ``claude_traits``, ``claude_thinking``, ``cache_marks``, ``write_prompt``,
``read_turns``.
"""

from functools import partial

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.anthropic_messages.answer_in import MessagesDecoder, read_response
from polyvox.dialects.anthropic_messages.answer_out import MessagesEncoder, write_response
from polyvox.dialects.anthropic_messages.blocks_out import takes_url
from polyvox.dialects.anthropic_messages.errors import encode_error, read_error
from polyvox.dialects.anthropic_messages.request_in import read_request
from polyvox.dialects.anthropic_messages.request_out import COUNTED, RequestWriter
from polyvox.dialects.anthropic_messages.wire import NAME, Json
from polyvox.dialects.base import Route, Target, auth_headers
from polyvox.dialects.event_frames import event_frames
from polyvox.dialects.passing import JsonPassing, name_model
from polyvox.http import HttpRequest
from polyvox.request import Request

__all__ = ["DIALECT", "AnthropicMessages"]

_VERSION = "2023-06-01"


class _ListedModel(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    data: list[_ListedModel]


class _Count(msgspec.Struct):
    input_tokens: int


def _url(target: Target, path: str) -> str:
    base = target.base_url.rstrip("/")
    return base + path if base.endswith("/v1") else f"{base}/v1{path}"


def _headers(target: Target) -> dict[str, str]:
    return {"anthropic-version": _VERSION, **auth_headers(target)}


def _post(target: Target, path: str, body: Json) -> HttpRequest:
    headers = {"content-type": "application/json", **_headers(target)}
    return HttpRequest("POST", _url(target, path), headers, jsontext.encode(body))


def _empty(request: Request, target: Target) -> HttpRequest:
    headers = {"content-type": "application/json", **_headers(target)}
    return HttpRequest("POST", _url(target, "/messages"), headers)


class AnthropicMessages:
    """The codec; see ``polyvox.dialects.base.Dialect`` for what each method promises.

    Without a limit in the request, ``max_tokens`` is the most that the model can write, or 8,192 and
    room to think where that is unknown. Blocks that only Anthropic knows (its server's tools, search
    results) are empty ``Text`` blocks with the original in ``meta``, so that they can be sent back.

    >>> from polyvox.messages import user
    >>> target = Target(provider="anthropic", model="claude-opus-5", base_url="https://a.example")
    >>> DIALECT.encode_request(Request(messages=[user("Hi")]), target)
    HttpRequest(POST https://a.example/v1/messages, 103 bytes)
    """

    name = NAME
    base_path = ""
    routes = (
        Route("answer", "POST", "/v1/messages"),
        Route("models", "GET", "/v1/models"),
        Route("count", "POST", "/v1/messages/count_tokens"),
    )
    embeddings = None
    whole = (b"{", b"[")
    passing = JsonPassing(_empty, name_model, ("anthropic-version", "anthropic-beta"))

    # Client half

    takes_url = staticmethod(takes_url)
    decode_response = staticmethod(read_response)
    frame_reader = staticmethod(partial(event_frames, name))
    stream_decoder = MessagesDecoder
    decode_error = staticmethod(read_error)

    def encode_request(self, request: Request, target: Target) -> HttpRequest:
        """The request for ``/v1/messages``. Raises ``BadRequestError`` for a file it can't carry."""
        writer = RequestWriter(request, target)
        http = _post(target, "/messages", writer.body())
        http.dropped = tuple(writer.notes)
        return http

    def models_request(self, target: Target) -> HttpRequest | None:
        """A request for the list of models, or None if the provider has none."""
        path = target.quirks.models_path
        return (
            HttpRequest("GET", _url(target, f"{path}?limit=1000"), _headers(target))
            if path
            else None
        )

    def decode_models(self, body: bytes) -> list[str]:
        """The names in such a list. Raises ``ProtocolError`` when it is none."""
        return [model.id for model in read_answer(body, _ModelList).data]

    def count_request(self, request: Request, target: Target) -> HttpRequest | None:
        """A request that counts the prompt's tokens, or None if the provider can't."""
        if not target.quirks.count_tokens:
            return None
        body = RequestWriter(request, target).body()
        counted = {name: body[name] for name in COUNTED if name in body}
        return _post(target, "/messages/count_tokens", counted)

    def decode_count(self, body: bytes) -> int:
        """The number in its answer. Raises ``ProtocolError`` when there is none."""
        return read_answer(body, _Count).input_tokens

    # Server half

    decode_request = staticmethod(read_request)
    encode_response = staticmethod(write_response)
    stream_encoder = MessagesEncoder
    encode_error = staticmethod(encode_error)

    def encode_models(self, names: list[str]) -> bytes:
        """The list of models that a server offers; an unknown date of release is the epoch."""
        models = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "1970-01-01T00:00:00Z",
                "lifecycle": "active",
            }
            for name in names
        ]
        first, last = (names[0], names[-1]) if names else (None, None)
        listed = {"data": models, "has_more": False, "first_id": first, "last_id": last}
        return jsontext.encode(listed)

    def encode_count(self, tokens: int) -> bytes | None:
        """The answer to a token count."""
        return jsontext.encode({"input_tokens": tokens})


DIALECT = AnthropicMessages()
