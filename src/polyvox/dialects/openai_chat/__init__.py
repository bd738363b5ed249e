"""OpenAI's chat completions, and what its many likes made of them.

    wire, request_wire               what is read of answers and of requests
    write_request, write_messages    requests, written (client)
    reading, answer, stream          answers, whole and streamed, both ways
    plain                            whole answers as they mostly are, read at once
    read_request                     requests, read (server)
    passing                          what is passed on as it came
    finish, usage, effort, reasoning, errors

Laws, tested: what is written is read back the same, as far as the format can say it.
"""

from functools import partial

from polyvox.dialects.base import Dialect, Route
from polyvox.dialects.counting import NoCounting
from polyvox.dialects.event_frames import event_frames
from polyvox.dialects.openai_chat.answer import decode_response, encode_response
from polyvox.dialects.openai_chat.passing import PASSING
from polyvox.dialects.openai_chat.read_request import decode_request
from polyvox.dialects.openai_chat.stream import ChatStreamDecoder, ChatStreamEncoder
from polyvox.dialects.openai_chat.write_messages import takes_url
from polyvox.dialects.openai_chat.write_request import encode_request
from polyvox.dialects.openai_embeddings import ROUTE_PATH, OpenAIEmbeddings
from polyvox.dialects.openai_errors import decode_error, encode_error
from polyvox.dialects.openai_models import decode_models, encode_models, models_request

__all__ = ["DIALECT", "OpenAIChat"]


class OpenAIChat(NoCounting):
    """The codec; see ``polyvox.dialects.Dialect`` for what each method promises."""

    name = "openai-chat"
    base_path = "/v1"
    routes = (
        Route("answer", "POST", "/chat/completions"),
        Route("models", "GET", "/models"),
        Route("embed", "POST", ROUTE_PATH),
    )
    embeddings = OpenAIEmbeddings(name)
    whole = (b"{", b"[")
    passing = PASSING

    # Client half
    takes_url = staticmethod(takes_url)
    encode_request = staticmethod(encode_request)
    decode_response = staticmethod(decode_response)
    frame_reader = staticmethod(partial(event_frames, name))
    stream_decoder = ChatStreamDecoder
    decode_error = staticmethod(decode_error)
    models_request = staticmethod(models_request)
    decode_models = staticmethod(decode_models)

    # Server half
    decode_request = staticmethod(decode_request)
    encode_response = staticmethod(encode_response)
    stream_encoder = ChatStreamEncoder
    encode_error = staticmethod(encode_error)
    encode_models = staticmethod(encode_models)


DIALECT: Dialect = OpenAIChat()
