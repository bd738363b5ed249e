"""What the compiled module holds; the words are in ``src/``."""

from asyncio import AbstractEventLoop, Future
from collections.abc import Callable, Mapping, Sequence

__version__: str

class Failure(Exception):  # noqa: N818 - it is a value for native_errors.py
    """``args``: kind, text, whom (host:port), code."""

    args: tuple[str, str, str, int | None]

class Client:
    def __init__(
        self,
        max_connections: int,
        keep_alive: float,
        certificates: tuple[Sequence[str], Sequence[str]] | None = None,
    ) -> None: ...
    def pool(self, event_loop: AbstractEventLoop) -> Pool: ...
    def close(self) -> None: ...

class Pool:
    def fileno(self) -> int: ...
    def turn(self) -> None: ...
    def due(self) -> None: ...
    def send(
        self,
        target: Target,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        connect_timeout: float | None,
    ) -> Exchange: ...
    @staticmethod
    def target(
        url: str,
        proxy: tuple[bool, str, int, str | None] | None,
        authorization: str | None,
    ) -> Target: ...
    def close(self) -> None: ...

class Target: ...

class Exchange:
    def head(self) -> tuple[int, dict[str, str]] | Future[None]: ...
    def read(self) -> bytes | Future[None]: ...
    def whole(self) -> bytes | None: ...
    def cancel(self) -> None: ...

class SseReader:
    def __init__(
        self,
        make_event: Callable[..., object],
        make_run: Callable[..., object],
        make_error: Callable[[], Exception],
        max_event_bytes: int,
        dialect: str,
    ) -> None: ...
    def feed(self, chunk: bytes) -> list[object]: ...
    def close(self) -> list[object]: ...
