"""The application, over ASGI: the dialects' paths by a shortcut, everything else by Starlette's router."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Router

from polyvox.dialects.openai_errors import encode_error
from polyvox.errors import BadRequestError, NotFoundError, PolyvoxError
from polyvox.gateway.asking.dialects import DialectPaths
from polyvox.gateway.asking.refusals import refusal
from polyvox.gateway.web.asgi import ASGIApp, Receive, Scope, Send
from polyvox.gateway.web.crowd import Crowd
from polyvox.gateway.web.door import FAILURE, ROUTE, Door
from polyvox.gateway.web.endpoints import DOOR, MAX_BODY, Endpoint, routes_of
from polyvox.gateway.web.incoming import Incoming

__all__ = ["Application", "Lifespan"]

_BEGINNINGS = ("/v1", "/v1beta", "/api")
"""What clients put before a path, or are told to leave to the base URL."""


class Lifespan(Protocol):
    """What is opened before the first request, and closed after the last."""

    async def open(self) -> None:
        """Get ready. Raises ``PolyvoxError`` where that can't be."""
        ...

    async def aclose(self) -> None:
        """Let go of everything."""
        ...


class _WrongMethodError(BadRequestError):
    """The path is there, for other methods."""

    def __init__(self, path: str, method: str, known: str) -> None:
        super().__init__(f"{path} takes {known}, not {method}", status=405)
        self.known = known


class Application:
    """What a server calls for each request.

    Args:
        dialects: the paths where models are asked.
        endpoints: everything else over HTTP.
        door: who comes in.
        max_body: the longest request to an endpoint, in bytes.
        sockets: by path, what handles WebSockets.
        lifespan: what is opened before and closed after it all.
    """

    def __init__(
        self,
        dialects: DialectPaths,
        endpoints: Sequence[Endpoint],
        door: Door,
        max_body: int,
        *,
        sockets: Mapping[str, ASGIApp] | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        self._dialects = dialects
        self._door = door
        self._max_body = max_body
        self._sockets = sockets or {}
        self._lifespan = lifespan
        self._crowd = Crowd()
        self._routes = routes_of(endpoints)
        self._router = Router(self._routes, redirect_slashes=False, default=self._nowhere)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection's request, WebSocket or lifespan."""
        kind = scope["type"]
        if kind == "http":
            incoming = Incoming(scope, receive, send, self._crowd)
            handler = self._dialects.find(incoming)
            if handler is not None:
                await handler(incoming)
            else:
                await self._endpoint(scope, receive, incoming.say)
        elif kind == "websocket":
            await self._socket(scope, receive, send)
        elif kind == "lifespan":
            await self._live(receive, send)

    async def _endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[DOOR] = self._door
        scope[MAX_BODY] = self._max_body
        try:
            self._check_method(scope)
            await self._router(scope, receive, send)
        except HTTPException as error:
            told = BadRequestError(error.detail, status=error.status_code)
            await _refused(scope, told)(scope, receive, send)
        except PolyvoxError as error:
            await _refused(scope, error)(scope, receive, send)

    def _check_method(self, scope: Scope) -> None:
        """Raises for a path that is there, for another method."""
        known = self._methods(scope)
        method = scope["method"]
        if known and method not in known:
            raise _WrongMethodError(scope["path"], method, ", ".join(sorted(known)))

    def _methods(self, scope: Scope) -> set[str]:
        """The methods that this path knows, all of them if the one that is asked is not among them."""
        known = set(self._dialects.methods(scope["path"]))
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is not Match.NONE:
                scope[ROUTE] = route.path
                known |= route.methods or set()
            if match is Match.FULL:
                break
        return known

    async def _nowhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        near = [f"{beginning}{path}" for beginning in _BEGINNINGS]
        near += [path.removeprefix("/v1"), path.rstrip("/")]
        others = (each for each in near if each != path)
        known = (each for each in others if method in self._methods({**scope, "path": each}))
        meant = next(known, None)
        raise NotFoundError(
            f"there is nothing at {path}",
            hint=f"Did you mean {meant}?" if meant else "GET /openapi.json lists what there is.",
        )

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._sockets.get(scope["path"])
        if handler is None:
            await receive()
            await send({"type": "websocket.close", "code": 1000})
            return
        scope[ROUTE] = scope["path"]
        await handler(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Source: "Lifespan Protocol" in the ASGI specification."""
        await receive()
        try:
            if self._lifespan is not None:
                await self._lifespan.open()
        except PolyvoxError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if self._lifespan is not None:
            await self._lifespan.aclose()
        await send({"type": "lifespan.shutdown.complete"})


def _refused(scope: Scope, error: PolyvoxError) -> Response:
    scope[FAILURE] = error
    status, body, headers = refusal(error, partial(encode_error, of_model=False))
    if isinstance(error, _WrongMethodError):
        headers["allow"] = error.known
    return Response(body, status, headers)
