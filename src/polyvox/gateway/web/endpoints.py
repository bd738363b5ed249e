"""An endpoint as data: from one table come its route, and its lines in the OpenAPI document.

    Endpoint("POST", "/v1/contexts", "Begin a conversation.", self.create, use="contexts",
             takes=NewContext, gives=ContextView, status=201)

A handler gets an ``Arrived`` and gives a value, which is written as JSON, or a response of its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from polyvox.errors import BadRequestError, PermissionDeniedError
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.bodies import nearest_field, read_value, too_long
from polyvox.gateway.web.door import UNSURE, Door, headers_of

__all__ = [
    "DOOR",
    "MAX_BODY",
    "Arrived",
    "Endpoint",
    "Handler",
    "Page",
    "PageQuery",
    "page_of",
    "routes_of",
]

_T = TypeVar("_T")

DOOR = "polyvox.door"
"""Where in the scope of a request its ``Door`` is, which the application puts there."""

MAX_BODY = "polyvox.max_body"
"""... and how long its body may be."""


class Page(msgspec.Struct, Generic[_T], kw_only=True):
    """A part of a list. ``next`` is what to send as ``after`` for the next part; None: there is none."""

    data: list[_T]
    next: str | None = None


def page_of(found: Sequence[_T], limit: int, after: Callable[[_T], str]) -> Page[_T]:
    """So many of what was found; where that is more, ``after`` the last one comes the next part."""
    data = [*found[:limit]]
    return Page(data=data, next=after(data[-1]) if len(found) > limit else None)


class PageQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which part of a list: ``limit`` things (1 to 1,000) after the one of this id."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: str | None = None


class Arrived(msgspec.Struct, frozen=True):
    """A request to an endpoint: who sent it, its body and query as values, what its path names.

    ``sent`` is the body as it came, where the endpoint takes one.
    """

    access: Access
    request: Request
    body: Any = None
    query: Any = None
    sent: bytes = b""

    def named(self, name: str) -> str:
        """What the path says for ``{name}``."""
        return str(self.request.path_params[name])


Handler: TypeAlias = Callable[[Arrived], Awaitable[Any]]


class Endpoint(msgspec.Struct, frozen=True):
    """What can be asked of the gateway beside the models.

    ``who``    "anyone", whoever has a "key", or the "admin"
    ``use``    what a key must be good for
    ``takes``  the struct of the body, ``query`` that of the query, ``gives`` what the answer is
    ``reads``  the media type of a body that the handler reads itself
    ``writes`` the media types of a response of its own
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    summary: str
    handler: Handler
    who: Literal["anyone", "key", "admin"] = "key"
    use: str = ""
    takes: Any = None
    query: Any = None
    gives: Any = None
    status: int = 200
    reads: str = ""
    writes: tuple[str, ...] = ()


def routes_of(endpoints: Sequence[Endpoint]) -> list[Route]:
    """The routes of these endpoints, in their order: the first that fits is meant."""
    return [
        Route(endpoint.path, _handling(endpoint), methods=[endpoint.method])
        for endpoint in endpoints
    ]


def _handling(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        access = await _entered(endpoint, request)
        query = None if endpoint.query is None else _query(request, endpoint.query)
        body, sent = None, b""
        if endpoint.takes is not None:
            sent = await _body(request)
            body = read_value(sent, endpoint.takes)
        given = await endpoint.handler(Arrived(access, request, body, query, sent))
        if isinstance(given, Response):
            return given
        if given is None:
            return Response(status_code=204 if endpoint.status == 200 else endpoint.status)
        return Response(msgspec.json.encode(given), endpoint.status, media_type="application/json")

    return handle


async def _entered(endpoint: Endpoint, request: Request) -> Access:
    if endpoint.who == "anyone":
        return Access(key="")
    door: Door = request.scope[DOOR]
    headers = headers_of(request.scope)
    try:
        access = door.enter(request.scope, headers, endpoint.use)
    except UNSURE:
        access = await door.enter_after_all(request.scope, headers, endpoint.use)
    if endpoint.who == "admin" and not access.admin:
        raise PermissionDeniedError("this takes the administrator's key")
    return access


async def _body(request: Request) -> bytes:
    most: int = request.scope[MAX_BODY]
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise too_long(most)
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > most:
                raise too_long(most)
    except ClientDisconnect:
        raise BadRequestError("the client left before its request was whole") from None
    return bytes(body)


def _query(request: Request, kind: Any) -> Any:
    said: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        said.setdefault(name, []).append(value)
    lists = _lists(kind)
    said = {
        name: values[0] if len(values) == 1 and name not in lists else values
        for name, values in said.items()
    }
    try:
        return msgspec.convert(said, kind, strict=False)
    except msgspec.ValidationError as error:
        hint = nearest_field(error, kind)
        raise BadRequestError(f"the query is not right: {error}", hint=hint) from None


@cache
def _lists(kind: Any) -> frozenset[str]:
    """What may be said several times in a query of this kind."""
    fields = msgspec.structs.fields(kind)
    return frozenset(each.encode_name for each in fields if isinstance(each.default, tuple))
