"""A provider's model: its dialect's client half over a transport."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from polyvox.assembly import unfold
from polyvox.dialects import Dialect, FrameReader, ServerSentEvent, StreamDecoder, Target
from polyvox.errors import (
    NetworkError,
    NotFoundError,
    PolyvoxError,
    ProtocolError,
    RequestTimeoutError,
)
from polyvox.events import Done, Event, Failed, Start, Warned
from polyvox.http import HttpRequest, HttpResponse, Timeouts, Transport
from polyvox.model import Call
from polyvox.providers.schema_detour import Detour, way_for
from polyvox.providers.settlement import Pricing, Settlement, unknown_price
from polyvox.request import Request
from polyvox.transport import exchange, read_all

MAX_ERROR_BODY = 1 << 20
MAX_WHOLE_BODY = 256 << 20
DRAIN_SECONDS = 0.1
EVENT_STREAM = "text/event-stream"

_ENDINGS = (Done, Failed)


class ProviderModel:
    """Ask one model of one provider: encode, send, decode, price; a failure is the last event.

    Args:
        dialect: the wire format the provider speaks.
        target: the provider, the model, the key, and how they differ from the common case.
        transport: who moves the bytes.
        timeouts: how long to wait for what, in seconds.
        pricing: what a usage costs.
    """

    def __init__(
        self,
        dialect: Dialect,
        target: Target,
        transport: Transport,
        *,
        timeouts: Timeouts | None = None,
        pricing: Pricing = unknown_price,
    ) -> None:
        self.dialect = dialect
        self.target = target
        self.transport = transport
        self.timeouts = timeouts or Timeouts()
        self.pricing = pricing

    @property
    def name(self) -> str:
        """The name it is asked by: "provider/model"."""
        return self.target.producer

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The provider's answer as events."""
        way = way_for(request, self.target.quirks, self.dialect.name)
        if way == "native":
            return self._stream(request, call)
        detour = Detour(request, way, self.dialect.name)
        return detour.read(self._stream(detour.request, call), call)

    async def _stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        decoder = self.dialect.stream_decoder(self.target)
        settlement = Settlement(request, self.pricing)
        try:
            http = self.dialect.encode_request(request, self.target)
            settlement.asking(call)
            async with exchange(
                self.transport, http, timeouts=self.timeouts, call=call
            ) as response:
                settlement.heard(response)
                async with aclosing(self._read(response, decoder)) as events:
                    async for event in events:
                        if type(event) in _ENDINGS:
                            self._end(event, settlement)
                        yield event
                        if type(event) is Start:
                            for field, text in http.dropped:
                                yield Warned(text, field)
        except PolyvoxError as error:
            for event in decoder.fail(error):
                self._end(event, settlement)
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            if not decoder.ended:
                call.partial = settlement.cut_short(decoder.message())
            raise

    async def _read(self, response: HttpResponse, decoder: StreamDecoder) -> AsyncGenerator[Event]:
        if response.status >= 300:
            raise await self._refusal(response)
        async with aclosing(response.body) as body:
            head = await _first_bytes(body)
            if head[:1] == b"<":
                raise _web_page(head)
            frames = self.dialect.frame_reader()
            if head[:1] in (b"{", b"[") and frames.media_type == EVENT_STREAM:
                # Asked to stream, the provider answered whole. In a stream of lines that is one line.
                answer = head + await read_all(body, MAX_WHOLE_BODY)
                for event in unfold(self.dialect.decode_response(answer, self.target)):
                    yield event
                return
            reading = _Reading(frames, decoder)
            for event in reading.feed(head):
                yield event
            async for chunk in body:
                for event in reading.feed(chunk):
                    yield event
                if decoder.ended:
                    await _drain(body)
                    return
            for event in reading.close():
                yield event

    def _end(self, event: Event, settlement: Settlement) -> None:
        """Complete the stream's last event; other events are left alone."""
        settlement.settle(event)
        if isinstance(event, Failed):
            self._keep_secret(event.error)
            event.message.error = event.error.text

    async def _refusal(self, response: HttpResponse) -> PolyvoxError:
        """The error of an answer with a bad status, which says enough when its body never ends."""
        body = bytearray()
        with suppress(NetworkError, RequestTimeoutError):
            async for piece in response.body:
                body += piece
                if len(body) >= MAX_ERROR_BODY:
                    break
        return self.dialect.decode_error(response.status, response.headers, bytes(body))

    def _keep_secret(self, error: PolyvoxError) -> None:
        """Some providers repeat the key they refuse; through us it must not get into a log."""
        if self.target.key is not None:
            error.text = self.target.key.masked_in(error.text)
            error.args = (error.text,)

    async def models(self) -> list[str]:
        """The names of the models that the provider lists. Raises ``PolyvoxError``."""
        request = self.dialect.models_request(self.target)
        if request is None:
            raise NotFoundError(f"{self.target.provider} has no list of its models")
        return self.dialect.decode_models(await self._fetch(request))

    async def count_tokens(self, request: Request) -> int | None:
        """The prompt's tokens as the provider counts them; None if it has no such endpoint.

        Raises ``PolyvoxError``.
        """
        http = self.dialect.count_request(request, self.target)
        return None if http is None else self.dialect.decode_count(await self._fetch(http))

    async def _fetch(self, http: HttpRequest) -> bytes:
        try:
            async with exchange(
                self.transport, http, timeouts=self.timeouts, call=Call()
            ) as response:
                if response.status >= 300:
                    raise await self._refusal(response)
                return await read_all(response.body, MAX_WHOLE_BODY)
        except PolyvoxError as error:
            self._keep_secret(error)
            error.provider, error.model = (
                error.provider or self.target.provider,
                error.model or self.target.model,
            )
            raise


class _Reading:
    """Bytes of a body in, events out: the frames' reader and the dialect's decoder as one."""

    def __init__(self, frames: FrameReader, decoder: StreamDecoder) -> None:
        self._frames = frames
        self._decoder = decoder

    def feed(self, chunk: bytes) -> list[Event]:
        return self._decode(self._frames.feed(chunk))

    def close(self) -> list[Event]:
        return self._decode(self._frames.close()) + self._decoder.close()

    def _decode(self, frames: list[ServerSentEvent]) -> list[Event]:
        if len(frames) == 1:  # nearly always
            return self._decoder.feed(frames[0])
        return [event for frame in frames for event in self._decoder.feed(frame)]


def _web_page(head: bytes) -> ProtocolError:
    return ProtocolError(
        f"the answer is a web page, not a model's: {head[:80].decode('utf-8', 'replace')!r}",
        hint="Check the base URL, and whether a proxy or a login page stands in between.",
    )


async def _first_bytes(body: AsyncGenerator[bytes]) -> bytes:
    """The body up to and including its first piece that isn't blank; no leading white space."""
    async for chunk in body:
        if head := chunk.lstrip():
            return head
    return b""


async def _drain(body: AsyncGenerator[bytes]) -> None:
    """Read what follows the stream's end, so that the connection can be used again; but not for long."""
    with suppress(PolyvoxError, TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in body:
                pass
