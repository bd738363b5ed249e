"""OpenAI's chat completions, and what its many likes made of them.

    wire, request_wire               what is read of answers and of requests
    write_request, write_messages    requests, written (client)
    reading, answer, stream          answers, whole and streamed, both ways
    read_request                     requests, read (server)
    finish, usage, effort, reasoning, errors, models

Laws, tested: what is written is read back the same, as far as the format can say it.
"""

from collections.abc import Iterable, Mapping

from polyvox.dialects.base import Dialect, Target
from polyvox.dialects.openai_chat.answer import decode_response, encode_response
from polyvox.dialects.openai_chat.errors import decode_error, encode_error
from polyvox.dialects.openai_chat.models import decode_models, encode_models, models_request
from polyvox.dialects.openai_chat.read_request import decode_request
from polyvox.dialects.openai_chat.stream import ChatStreamDecoder, ChatStreamEncoder
from polyvox.dialects.openai_chat.write_request import dropped, encode_request
from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.http import HttpRequest
from polyvox.messages import AssistantMessage
from polyvox.request import Request

__all__ = ["DIALECT", "OpenAIChat"]


class OpenAIChat:
    """The dialect "openai-chat"; see ``polyvox.dialects.Dialect`` for each method."""

    name = "openai-chat"
    path = "/v1/chat/completions"

    def encode_request(self, request: Request, target: Target) -> HttpRequest:
        """The request as the provider wants it."""
        return encode_request(request, target)

    def dropped(self, request: Request, target: Target) -> Iterable[tuple[str, str]]:
        """What of the request the target can't be told."""
        return dropped(request, target)

    def decode_response(self, body: bytes, target: Target) -> AssistantMessage:
        """A whole answer."""
        return decode_response(body, target)

    def stream_decoder(self, target: Target) -> ChatStreamDecoder:
        """A reader for one streamed answer."""
        return ChatStreamDecoder(target)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> PolyvoxError:
        """The error that an answer with this status means."""
        return decode_error(status, headers, body)

    def models_request(self, target: Target) -> HttpRequest | None:
        """A request for the list of models."""
        return models_request(target)

    def decode_models(self, body: bytes) -> list[str]:
        """The names in such a list."""
        return decode_models(body)

    def count_request(self, request: Request, target: Target) -> HttpRequest | None:
        """None: the format has no way to count tokens."""
        return None

    def decode_count(self, body: bytes) -> int:
        """Nothing to read; raises ``ProtocolError``."""
        raise ProtocolError("openai-chat has no way to count tokens")

    def decode_request(self, body: bytes) -> Request:
        """The request that a client sent."""
        return decode_request(body)

    def encode_response(self, message: AssistantMessage) -> bytes:
        """A whole answer."""
        return encode_response(message)

    def stream_encoder(self, request: Request) -> ChatStreamEncoder:
        """A writer for one streamed answer to this request."""
        return ChatStreamEncoder(request)

    def encode_error(self, error: PolyvoxError) -> tuple[int, bytes]:
        """Status and body of an error answer."""
        return encode_error(error)

    def encode_models(self, names: list[str]) -> bytes:
        """The list of models that a server offers."""
        return encode_models(names)

    def encode_count(self, tokens: int) -> bytes | None:
        """None: the format has no way to count tokens."""
        return None


DIALECT: Dialect = OpenAIChat()
