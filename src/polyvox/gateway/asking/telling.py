"""Answers and refusals on their way to a caller, in the caller's dialect."""

from collections.abc import AsyncGenerator

from msgspec.structs import replace

from polyvox.dialects import Dialect
from polyvox.embedding import Embeddings
from polyvox.errors import PolyvoxError
from polyvox.events import Event, Failed, Passed, Start
from polyvox.gateway.asking.asking import Asked
from polyvox.gateway.asking.refusals import refusal
from polyvox.gateway.asking.signatures import sealed, sealed_message
from polyvox.gateway.web.door import FAILURE
from polyvox.gateway.web.incoming import Headers, Incoming
from polyvox.messages import AssistantMessage

__all__ = ["JSON", "Told", "answer_headers", "refuse", "whole_body"]

JSON = (b"content-type", b"application/json")


_UNBUFFERED = (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")


class Told:
    """One stream on its way to the caller."""

    def __init__(self, incoming: Incoming, dialect: Dialect, asked: Asked) -> None:
        self._incoming = incoming
        self._dialect = dialect
        self._asked = asked
        self._encoder = dialect.stream_encoder(asked.request)
        self._ended = False

    async def tell(self, begun: list[Event], rest: AsyncGenerator[Event]) -> None:
        """As it comes."""
        media = self._dialect.frame_reader().media_type
        content = b"content-type", f"{media}; charset=utf-8".encode()
        by = [_by(event.provider, event.model) for event in begun if type(event) is Start]
        await self._incoming.begin(200, [content, *_UNBUFFERED, *by])
        data = b"".join(map(self._bytes, begun))
        if data:
            await self._incoming.piece(data)
        async for event in rest:
            data = self._bytes(event)
            if data:
                await self._incoming.piece(data)
        await self._incoming.end()

    def _bytes(self, event: Event) -> bytes:
        if type(event) is Failed:
            event.error.request_id = self._incoming.id
            self._incoming.scope[FAILURE] = event.error
        verbatim = self._asked.verbatim
        if verbatim is None or not verbatim.used:
            return self._encoder.encode(sealed(event))
        if type(event) is Passed:
            self._ended = self._ended or event.ends
            return event.data
        if type(event) is Failed and not self._ended:
            return self._encoder.encode(event)
        return b""


def whole_body(message: AssistantMessage, dialect: Dialect, asked: Asked) -> bytes:
    """The body of a whole answer: as it came, or in the caller's dialect.

    The model has the name there by which it was asked for, as in a stream.
    """
    verbatim = asked.verbatim
    if verbatim is not None and verbatim.used:
        return verbatim.answer
    name = asked.request.model or message.response_model
    named = replace(sealed_message(message), response_model=name)
    return dialect.encode_response(named, asked.request)


async def refuse(incoming: Incoming, dialect: Dialect, error: PolyvoxError) -> None:
    """Tell the error in the caller's dialect; of a stream that has begun it was told already."""
    incoming.scope[FAILURE] = error
    if not incoming.status:
        error.request_id = incoming.id  # a provider's own is in the books
        status, body, headers = refusal(error, dialect.encode_error)
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await incoming.answer(status, body, pairs)


def answer_headers(answer: AssistantMessage | Embeddings) -> Headers:
    """The headers of a whole answer: who gave it, and, where that is known, what it cost in US dollars."""
    cost, by = answer.usage.cost, _by(answer.provider, answer.model)
    if cost.status == "unknown":
        return JSON, by
    return JSON, by, (b"x-polyvox-cost", str(cost).lstrip("$").encode())


def _by(provider: str, model: str) -> tuple[bytes, bytes]:
    # The name is the caller's: nothing in it may end the header.
    return b"x-polyvox-model", f"{provider}/{model}".encode("unicode_escape")
