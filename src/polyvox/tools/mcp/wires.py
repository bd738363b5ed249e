"""How a server is reached: as a child process, over its standard streams, or over HTTP.

A wire is for one connection. Specification: "Transports" of the Model Context Protocol.
"""

import os
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import msgspec

from polyvox.errors import (
    ConfigurationError,
    NetworkError,
    PolyvoxError,
    in_words,
)
from polyvox.secret import Secret, without_password
from polyvox.tools.mcp.process import started
from polyvox.tools.mcp.stderr import Stderr

if TYPE_CHECKING:
    import httpx2
    from mcp.client import Transport

__all__ = ["HttpPlace", "Place", "StdioPlace", "Wire", "check_installed"]

_CONNECT_SECONDS = 30.0
_FAREWELL_SECONDS = 2.0
_REFUSED = (400, 404)  # the latter is what the specification wants, the former what many send
_SESSION = "mcp-session-id"


def check_installed() -> None:
    """Raises ``ConfigurationError`` without the extra."""
    try:
        import mcp.client  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise ConfigurationError(
            "servers that speak MCP need the mcp package, 2.3 or newer",
            hint="Install it with: pip install 'polyvox[mcp]'",
        ) from error


class Wire(Protocol):
    """One connection to a server.

    ``forgotten``: the server has said that it does not know the session any more.
    """

    forgotten: bool

    def streams(self, lost: Callable[[], None]) -> "Transport":
        """What is read and written, while in it; ``lost`` is called when the server has gone."""
        ...

    async def explain(self, error: BaseException) -> PolyvoxError:
        """What went wrong, in our words, after the connection ended with this."""
        ...


class Place(Protocol):
    """Where a server is."""

    def wire(self, name: str) -> Wire:
        """A new connection, not yet made; ``name`` is the server's where something is said of it."""
        ...


class StdioPlace(msgspec.Struct, frozen=True, kw_only=True):
    """A command that is started, and ended with the connection."""

    command: str
    args: Sequence[str]
    env: Mapping[str, Secret]
    cwd: str | os.PathLike[str] | None
    stderr: TextIO | None

    def wire(self, name: str) -> Wire:
        return _StdioWire(self, name)


class HttpPlace(msgspec.Struct, frozen=True, kw_only=True):
    """An address that speaks the protocol's "streamable HTTP"."""

    url: str
    headers: Mapping[str, Secret]

    def wire(self, name: str) -> Wire:
        return _HttpWire(self, name)


class _StdioWire:
    forgotten = False

    def __init__(self, place: StdioPlace, name: str) -> None:
        self._place = place
        self._name = name
        self._stderr = Stderr(name, place.stderr)

    def streams(self, lost: Callable[[], None]) -> "Transport":
        return self._streams(lost)

    @asynccontextmanager
    async def _streams(self, lost: Callable[[], None]) -> AsyncGenerator[Any]:
        place = self._place
        with self._stderr.open() as pipe:
            server = started(
                (place.command, *place.args),
                _revealed(place.env),
                place.cwd,
                pipe,
                self._stderr.tell,
            )
            async with server as streams:
                pipe.close()  # the server has its own end of it
                yield _Watched(streams, lost), streams

    async def explain(self, error: BaseException) -> PolyvoxError:
        if isinstance(error, OSError) and not isinstance(error, ConnectionError):
            return ConfigurationError(
                f"the MCP server {self._name!r} can't be started: {error}",
                hint="Is the command installed? It may be given with its whole path.",
            )
        ended = isinstance(error, ConnectionError) or "closed" in str(error)
        what = "has ended" if ended else f"can't be used: {in_words(error)}"
        last = await self._stderr.last_lines()
        said = f"; it last wrote:\n{last}" if last else ""
        return NetworkError(f"the MCP server {self._name!r} {what}{said}")


class _HttpWire:
    def __init__(self, place: HttpPlace, name: str) -> None:
        self._place = place
        self._name = name
        self._status = 0
        self.forgotten = False

    def streams(self, lost: Callable[[], None]) -> "Transport":
        return self._streams(lost)

    @asynccontextmanager
    async def _streams(self, lost: Callable[[], None]) -> AsyncGenerator[Any]:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        client = httpx2.AsyncClient(
            headers=_revealed(self._place.headers),
            timeout=httpx2.Timeout(_CONNECT_SECONDS, read=None),  # a tool has a timeout of its own
            event_hooks={"response": [self._see]},
        )
        async with (
            client,
            streamable_http_client(self._place.url, http_client=client) as (read, write),
        ):
            try:
                yield _Watched(read, lost), write
            finally:  # the session is taken leave of, which a server need not answer
                client.timeout = httpx2.Timeout(_FAREWELL_SECONDS)

    async def _see(self, response: "httpx2.Response") -> None:
        self._status = response.status_code
        if response.status_code in _REFUSED and _SESSION in response.request.headers:
            self.forgotten = True

    async def explain(self, error: BaseException) -> PolyvoxError:
        refused = self._status >= 400
        place = without_password(self._place.url)
        said = f"it answered with HTTP {self._status}" if refused else in_words(error)
        return NetworkError(
            f"the MCP server {self._name!r} can't be used at {place}: {said}",
            hint="It has to be there, speak MCP over streamable HTTP, and accept the headers.",
        )


class _Watched:
    """A stream that tells when it has come to its end, which is when the server has gone."""

    def __init__(self, stream: Any, lost: Callable[[], None]) -> None:
        self._stream = stream
        self._lost = lost

    @property
    def last_context(self) -> Any:
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> Any:
        return await self._stream.receive()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> "_Watched":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._stream.__anext__()
        except StopAsyncIteration:
            self._lost()
            raise

    async def __aenter__(self) -> "_Watched":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._stream.__aexit__(*error)


def _revealed(values: Mapping[str, Secret]) -> dict[str, str]:
    return {name: value.reveal() for name, value in values.items()}
