"""Mock providers: a dialect's server half over a script, on a real socket of the loopback."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from polyvox.dialects import DIALECTS, Dialect, find_route, get_dialect
from polyvox.dialects.kept import without_kept
from polyvox.errors import (
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PolyvoxError,
    ServerError,
)
from polyvox.events import Done, Event, Failed
from polyvox.model import Call, Model
from polyvox.providers.simulated import simulated_model
from polyvox.providers.simulated.tokens import request_tokens
from polyvox.request import Request
from polyvox.suggestions import hint_for
from polyvox.testing.answers import (
    addressed,
    embeddings_body,
    retry_after,
    status_error,
    stream_headers,
    whole_body,
)
from polyvox.testing.control import PREFIX, Control
from polyvox.testing.hold import Hold
from polyvox.testing.knobs import Knobs
from polyvox.testing.ledger import Ledger
from polyvox.testing.mistral import mistral_body
from polyvox.testing.playing import Player, ScriptLike
from polyvox.testing.record import ReceivedRequest, Record, SentAnswer
from polyvox.testing.shaping import Shaper, without_usage
from polyvox.testing.wire import CutError, Wire

if TYPE_CHECKING:
    from polyvox.testing.threaded import ThreadedMock

MAX_BODY = 1 << 30
_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")


class MockProvider:
    """Serve a dialect on a port of the loopback, while the context lasts.

    Without a script, ``model`` answers, and without that ``simulated/echo``.

    Args:
        dialect: the wire format, such as "openai-chat".
        script: what is said, turn by turn; see ``polyvox.providers.simulated.script``. Every request
            to a model plays the next turn. When there is none left, the answer is an error. A mapping
            has a script for each model, by the name that it is asked by.
        model: who answers instead.
        knobs: how answers are bent; a turn's own knobs are laid over these.
        models: the names in the list of models.
        expect_key: the API key without which requests are refused; None: any or none will do.
        port: where to listen; 0 finds a free one.

    Raises ``ConfigurationError`` for a wrong script or knobs that don't suit the dialect.

        async with MockProvider("openai-chat", script=["Hello."]) as mock:
            client = openai.AsyncOpenAI(base_url=mock.url, api_key="any")

    In synchronous code, ``with`` serves from a thread and gives a ``ThreadedMock``:

        with MockProvider("openai-chat", script=["Hello."]) as mock:
            client = openai.OpenAI(base_url=mock.url, api_key="any")
    """

    def __init__(
        self,
        dialect: str | Dialect,
        script: ScriptLike | None = None,
        *,
        model: Model | None = None,
        knobs: Knobs | None = None,
        models: Sequence[str] = ("mock-model",),
        expect_key: str | None = None,
        port: int = 0,
    ) -> None:
        self.dialect = _dialect(dialect) if isinstance(dialect, str) else dialect
        self.knobs = knobs or Knobs()
        self.record = Record()
        self._player = Player(script, model or simulated_model("echo"))
        self._player.check(self.knobs, self.dialect)
        self._hold = Hold()
        self._control = Control(self.record, self.dialect, self._hold, self._connections)
        self._models = list(models)
        self._key = expect_key
        self._port = port
        self._closing = False
        self._active: set[asyncio.Task[object]] = set()
        self._runner: web.AppRunner | None = None
        self._threaded: ThreadedMock | None = None

    @property
    def url(self) -> str:
        """The base URL, as programs want it in OPENAI_BASE_URL or ANTHROPIC_BASE_URL."""
        return f"http://127.0.0.1:{self._port}{self.dialect.base_path}"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every HTTP request that came, in order."""
        return self.record.requests

    @property
    def answers(self) -> list[SentAnswer]:
        """What was sent for each of ``requests``."""
        return self.record.answers

    async def wait_for_request(self) -> ReceivedRequest:
        """The next request that came or comes; each is given out once."""
        return await self.record.next_request()

    async def wait_for_hangup(self) -> SentAnswer:
        """The next answer that its client left or leaves before its end; each is given out once."""
        return await self.record.next_hangup()

    def ledger(self) -> Ledger:
        """Its books as they stand now: what was served, told and is under way."""
        return self._control.ledger()

    def release(self) -> None:
        """Let the requests go that the knob ``hold_until`` keeps waiting now."""
        self._hold.release()

    def summary(self) -> str:
        """What it served so far, in one line."""
        return f"{self.dialect.name} at {self.url}: {self.record.summary()}"

    async def __aenter__(self) -> "MockProvider":
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", PREFIX + "{path:.*}", self._control.handle)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._closing = False
        # With handler_cancellation a client that leaves ends its answer at once, also while that waits.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        active = list(self._active)
        for task in active:
            task.cancel()
        await asyncio.gather(*active, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()

    def __enter__(self) -> "ThreadedMock":
        from polyvox.testing.threaded import ThreadedMock

        self._threaded = ThreadedMock(self)
        return self._threaded

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._threaded is not None:
            self._threaded.close()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._active.add(task)
        headers = {name.lower(): value for name, value in http.headers.items()}
        received = ReceivedRequest(http.method, http.path_qs, headers)
        answer: SentAnswer | None = None
        try:
            received.body = await http.read()
            answer = self.record.arrived(received)
            exchange = _Exchange(http, received, answer, self.knobs)
            return await self._answer(exchange)
        except (asyncio.CancelledError, ConnectionError):
            if answer is not None:
                if not answer.status:
                    self.record.began(received, answer)
                self.record.hang_up(answer, "server" if self._closing else "client")
            raise asyncio.CancelledError from None
        finally:
            if answer is not None:
                self.record.ended(answer)
            self._active.discard(task)

    def _connections(self) -> Sequence[object]:
        server = self._runner and self._runner.server
        return server.connections if server else []

    async def _answer(self, exchange: "_Exchange") -> web.StreamResponse:
        received = exchange.received
        path, method = urlsplit(received.path).path, received.method
        try:
            self._check_key(received)
            found = find_route(self.dialect, method, received.path)
            if found is None:
                raise NotFoundError(f"nothing answers to {method} {path}; try {self._known()}")
            route, place = found
            if route.kind == "models":
                return await self._send_json(exchange, self.dialect.encode_models(self._models))
            if route.kind == "embed":
                body = await embeddings_body(self.dialect, received, place, exchange.knobs)
                return await self._send_json(exchange, body)
            received.request = self.dialect.decode_request(received.body, place)
            if route.kind == "count":
                counted = self.dialect.encode_count(request_tokens(received.request))
                return await self._send_json(exchange, counted or b"")
            return await self._answer_call(exchange, received.request)
        except PolyvoxError as error:
            return await self._send_error(exchange, error)

    async def _answer_call(self, exchange: "_Exchange", request: Request) -> web.StreamResponse:
        model, exchange.knobs = self._player.next_turn(request.model, exchange.knobs)
        if exchange.knobs.hold_until is not None:
            await self._hold.wait(exchange.knobs.hold_until, exchange.knobs.hold_limit)
        if exchange.knobs.status is not None:
            raise status_error(exchange.knobs.status)
        if exchange.knobs.body != "answer":
            return await self._send_json(exchange, b"")
        async with aclosing(model.stream(without_kept(request), Call())) as events:
            first = await anext(events)
            if isinstance(first, Failed):
                exchange.answer.events.append(first)
                raise first.error
            if request.stream:
                return await self._send_stream(exchange, first, events)
            return await self._send_whole(exchange, first, events)

    def _known(self) -> str:
        """What it answers to, for a person."""
        base = self.dialect.base_path
        return ", ".join(f"{route.method} {base}{route.path}" for route in self.dialect.routes)

    async def _send_stream(
        self, exchange: "_Exchange", first: Event, rest: AsyncGenerator[Event]
    ) -> web.StreamResponse:
        request = exchange.received.request
        assert request is not None
        shaper = Shaper(self.dialect, request, exchange.knobs)
        wire = self._wire(exchange)
        try:
            await wire.send_head(200, {**stream_headers(shaper.media_type), **self._ids()}, None)
            self.record.began(exchange.received, exchange.answer)
            delay = exchange.knobs.delay_first_chunk
            async for event in _after(first, rest):
                event = addressed(event, request)
                exchange.answer.events.append(event)
                for chunk in shaper.chunks(event):
                    await asyncio.sleep(delay)
                    await wire.send(chunk)
                    delay = exchange.knobs.delay_chunks
                if shaper.ended:
                    break
            await wire.finish()
        except CutError:
            pass
        return wire.response

    async def _send_whole(
        self, exchange: "_Exchange", first: Event, rest: AsyncGenerator[Event]
    ) -> web.StreamResponse:
        request = exchange.received.request
        assert request is not None
        async for event in _after(first, rest):
            event = addressed(event, request)
            exchange.answer.events.append(event)
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Done):
                body = self.dialect.encode_response(event.message, request)
                if exchange.knobs.usage == "none":
                    body = without_usage(body)
                if exchange.knobs.manner == "mistral":
                    body = mistral_body(body)
                return await self._send_json(exchange, body)
        raise ServerError("the model ended its stream without an ending")

    async def _send_error(self, exchange: "_Exchange", error: PolyvoxError) -> web.StreamResponse:
        knobs = exchange.knobs
        status, body = self.dialect.encode_error(error)
        wait = error.retry_after if knobs.retry_after is None else knobs.retry_after
        headers = {} if wait is None else {"retry-after": retry_after(wait, knobs)}
        return await self._send_json(exchange, body, knobs.status or status, headers)

    async def _send_json(
        self,
        exchange: "_Exchange",
        body: bytes,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> web.StreamResponse:
        knobs = exchange.knobs
        body, kind = whole_body(body, knobs)
        wire = self._wire(exchange)
        try:
            await wire.send_head(status, {**kind, **self._ids(), **(headers or {})}, len(body))
            self.record.began(exchange.received, exchange.answer)
            await asyncio.sleep(knobs.delay_first_chunk)
            if body:
                await wire.send(body)
            await wire.finish()
        except CutError:
            pass
        return wire.response

    def _wire(self, exchange: "_Exchange") -> Wire:
        return Wire(exchange.http, exchange.knobs, self.record, exchange.answer)

    def _ids(self) -> dict[str, str]:
        """The request's id, in the headers of OpenAI, Anthropic and Amazon."""
        name = f"req_mock_{self.record.total}"
        return {"x-request-id": name, "request-id": name, "x-amzn-requestid": name}

    def _check_key(self, received: ReceivedRequest) -> None:
        if self._key is None:
            return
        bearer = received.headers.get("authorization", "").removeprefix("Bearer ")
        given = [received.headers.get(name) for name in _KEY_HEADERS]
        if self._key not in (bearer, *given):
            raise AuthenticationError("this is not the key that the mock provider expects")


class _Exchange(msgspec.Struct):
    """One request and its answer."""

    http: web.Request
    received: ReceivedRequest
    answer: SentAnswer
    knobs: Knobs


async def run_mock(mock: MockProvider, ready: Callable[[MockProvider], None] | None = None) -> None:
    """Serve until cancelled; ``ready`` is called once requests can come."""
    async with mock:
        if ready is not None:
            ready(mock)
        await asyncio.Event().wait()


def _dialect(name: str) -> Dialect:
    if name not in DIALECTS:
        raise ConfigurationError(f"there is no dialect {name!r}", hint=hint_for(name, DIALECTS))
    return get_dialect(name)


async def _after(first: Event, rest: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    yield first
    async for event in rest:
        yield event
