"""Answers and refusals on their way to a caller, in the caller's dialect."""

from collections.abc import AsyncGenerator

from polyvox.dialects import Dialect
from polyvox.errors import PolyvoxError, ServerError
from polyvox.events import Done, Event, Failed, Passed
from polyvox.gateway.asking.asking import Asked
from polyvox.gateway.asking.refusals import refusal
from polyvox.gateway.asking.signatures import sealed, sealed_message
from polyvox.gateway.web.incoming import Incoming
from polyvox.usage import Usage

__all__ = ["JSON", "Told", "cost_header", "refuse", "whole_body"]

JSON = {"content-type": "application/json"}


class Told:
    """One answer on its way to the caller."""

    def __init__(self, incoming: Incoming, dialect: Dialect, asked: Asked) -> None:
        self._incoming = incoming
        self._dialect = dialect
        self._asked = asked
        self._encoder = dialect.stream_encoder(asked.request)
        self._ended = False

    async def stream(self, begun: list[Event], rest: AsyncGenerator[Event]) -> None:
        """As it comes."""
        media = self._dialect.frame_reader().media_type
        headers = {"content-type": f"{media}; charset=utf-8", "cache-control": "no-cache"}
        await self._incoming.begin(200, {**headers, "x-accel-buffering": "no"})
        data = b"".join(map(self._bytes, begun))
        if data:
            await self._incoming.piece(data)
        async for event in rest:
            data = self._bytes(event)
            if data:
                await self._incoming.piece(data)
        await self._incoming.end()

    async def whole(self, begun: list[Event], rest: AsyncGenerator[Event]) -> None:
        """When all of it is there."""
        body, usage = await whole_body(begun, rest, self._dialect, self._asked)
        await self._incoming.answer(200, body, {**JSON, **cost_header(usage)})

    def _bytes(self, event: Event) -> bytes:
        verbatim = self._asked.verbatim
        if verbatim is None or not verbatim.used:
            return self._encoder.encode(sealed(event))
        if type(event) is Passed:
            self._ended = self._ended or event.ends
            return event.data
        if type(event) is Failed and not self._ended:
            return self._encoder.encode(event)
        return b""


async def whole_body(
    begun: list[Event], rest: AsyncGenerator[Event], dialect: Dialect, asked: Asked
) -> tuple[bytes, Usage]:
    """The body of a whole answer, and what it used. Raises the error of an answer that failed."""
    last = begun[-1] if begun else None
    passed = [event.data for event in begun if type(event) is Passed]
    async for event in rest:
        last = event
        if type(event) is Passed:
            passed.append(event.data)
    if isinstance(last, Failed):
        raise last.error
    if not isinstance(last, Done):
        raise ServerError("the model ended its stream without an ending")
    if asked.verbatim is not None and asked.verbatim.used:
        return b"".join(passed), last.message.usage
    message = sealed_message(last.message)
    return dialect.encode_response(message, asked.request), message.usage


async def refuse(incoming: Incoming, dialect: Dialect, error: PolyvoxError) -> None:
    """Tell the error in the caller's dialect; of a stream that has begun it was told already."""
    if not incoming.status:
        await incoming.answer(*refusal(error, dialect.encode_error))


def cost_header(usage: Usage) -> dict[str, str]:
    """What the answer cost, where that is known, in US dollars."""
    cost = usage.cost
    return {} if cost.status == "unknown" else {"x-polyvox-cost": str(cost).lstrip("$")}
