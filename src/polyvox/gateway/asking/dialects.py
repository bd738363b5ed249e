"""Every dialect over HTTP: a request in one of them becomes a call, its events an answer in the same.

An answer is committed with its first content: until then a failure has a status of its own. What comes
back from a provider of the caller's dialect is passed on as it came.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec

from polyvox import estimate, jsontext
from polyvox.dialects import DIALECTS, Dialect, Place, Route, get_dialect
from polyvox.embedding import EmbeddingRequest
from polyvox.errors import NotFoundError, PolyvoxError
from polyvox.gateway.asking.asking import Asked, Asking
from polyvox.gateway.asking.leaving import watched
from polyvox.gateway.asking.telling import JSON, Told, answer_headers, refuse, whole_body
from polyvox.gateway.asking.wishes import Wishes, wishes_in
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.door import CALL, ROUTE, UNSURE, Door
from polyvox.gateway.web.incoming import Incoming
from polyvox.providers import ProviderModel
from polyvox.request import Request
from polyvox.routing.commit import opening
from polyvox.verbatim import LONG, Verbatim

__all__ = ["SPOKEN", "DialectPaths", "Found", "Turnstile", "read_body"]

SPOKEN = tuple(name for name in DIALECTS if name != "bedrock-converse")
"""The dialects that the gateway answers in; nobody sends Amazon's signed requests elsewhere."""

_ANTHROPIC = "anthropic-messages"
_USES = {"answer": "chat", "count": "chat", "embed": "embeddings", "models": "models"}
_PASSED_HEADERS = frozenset(("anthropic-version", "anthropic-beta", "openai-beta"))


class _List(msgspec.Struct):
    """A list of models with one entry, by either of the names that dialects have for it."""

    data: list[msgspec.Raw] = []
    models: list[msgspec.Raw] = []

    @property
    def only(self) -> msgspec.Raw:
        return (self.data or self.models)[0]


_list = msgspec.json.Decoder(_List)

Found = Callable[[Incoming], Awaitable[None]]
_Work = Callable[[Incoming, Dialect, Place, Access], Awaitable[None]]


class _Way(NamedTuple):
    """What one path means in one dialect. ``found`` answers requests to it that have no query."""

    dialect: Dialect
    route: Route
    found: Found


class Turnstile(Protocol):
    """Lets so many calls in at once."""

    async def enter(self) -> None:
        """Come in, perhaps after a wait. Raises ``PolyvoxError`` where there is no room."""
        ...

    def enter_at_once(self) -> bool:
        """Come in if there is room; False: ``enter`` would wait. Raises as that does."""
        ...

    def leave(self) -> None:
        """Go."""
        ...


