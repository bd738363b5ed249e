"""A provider's model: its dialect's client half over a transport."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from polyvox.assembly import unfold
from polyvox.dialects import Dialect, FrameReader, Quirks, ServerSentEvent, StreamDecoder, Target
from polyvox.dialects.base import PassedFrames
from polyvox.errors import (
    NetworkError,
    NotFoundError,
    PolyvoxError,
    ProtocolError,
    RequestTimeoutError,
)
from polyvox.events import Done, Event, Failed, Passed, Start, Warned
from polyvox.handover import claimed
from polyvox.http import HttpRequest, HttpResponse, Signer, Timeouts, Transport
from polyvox.model import Call
from polyvox.providers.fetching import UrlFetcher
from polyvox.providers.schema_detour import Detour, way_for
from polyvox.providers.settlement import Pricing, Settlement, unknown_price
from polyvox.quote import priced, worst_usage
from polyvox.request import Request
from polyvox.transport import exchange, read_all
from polyvox.transport.deadlines import Watch
from polyvox.usage import Usage
from polyvox.verbatim import Verbatim

MAX_ERROR_BODY = 1 << 20
MAX_WHOLE_BODY = 256 << 20
REFUSAL_SECONDS = 5.0
DRAIN_SECONDS = 0.1

_ENDINGS = (Done, Failed)
_NO_QUIRKS = Quirks()


class ProviderModel:
    """Ask one model of one provider: encode, send, decode, price; a failure is the last event.

    Args:
        dialect: the wire format the provider speaks.
        target: the provider, the model, the key, and how they differ from the common case.
        transport: who moves the bytes.
        timeouts: how long to wait for what, in seconds.
        pricing: what a usage costs.
        fetcher: who fetches the URLs that the provider does not; without one they are refused.
        signer: who signs each request, where the provider wants that instead of a key.
    """

    def __init__(
        self,
        dialect: Dialect,
        target: Target,
        transport: Transport,
        *,
        timeouts: Timeouts | None = None,
        pricing: Pricing = unknown_price,
        fetcher: UrlFetcher | None = None,
        signer: Signer | None = None,
    ) -> None:
        self.dialect = dialect
        self.target = target
        self.transport = transport
        self.timeouts = timeouts or Timeouts()
        self.pricing = pricing
        self.fetcher = fetcher
        self.signer = signer

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

    def quote(self, request: Request) -> Usage:
        """The most that answering may use, with its cost."""
        return priced(worst_usage(request, self.target.max_output_tokens), self.pricing)

    async def _stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        decoder = self.dialect.stream_decoder(self.target)
        settlement = Settlement(request, self.pricing, self.target, call)
        try:
            request = await self._inlined(request, call)
            http, passed = self._written(request, call)
            http = await self._signed(http, call)
            settlement.asking()
            async with exchange(
                self.transport, http, timeouts=self.timeouts, call=call
            ) as response:
                settlement.heard(response)
                reading = self._read(response, decoder, settlement, passed)
                async with aclosing(reading) as batches:
                    async for events in batches:
                        if type(events[0]) is Start:
                            dropped = [Warned(text, field) for field, text in http.dropped]
                            events = [events[0], *dropped, *events[1:]]
                        last = type(events[-1]) in _ENDINGS
                        for event in events[:-1] if last else events:
                            yield event
                        if last:
                            self._end(events[-1], settlement)
                            yield events[-1]
        except PolyvoxError as error:
            for event in decoder.fail(error):
                self._end(event, settlement)
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            settlement.cut_short(decoder.message())
            raise

    def _written(self, request: Request, call: Call) -> "tuple[HttpRequest, _Passed | None]":
        """The request for the provider, and what passes its answer on, if that may go as it comes."""
        verbatim, passing = call.verbatim, self.dialect.passing
        if verbatim is None or passing is None:
            return self._told(request), None
        quirks = self.target.quirks
        verbatim.used = (
            verbatim.request is request
            and verbatim.dialect == self.dialect.name
            and (quirks.passes or quirks == _NO_QUIRKS)
        )
        if not verbatim.used:
            return self._told(request), None
        passed = _Passed(verbatim, passing.frames(request))
        return passing.request(verbatim, self.target), passed

    def _told(self, request: Request) -> HttpRequest:
        return self.dialect.encode_request(claimed(request, self.dialect.name), self.target)

    async def _inlined(self, request: Request, call: Call) -> Request:
        """The request with bytes for the URLs that the provider does not fetch itself."""
        if self.fetcher is None:
            return request
        return await self.fetcher.inlined(request, self.dialect, self.target, call)

    async def _signed(self, http: HttpRequest, call: Call) -> HttpRequest:
        """The request as it is sent. Looking for credentials is watched, but is no part of asking."""
        if self.signer is None:
            return http
        watch = Watch(self.timeouts, call)
        try:
            with watch:
                return await self.signer.sign(http)
        finally:
            watch.close()

    async def _read(
        self,
        response: HttpResponse,
        decoder: StreamDecoder,
        settlement: Settlement,
        passed: "_Passed | None",
    ) -> AsyncGenerator[list[Event]]:
        """The events in batches, none of them empty: what came at once needs no step each."""
        if response.status >= 300:
            raise await self._refusal(response)
        async with aclosing(response.body) as body:
            head = await _first_bytes(body)
            settlement.first_byte()
            if head[:1] == b"<":
                raise _web_page(head)
            frames = self.dialect.frame_reader()
            if head.startswith(frames.whole):  # also when streaming was asked for
                answer = head + await read_all(body, MAX_WHOLE_BODY)
                events = list(unfold(self.dialect.decode_response(answer, self.target)))
                if passed is not None and passed.whole():
                    events = _with(events, answer)
                yield events
                return
            reading = (
                _Reading(frames, decoder)
                if passed is None
                else _PassingOn(frames, decoder, passed.frames)
            )
            if events := reading.feed(head):
                yield events
            async for chunk in body:
                if events := reading.feed(chunk):
                    yield events
                if decoder.ended:
                    await _drain(body)
                    return
            if events := reading.close():
                yield events

    def _end(self, event: Event, settlement: Settlement) -> None:
        """Complete the stream's last event; other events are left alone."""
        settlement.settle(event)
        if isinstance(event, Failed):
            self._keep_secret(event.error)
            event.message.error = event.error.text

    async def _refusal(self, response: HttpResponse) -> PolyvoxError:
        """The error of an answer with a bad status, which says enough when its body never ends."""
        body = bytearray()
        with suppress(NetworkError, RequestTimeoutError, TimeoutError):
            async with asyncio.timeout(REFUSAL_SECONDS):
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
        return self.dialect.decode_models(await self.fetch(request))

    async def count_tokens(self, request: Request) -> int | None:
        """The prompt's tokens as the provider counts them; None if it has no such endpoint.

        Raises ``PolyvoxError``.
        """
        request = await self._inlined(request, Call())
        http = self.dialect.count_request(request, self.target)
        return None if http is None else self.dialect.decode_count(await self.fetch(http))

    async def fetch(
        self,
        http: HttpRequest,
        call: Call | None = None,
        heard: Callable[[HttpResponse], None] = lambda response: None,
    ) -> bytes:
        """The whole body of the answer, whose head is given to ``heard``. Raises ``PolyvoxError``."""
        call = call or Call()
        try:
            http = await self._signed(http, call)
            async with exchange(
                self.transport, http, timeouts=self.timeouts, call=call
            ) as response:
                heard(response)
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
        frames = self._frames.feed(chunk)
        if len(frames) == 1:  # nearly always
            return self._decoder.feed(frames[0])
        return self._decode(frames)

    def close(self) -> list[Event]:
        return self._decode(self._frames.close()) + self._decoder.close()

    def _decode(self, frames: list[ServerSentEvent]) -> list[Event]:
        return [event for frame in frames for event in self._decoder.feed(frame)]


