"""Answers and refusals on their way to a caller, in the caller's dialect."""

from collections.abc import AsyncGenerator

from polyvox.dialects import Dialect
from polyvox.errors import PolyvoxError, ServerError
from polyvox.events import Done, Event, Failed, Passed
from polyvox.gateway.asking.asking import Asked
from polyvox.gateway.asking.refusals import as_told, status_of
from polyvox.gateway.asking.signatures import sealed
from polyvox.gateway.web.incoming import Incoming
from polyvox.usage import Usage

__all__ = ["JSON", "Told", "cost_header", "refuse"]

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
        passed = [event.data for event in begun if type(event) is Passed]
        last = begun[-1] if begun else None
        async for event in rest:
            last = event
            if type(event) is Passed:
                passed.append(event.data)
        if isinstance(last, Failed):
            raise last.error
        if not isinstance(last, Done):
            raise ServerError("the model ended its stream without an ending")
        verbatim = self._asked.verbatim
        if verbatim is not None and verbatim.used:
            body = b"".join(passed)
        else:
            message = told.message if isinstance(told := sealed(last), Done) else last.message
            body = self._dialect.encode_response(message, self._asked.request)
        await self._incoming.answer(200, body, {**JSON, **cost_header(last.message.usage)})

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


async def refuse(incoming: Incoming, dialect: Dialect, error: PolyvoxError) -> None:
    """Tell the error in the caller's dialect; of a stream that has begun it was told already."""
    if incoming.status:
        return
    error = as_told(error)
    written, body = dialect.encode_error(error)
    headers = dict(JSON)
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, -int(-error.retry_after // 1)))
    status = status_of(error, written)
    if status == 413:
        headers["connection"] = "close"  # the rest of the body is not wanted
    await incoming.answer(status, body, headers)


def cost_header(usage: Usage) -> dict[str, str]:
    """What the answer cost, where that is known, in US dollars."""
    cost = usage.cost
    return {} if cost.status == "unknown" else {"x-polyvox-cost": str(cost).lstrip("$")}