class DialectPaths:
    """The paths of all dialects. ``max_body`` is the longest request, in bytes."""

    def __init__(self, asking: Asking, door: Door, turnstile: Turnstile, max_body: int) -> None:
        self._asking = asking
        self._turnstile = turnstile
        self._door = door
        self._max_body = max_body
        self._kinds: dict[str, _Work] = {
            "answer": self._answer,
            "count": self._count,
            "embed": self._embed,
            "models": self._list,
        }
        self._plain: dict[tuple[str, str], list[_Way]] = {}
        self._holes: list[tuple[Dialect, Route, str, str]] = []
        for dialect in map(get_dialect, SPOKEN):
            for route in dialect.routes:
                path = dialect.base_path + route.path
                before, hole, after = path.partition("{model}")
                if hole:
                    self._holes.append((dialect, route, before, after))
                else:
                    way = _Way(dialect, route, self._found(dialect, route, ""))
                    self._plain.setdefault((route.method, path), []).append(way)

    @property
    def spoken(self) -> list[tuple[Dialect, Route]]:
        """Every route with its dialect."""
        return [
            (dialect, route) for dialect in map(get_dialect, SPOKEN) for route in dialect.routes
        ]

    def find(self, incoming: Incoming) -> Found | None:
        """What answers this request, or None."""
        # The head alone of what GET tells; the server leaves the body out.
        method = "GET" if incoming.method == "HEAD" else incoming.method
        spoken = self._plain.get((method, incoming.path))
        if spoken is not None:
            incoming.scope[ROUTE] = incoming.path
            way = spoken[0] if len(spoken) == 1 else _meant(spoken, incoming)
            query = incoming.query
            return self._found(way.dialect, way.route, query) if query else way.found
        if method == "GET":
            return self._find_model(incoming)
        for dialect, route, before, after in self._holes:
            path = incoming.path
            if route.method == method and path.startswith(before) and path.endswith(after):
                model = path[len(before) : len(path) - len(after)]
                if model:
                    incoming.scope[ROUTE] = f"{before}{{model}}{after}"
                    return self._found(dialect, route, incoming.query, model)
        return None

    def _found(self, dialect: Dialect, route: Route, query: str, model: str = "") -> Found:
        place = Place(model, route.stream, route.path, query)
        return partial(self._handle, dialect, place, _USES[route.kind], self._kinds[route.kind])

    def _find_model(self, incoming: Incoming) -> Found | None:
        """What tells of one model: every list has its entries below it."""
        for (method, path), spoken in self._plain.items():
            if method == "GET" and incoming.path.startswith(f"{path}/"):
                way = spoken[0] if len(spoken) == 1 else _meant(spoken, incoming)
                name = incoming.path[len(path) + 1 :]
                incoming.scope[ROUTE] = f"{path}/{{model}}"
                return self._found(way.dialect, way.route, incoming.query, name)
        return None

    def methods(self, path: str) -> list[str]:
        """The methods that this path knows."""
        known = {
            method
            for method, known in self._plain
            if known == path or (method == "GET" and path.startswith(f"{known}/"))
        }
        known |= {
            route.method
            for _, route, before, after in self._holes
            if path.startswith(before) and path.endswith(after)
        }
        return sorted(known | {"HEAD"} if "GET" in known else known)

    async def _handle(
        self, dialect: Dialect, place: Place, use: str, work: _Work, incoming: Incoming
    ) -> None:
        if dialect.name == _ANTHROPIC:  # whose clients look for it by a name of their own
            incoming.notes = ((b"request-id", incoming.id.encode()),)
        try:
            try:
                access = self._door.enter(incoming.scope, incoming.headers, use)
            except UNSURE:
                access = await self._door.enter_after_all(incoming.scope, incoming.headers, use)
            if not self._turnstile.enter_at_once():
                await self._wait(incoming)
            try:
                await work(incoming, dialect, place, access)
            finally:
                self._turnstile.leave()
        except PolyvoxError as error:
            await refuse(incoming, dialect, error)

    async def _wait(self, incoming: Incoming) -> None:
        """Wait for a turn; the body is taken in first, since who leaves is seen only behind it."""
        await incoming.body(self._max_body)
        with watched(incoming, detached=False):
            await self._turnstile.enter()

    async def _answer(
        self, incoming: Incoming, dialect: Dialect, place: Place, access: Access
    ) -> None:
        body = await incoming.body(self._max_body)
        request = await read_body(dialect.decode_request, body, place)
        wishes = wishes_in(request.options, dialect.name, incoming.headers, request.metadata)
        asked = _asked(incoming, dialect, access, request, wishes)
        if _passes(dialect, place):
            asked.verbatim = Verbatim(dialect.name, request, body, _passed(incoming.headers))
        with watched(incoming, detached=wishes.detach):
            if asked.request.stream:
                await self._stream(incoming, dialect, asked)
                return
            message = await self._asking.whole(asked)
            told = whole_body(message, dialect, asked)
            await incoming.answer(200, told, answer_headers(message))

    async def _stream(self, incoming: Incoming, dialect: Dialect, asked: Asked) -> None:
        async with aclosing(self._asking.events(asked)) as events:
            begun = await opening(events)
            if begun.failed is not None:
                raise begun.failed.error
            await Told(incoming, dialect, asked).tell(begun.events, events)

    async def _count(
        self, incoming: Incoming, dialect: Dialect, place: Place, access: Access
    ) -> None:
        body = await incoming.body(self._max_body)
        request = await read_body(dialect.decode_request, body, place)
        models = self._asking.models
        model = models.model(request.model, access)
        tokens = None
        with watched(incoming, detached=False):
            if isinstance(model, ProviderModel):
                tokens = await model.count_tokens(request)
            if tokens is None:
                tokens = await asyncio.to_thread(estimate.request_tokens, request)
        written = dialect.encode_count(tokens)
        if written is None:
            raise NotFoundError(f"{dialect.name} has no way to count tokens")
        await incoming.answer(200, written, (JSON,))

    async def _embed(
        self, incoming: Incoming, dialect: Dialect, place: Place, access: Access
    ) -> None:
        body = await incoming.body(self._max_body)
        codec = dialect.embeddings
        assert codec is not None
        wanted: EmbeddingRequest = await read_body(codec.decode_request, body, place)
        wishes = wishes_in(wanted.options, dialect.name, incoming.headers, {})
        request = Request(messages=[], model=wanted.model)
        asked = _asked(incoming, dialect, access, request, wishes)
        with watched(incoming, detached=wishes.detach):
            found = await self._asking.embed(asked, wanted)
            written = codec.encode_response(found, wanted, place)
            await incoming.answer(200, written, answer_headers(found))

    async def _list(
        self, incoming: Incoming, dialect: Dialect, place: Place, access: Access
    ) -> None:
        models = self._asking.models
        if not place.model:
            await incoming.answer(200, dialect.encode_models(models.names(access)), (JSON,))
            return
        models.model(place.model, access)  # raises where there is none
        listed = _list.decode(dialect.encode_models([place.model]))
        await incoming.answer(200, jsontext.encode(listed.only), (JSON,))


async def read_body(decode: Callable[[bytes, Place], Any], body: bytes, place: Place) -> Any:
    """The request in a body; a long one is read in a thread."""
    if len(body) < LONG:
        return decode(body, place)
    return await asyncio.to_thread(decode, body, place)


def _passes(dialect: Dialect, place: Place) -> bool:
    if dialect.passing is None:
        return False
    return not place.stream or "alt=sse" in place.query  # Gemini also streams a list, in JSON


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the headers that belong to a dialect."""
    if _PASSED_HEADERS.isdisjoint(headers):
        return {}
    return {name: value for name, value in headers.items() if name in _PASSED_HEADERS}


def _asked(
    incoming: Incoming, dialect: Dialect, access: Access, request: Request, wishes: Wishes
) -> Asked:
    """What is asked; its id is told with every answer, and the log is told of it."""
    asked = Asked(
        access=access,
        request=request,
        wishes=wishes,
        dialect=dialect.name,
        request_id=incoming.id or None,
    )
    incoming.scope[CALL] = asked.id, request.model, asked.attempts
    incoming.notes = (*incoming.notes, (b"x-polyvox-call-id", asked.id.encode()))
    return asked


def _meant(spoken: list[_Way], incoming: Incoming) -> _Way:
    """Of several dialects at one path the one that the caller's headers speak."""
    if "anthropic-version" in incoming.headers:
        for way in spoken:
            if way.dialect.name == _ANTHROPIC:
                return way
    if "x-goog-api-key" in incoming.headers or "key=" in incoming.query:
        for way in spoken:
            if way.dialect.name == "gemini":
                return way
    return spoken[0]
