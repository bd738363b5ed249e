"""The dialect "bedrock-converse": Amazon Bedrock's Converse API, for all models that it serves.

From the pages "Converse", "ConverseStream", "CountTokens" and "ListFoundationModels" of the Amazon
Bedrock API reference. The model stands in the address, and so does whether the answer is streamed; a
streamed one comes in Amazon's own binary framing (``polyvox.dialects.event_stream``). Who signs is
not the dialect's business.

One module each for the words and shapes (``wire``), how much to think (``reasoning``), blocks and
requests both ways (``blocks_out``, ``blocks_in``, ``prompt_out``, ``request_out``, ``request_in``),
answers both ways (``answer_in``, ``answer_out``) and ``errors``. What it shares with Anthropic's own
format stands beside them: ``write_prompt``, ``read_turns``.
"""

import re
from urllib.parse import quote

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.base import ANYWHERE, Place, Route, Target, auth_headers
from polyvox.dialects.bedrock_converse.answer_in import ConverseDecoder, read_response
from polyvox.dialects.bedrock_converse.answer_out import ConverseEncoder, write_response
from polyvox.dialects.bedrock_converse.blocks_out import takes_url
from polyvox.dialects.bedrock_converse.errors import encode_error, read_error
from polyvox.dialects.bedrock_converse.request_in import read_counted, read_request
from polyvox.dialects.bedrock_converse.request_out import COUNTED, RequestWriter
from polyvox.dialects.bedrock_converse.wire import NAME, Json
from polyvox.dialects.event_stream import EventStreamReader
from polyvox.http import HttpRequest
from polyvox.request import Request

__all__ = ["DIALECT", "BedrockConverse"]

_PROFILE = re.compile(r"^[a-z-]+\.(?=[a-z0-9]+\.)")
_MODELS = "/foundation-models"
_COUNT = "/model/{model}/count-tokens"


class _ListedModel(msgspec.Struct, rename="camel"):
    model_id: str


class _ModelList(msgspec.Struct, rename="camel"):
    model_summaries: list[_ListedModel]


class _Count(msgspec.Struct, rename="camel"):
    input_tokens: int


class BedrockConverse:
    """The codec; see ``polyvox.dialects.base.Dialect`` for what each method promises.

    Blocks that only Bedrock knows (the results of tools that it runs) are empty ``Text`` blocks with
    the original in ``meta``, so that they can be sent back.

    >>> from polyvox.messages import user
    >>> target = Target(
    ...     provider="bedrock", model="amazon.nova-pro-v1:0", base_url="https://b.example"
    ... )
    >>> DIALECT.encode_request(Request(messages=[user("Hi")]), target)
    HttpRequest(POST https://b.example/model/amazon.nova-pro-v1%3A0/converse-stream, 56 bytes)
    """

    name = NAME
    base_path = ""
    routes = (
        Route("answer", "POST", "/model/{model}/converse", stream=False),
        Route("answer", "POST", "/model/{model}/converse-stream", stream=True),
        Route("models", "GET", _MODELS),
        Route("count", "POST", _COUNT),
    )
    embeddings = None
    whole = (b"{",)
    passing = None

    # Client half

    takes_url = staticmethod(takes_url)
    decode_response = staticmethod(read_response)
    frame_reader = EventStreamReader
    stream_decoder = ConverseDecoder
    decode_error = staticmethod(read_error)

    def encode_request(self, request: Request, target: Target) -> HttpRequest:
        """The request for Converse. Raises ``BadRequestError`` for a file it can't carry."""
        writer = RequestWriter(request, target)
        http = _post(target, "converse-stream" if request.stream else "converse", writer.body())
        http.dropped = tuple(writer.notes)
        return http

    def models_request(self, target: Target) -> HttpRequest | None:
        """A request for the list of models, or None if the provider has none.

        It is another service's, whose host differs in its first word.
        """
        if not target.quirks.models_path:
            return None
        base = target.base_url.rstrip("/").replace("//bedrock-runtime.", "//bedrock.", 1)
        url = f"{base}{_MODELS}?byOutputModality=TEXT"
        return HttpRequest("GET", url, auth_headers(target))

    def decode_models(self, body: bytes) -> list[str]:
        """The names in such a list. Raises ``ProtocolError`` when it is none."""
        return [model.model_id for model in read_answer(body, _ModelList).model_summaries]

    def count_request(self, request: Request, target: Target) -> HttpRequest | None:
        """A request that counts the prompt's tokens, or None if the provider can't."""
        if not target.quirks.count_tokens:
            return None
        body = RequestWriter(request, target).body()
        counted = {name: body[name] for name in COUNTED if name in body}
        # Models are counted for, not the inference profiles ("us.", "global.") before their names.
        target = msgspec.structs.replace(target, model=_PROFILE.sub("", target.model))
        return _post(target, "count-tokens", {"input": {"converse": counted}})

    def decode_count(self, body: bytes) -> int:
        """The number in its answer. Raises ``ProtocolError`` when there is none."""
        return read_answer(body, _Count).input_tokens

    # Server half

    encode_response = staticmethod(write_response)
    stream_encoder = ConverseEncoder
    encode_error = staticmethod(encode_error)

    def decode_request(self, body: bytes, place: Place = ANYWHERE) -> Request:
        """The request that a client sent. Raises ``BadRequestError`` naming the field that is wrong."""
        if place.path == _COUNT:
            return read_counted(body, place.model)
        return read_request(body, place.model, bool(place.stream))

    def encode_models(self, names: list[str]) -> bytes:
        """The list of models that a server offers."""
        models = [{"modelId": name, "modelName": name, "modelArn": name} for name in names]
        return jsontext.encode({"modelSummaries": models})

    def encode_count(self, tokens: int) -> bytes | None:
        """The answer to a token count."""
        return jsontext.encode({"inputTokens": tokens})


def _post(target: Target, operation: str, body: Json) -> HttpRequest:
    # A model's name may be an ARN, with slashes and colons; the makers' own clients encode both.
    url = f"{target.base_url.rstrip('/')}/model/{quote(target.model, safe='')}/{operation}"
    headers = {"content-type": "application/json", **auth_headers(target)}
    return HttpRequest("POST", url, headers, jsontext.encode(body))


DIALECT = BedrockConverse()
