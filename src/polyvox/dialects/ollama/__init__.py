"""The dialect "ollama": Ollama's own API, with what its OpenAI-compatible one leaves out.

From the pages "Generate a chat message", "Generate a response", "List models", "Streaming",
"Thinking", "Tool calling", "Structured Outputs", "Usage" and "Errors" of Ollama's documentation.

    wire, request_wire               what is read of answers and of requests
    endpoint                         /api/chat or /api/generate
    write_request, write_messages    requests, written (client)
    answer_in, answer_out            answers, whole and streamed, both ways
    read_request                     requests, read (server)
    errors, models, embeddings
"""

from polyvox.dialects.base import Dialect, Route
from polyvox.dialects.counting import NoCounting
from polyvox.dialects.ndjson import NDJSONReader
from polyvox.dialects.ollama.answer_in import OllamaDecoder, decode_response
from polyvox.dialects.ollama.answer_out import OllamaEncoder, encode_response
from polyvox.dialects.ollama.embeddings import EMBED, OllamaEmbeddings
from polyvox.dialects.ollama.endpoint import CHAT, GENERATE
from polyvox.dialects.ollama.errors import decode_error, encode_error
from polyvox.dialects.ollama.models import TAGS, decode_models, encode_models, models_request
from polyvox.dialects.ollama.read_request import decode_request
from polyvox.dialects.ollama.write_messages import takes_url
from polyvox.dialects.ollama.write_request import encode_request

__all__ = ["DIALECT", "Ollama"]


class Ollama(NoCounting):
    """The codec; see ``polyvox.dialects.Dialect`` for what each method promises."""

    name = "ollama"
    base_path = ""
    routes = (
        Route("answer", "POST", CHAT),
        Route("answer", "POST", GENERATE),
        Route("models", "GET", TAGS),
        Route("embed", "POST", EMBED),
    )
    embeddings = OllamaEmbeddings()
    whole = ()  # it is a stream of one line
    passing = None

    # Client half
    takes_url = staticmethod(takes_url)
    encode_request = staticmethod(encode_request)
    decode_response = staticmethod(decode_response)
    frame_reader = NDJSONReader
    stream_decoder = OllamaDecoder
    decode_error = staticmethod(decode_error)
    models_request = staticmethod(models_request)
    decode_models = staticmethod(decode_models)

    # Server half
    decode_request = staticmethod(decode_request)
    encode_response = staticmethod(encode_response)
    stream_encoder = OllamaEncoder
    encode_error = staticmethod(encode_error)
    encode_models = staticmethod(encode_models)


DIALECT: Dialect = Ollama()
