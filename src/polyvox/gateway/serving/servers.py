"""The two servers that can take requests in, made alike: an application, a socket, and a stop."""

import socket
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, Protocol

from polyvox.errors import ConfigurationError
from polyvox.gateway.serving.listening import BACKLOG
from polyvox.gateway.web.asgi import ASGIApp

__all__ = ["Server", "check_server", "server_of"]

# Each connection is one, also while nothing is asked on it: ``Admission`` bounds the calls, and must
# still be able to say no, and /health to answer.
_MOST_CONNECTIONS = 1 << 16

# Longer than proxies keep theirs: who closes first loses what comes at this moment.
_KEEP_ALIVE_SECONDS = 75


class Server(Protocol):
    """Takes requests in on one socket, in the running event loop."""

    async def serve(self) -> None:
        """Serve until it is stopped, and all requests that had begun are answered."""
        ...

    def stop(self) -> None:
        """Accept nothing more. To be called on the event loop."""
        ...


def check_server(name: Literal["uvicorn", "granian"]) -> None:
    """Raises ``ConfigurationError`` if the package isn't there."""
    if find_spec(name) is None:
        extra = "granian" if name == "granian" else "gateway"
        raise ConfigurationError(
            f"the gateway needs {name}, which is not installed",
            hint=f"pip install 'polyvox[{extra}]'",
        )


def server_of(
    name: Literal["uvicorn", "granian"], app: ASGIApp, listening: socket.socket
) -> Server:
    """The server of that name. It closes the socket. Raises ``ConfigurationError`` without it."""
    check_server(name)
    return (_granian if name == "granian" else _uvicorn)(app, listening)


def _granian(app: ASGIApp, listening: socket.socket) -> Server:
    granian: Any = import_module("granian.server.embed")
    holder: Any = import_module("granian.net").SocketHolder

    class Granian(granian.Server):
        """On a socket that is there already; by itself it would open one."""

        def _init_shared_socket(self) -> None:
            self._ssp = None
            self._shd = holder(listening.detach(), False, BACKLOG)
            self._sfd = self._shd.get_fd()

        async def serve(self) -> None:
            embedded: Any = super()
            await embedded.serve()

    return Granian(
        app,
        interface=granian.Interfaces.ASGINL,
        backlog=BACKLOG,
        backpressure=_MOST_CONNECTIONS,
        log_enabled=False,
        log_dictconfig=_SILENT,
        log_access=False,
    )


# What they have to say is said by ours; and granian would configure logging for the whole program.
_SILENT: dict[str, Any] = {"formatters": {}, "handlers": {}, "loggers": {}}


def _uvicorn(app: ASGIApp, listening: socket.socket) -> Server:
    uvicorn: Any = import_module("uvicorn")
    http: Any = "h11"  # has bounds of its own
    if find_spec("httptools") is not None and find_spec("fcntl") is not None:
        http = import_module("polyvox.gateway.serving.bounded_http").BoundedHttp

    class Uvicorn(uvicorn.Server):
        """Without its signal handlers: ours decide."""

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            yield

        async def serve(self) -> None:
            plain: Any = super()
            await plain.serve(sockets=[listening])

        def stop(self) -> None:
            self.should_exit = True

    return Uvicorn(
        uvicorn.Config(
            app,
            http=http,
            ws=import_module("polyvox.gateway.serving.patient_socket").PatientSocket,
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ws_per_message_deflate=False,
        )
    )
