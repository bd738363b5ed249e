"""OpenAI's Responses API: a conversation as a list of items.

    wire                             what is read of answers
    items                            items and blocks, both ways
    write_request, write_input       requests, written (client)
    read_request, read_input         requests, read (server)
    reading, stream_in, stream_out   streamed answers, read and written
    answer, usage                    whole answers, both ways

Laws, tested: what is written is read back the same, as far as the format can say it.
"""

from functools import partial

import msgspec

from polyvox import jsontext
from polyvox.dialects.answers import read_answer
from polyvox.dialects.base import Dialect, Route
from polyvox.dialects.event_frames import event_frames
from polyvox.dialects.openai_embeddings import ROUTE_PATH, OpenAIEmbeddings
from polyvox.dialects.openai_errors import decode_error, encode_error
from polyvox.dialects.openai_models import decode_models, encode_models, models_request
from polyvox.dialects.openai_responses.answer import decode_response, encode_response
from polyvox.dialects.openai_responses.read_request import decode_request
from polyvox.dialects.openai_responses.stream_in import ResponsesDecoder
from polyvox.dialects.openai_responses.stream_out import ResponsesEncoder
from polyvox.dialects.openai_responses.write_input import takes_url
from polyvox.dialects.openai_responses.write_request import (
    count_request,
    empty_request,
    encode_request,
)
from polyvox.dialects.passing import JsonPassing, name_model

__all__ = ["DIALECT", "OpenAIResponses"]


class _Count(msgspec.Struct):
    """The answer to a token count."""

    input_tokens: int


class OpenAIResponses:
    """The codec; see ``polyvox.dialects.Dialect`` for what each method promises."""

    name = "openai-responses"
    base_path = "/v1"
    routes = (
        Route("answer", "POST", "/responses"),
        Route("count", "POST", "/responses/input_tokens"),
        Route("models", "GET", "/models"),
        Route("embed", "POST", ROUTE_PATH),
    )
    embeddings = OpenAIEmbeddings(name)
    whole = (b"{", b"[")
    passing = JsonPassing(empty_request, name_model)

    # Client half
    takes_url = staticmethod(takes_url)
    encode_request = staticmethod(encode_request)
    decode_response = staticmethod(decode_response)
    frame_reader = staticmethod(partial(event_frames, name))
    stream_decoder = ResponsesDecoder
    decode_error = staticmethod(decode_error)
    models_request = staticmethod(models_request)
    decode_models = staticmethod(decode_models)
    count_request = staticmethod(count_request)

    def decode_count(self, body: bytes) -> int:
        """The number of tokens. Raises ``ProtocolError`` when the body tells none."""
        return read_answer(body, _Count, "this is no count of tokens").input_tokens

    # Server half
    decode_request = staticmethod(decode_request)
    encode_response = staticmethod(encode_response)
    stream_encoder = ResponsesEncoder
    encode_error = staticmethod(encode_error)
    encode_models = staticmethod(encode_models)

    def encode_count(self, tokens: int) -> bytes | None:
        """The answer to a token count."""
        return jsontext.encode({"object": "response.input_tokens", "input_tokens": tokens})


DIALECT: Dialect = OpenAIResponses()
