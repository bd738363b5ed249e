"""A provider's model: its dialect's client half over a transport."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from polyvox.assembly import unfold
from polyvox.dialects import Dialect, Quirks, StreamDecoder, Target
from polyvox.dialects.kept import check_kept
from polyvox.errors import NetworkError, NotFoundError, PolyvoxError, RequestTimeoutError
from polyvox.events import Done, Event, Failed, Start, Warned
from polyvox.handover import claimed
from polyvox.http import HttpRequest, HttpResponse, Signer, Timeouts, Transport
from polyvox.messages import AssistantMessage
from polyvox.model import Call
from polyvox.providers.fetching import UrlFetcher
from polyvox.providers.reading import (
    ENDINGS,
    MAX_WHOLE_BODY,
    LastWord,
    PassedOn,
    PassingOn,
    Reading,
    Told,
    check_head,
    first_bytes,
    with_bytes,
)
from polyvox.providers.schema_detour import Detour, way_for
from polyvox.providers.settlement import Pricing, Settlement, unknown_price
from polyvox.quote import priced, worst_usage
from polyvox.request import Request
from polyvox.transport import exchange, read_all
from polyvox.transport.watch import Watch
from polyvox.usage import Usage
from polyvox.whole import drained

MAX_ERROR_BODY = 1 << 20
REFUSAL_SECONDS = 5.0
DRAIN_SECONDS = 0.1

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
        self._passes = target.quirks.passes or target.quirks == _NO_QUIRKS

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

    async def answer(self, request: Request, call: Call) -> AssistantMessage:
        """The provider's answer without events. Raises ``PolyvoxError``."""
        if way_for(request, self.target.quirks, self.dialect.name) != "native":
            return await drained(self, request, call)
        settlement = Settlement(request, self.pricing, self.target, call)
        reading = LastWord(self.dialect, self.target)
        try:
            http, passed = await self._prepared(request, call)
            settlement.asking()
            async with exchange(
                self.transport, http, timeouts=self.timeouts, call=call
            ) as response:
                head = await self._head(response, settlement)
                last = await reading.read(head, response.body, passed)
                self._end(last, settlement)
                if reading.is_stream:
                    await response.drain(DRAIN_SECONDS)
        except PolyvoxError as error:
            *_, last = reading.decoder.fail(error)
            self._end(last, settlement)
        except (asyncio.CancelledError, GeneratorExit):
            settlement.left(reading.decoder)
            raise
        if type(last) is Done:
            return last.message
        assert isinstance(last, Failed)
        raise last.error

    def quote(self, request: Request) -> Usage:
        """The most that answering may use, with its cost."""
        return priced(worst_usage(request, self.target.max_output_tokens), self.pricing)

    async def _stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        decoder = self.dialect.stream_decoder(self.target)
        settlement = Settlement(request, self.pricing, self.target, call)
        try:
            http, passed = await self._prepared(request, call)
            settlement.asking()
            async with exchange(
                self.transport, http, timeouts=self.timeouts, call=call
            ) as response:
                head = await self._head(response, settlement)
                reading = await self._reading(head, response.body, decoder, passed)
                while events := await reading.batch():
                    if http.dropped and type(events[0]) is Start:
                        dropped = [Warned(text, field) for field, text in http.dropped]
                        events = [events[0], *dropped, *events[1:]]
                    last = events.pop() if type(events[-1]) in ENDINGS else None
                    for event in events:
                        yield event
                    if last is not None:
                        self._end(last, settlement)
                        yield last
                if decoder.ended:
                    await response.drain(DRAIN_SECONDS)
        except PolyvoxError as error:
            for event in decoder.fail(error):
                self._end(event, settlement)
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            settlement.left(decoder)
            raise

    async def _reading(
        self,
        head: bytes,
        body: AsyncGenerator[bytes],
        decoder: StreamDecoder,
        passed: PassedOn | None,
    ) -> Reading | Told:
        """What reads an answer that begins like this."""
        if head.startswith(self.dialect.whole):  # also when streaming was asked for
            answer = head + await read_all(body, MAX_WHOLE_BODY)
            events = list(unfold(self.dialect.decode_response(answer, self.target)))
            return Told(with_bytes(events, answer) if passed and passed.whole(answer) else events)
        frames = self.dialect.frame_reader()
        passing = None if passed is None else passed.streamed()
        if passing is None:
            return Reading(frames, decoder, head, body)
        return PassingOn(frames, decoder, head, body, passing)

    async def _prepared(self, request: Request, call: Call) -> tuple[HttpRequest, PassedOn | None]:
        """The request as it is sent, and what passes its answer on, if that may go as it comes."""
        request = await self._inlined(request, call)
        if call.verbatim is not None and call.verbatim.is_long:
            http, passed = await asyncio.to_thread(self._written, request, call)
        else:
            http, passed = self._written(request, call)
        return await self._signed(http, call), passed

    def _written(self, request: Request, call: Call) -> tuple[HttpRequest, PassedOn | None]:
        """The request for the provider, and what passes its answer on, if that may go as it comes."""
        verbatim, passing = call.verbatim, self.dialect.passing
        if verbatim is None or passing is None:
            return self._told(request), None
        verbatim.used = (
            verbatim.request is request and verbatim.dialect == self.dialect.name and self._passes
        )
        if not verbatim.used:
            return self._told(request), None
        return passing.request(verbatim, self.target), PassedOn(verbatim, passing)

    def _told(self, request: Request) -> HttpRequest:
        check_kept(request, self.dialect.name)
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

    async def _head(self, response: exchange, settlement: Settlement) -> bytes:
        """How the answer's body begins: all of it, where it is there. Raises for a refusal, and for
        what is no answer.
        """
        settlement.heard(response)
        if response.status >= 300:
            raise await self._refusal(response)
        rest = response.rest()
        head = await first_bytes(response.body) if rest is None else rest.lstrip()
        settlement.first_byte()
        check_head(head)
        return head

    def _end(self, event: Event, settlement: Settlement) -> None:
        """Complete the stream's last event; other events are left alone."""
        if type(event) is Failed:
            self._keep_secret(event.error)
            event.message.error = event.error.text
        settlement.settle(event)

    async def _refusal(self, response: exchange) -> PolyvoxError:
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
        if (key := self.target.key) is not None:
            error.text = key.masked_in(error.text)
            error.args = (error.text,)
            error.provider_code = error.provider_code and key.masked_in(error.provider_code)

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
        http = await asyncio.to_thread(self._counting, request)
        return None if http is None else self.dialect.decode_count(await self.fetch(http))

    def _counting(self, request: Request) -> HttpRequest | None:
        """What asks for the count; made in a thread, since a prompt that is counted is often a long one."""
        check_kept(request, self.dialect.name)
        return self.dialect.count_request(request, self.target)

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
