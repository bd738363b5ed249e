"""Parts of a gateway in the test's own process: keys and books to look into, a time to set, a server."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import uvicorn

from polyvox.attempt import Attempt
from polyvox.errors import AuthenticationError
from polyvox.gateway.journal.lines import Begun, Ended, Reserved
from polyvox.gateway.tenants.access import Access

__all__ = ["Books", "Clock", "Keys", "listening"]


class Clock:
    """A time that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1_770_000_000.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """Whose keys are known, by the keys themselves and by their ids; ``asked`` is who came with which."""

    is_behind = False

    def __init__(self, **known: Access) -> None:
        self.known = known
        self.asked: list[tuple[str, str | None]] = []

    async def look_for(self, secret: str) -> None:
        """Nobody else makes any."""

    look_for_id = look_for

    def find(self, secret: str, address: str | None) -> Access:
        self.asked.append((secret, address))
        if secret not in self.known:
            raise AuthenticationError("this key is not known")
        return self.known[secret]

    def of(self, key: str) -> Access:
        for access in self.known.values():
            if access.key == key:
                return access
        raise AuthenticationError("this key was revoked", status=401)


class Books:
    """What was written down."""

    def __init__(self) -> None:
        self.begun: list[Begun] = []
        self.reserved: list[Reserved] = []
        self.attempts: list[tuple[str, Attempt]] = []
        self.ended: list[Ended] = []
        self._end = asyncio.Event()

    def begin(self, line: Begun) -> None:
        self.begun.append(line)

    def reserve(self, line: Reserved) -> None:
        self.reserved.append(line)

    def attempt(self, call_id: str, attempt: Attempt) -> None:
        self.attempts.append((call_id, attempt))

    def end(self, line: Ended) -> None:
        self.ended.append(line)
        self._end.set()

    async def next_end(self) -> Ended:
        """The last call that ended, when one has."""
        while not self.ended:
            self._end.clear()
            await self._end.wait()
        return self.ended[-1]


class _Server(uvicorn.Server):
    """Says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()


@asynccontextmanager
async def listening(app: Any, **options: Any) -> AsyncIterator[int]:
    """Serve the application on a free port of the loopback; which one."""
    quiet: Any = {"log_config": None, "lifespan": "off", "access_log": False}
    server = _Server(uvicorn.Config(app, port=0, **quiet, **options))
    server.capture_signals = nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    await server.begun.wait()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task