class _Passed:
    """A call whose answer goes on as it comes."""

    def __init__(self, verbatim: Verbatim, frames: PassedFrames) -> None:
        self.frames = frames
        self._verbatim = verbatim

    def whole(self) -> bool:
        """An answer came whole: whether the caller, who may have asked for a stream, can have it so."""
        self._verbatim.used = not self._verbatim.request.stream
        return self._verbatim.used


class _PassingOn(_Reading):
    """The same, with the bytes themselves behind the events that were read from them."""

    def __init__(self, frames: FrameReader, decoder: StreamDecoder, passed: PassedFrames) -> None:
        super().__init__(frames, decoder)
        self._passed = passed
        self._begun = False
        self._early = b""

    def feed(self, chunk: bytes) -> list[Event]:
        events = super().feed(chunk)
        data = self._passed.feed(chunk)
        if events and type(events[-1]) in _ENDINGS:
            data += self._passed.close()
        return self._both(events, data)

    def close(self) -> list[Event]:
        ended = self._decode(self._frames.close())
        data = self._passed.close()
        if ended and type(ended[-1]) is Done:
            return self._both(ended, data)
        return [*ended, *self._decoder.close()]  # a frame that broke off is not told

    def _both(self, events: list[Event], data: bytes) -> list[Event]:
        if not self._begun:  # a stream begins with its start
            if not events:
                self._early += data
                return events
            data, self._begun = self._early + data, True
        return _with(events, data) if data else events


def _with(events: list[Event], data: bytes) -> list[Event]:
    """The events, and their bytes before the last one if that is the end."""
    if events and type(events[-1]) in _ENDINGS:
        return [*events[:-1], Passed(data, ends=True), events[-1]]
    return [*events, Passed(data)]


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
