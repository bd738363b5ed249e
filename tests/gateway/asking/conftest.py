"""A gateway's dialects on a real socket, with keys and books that a test can look into."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

import aiohttp
import pytest
import uvicorn

from polyvox.attempt import Attempt
from polyvox.client import AsyncClient
from polyvox.errors import AuthenticationError
from polyvox.gateway.app import Application
from polyvox.gateway.asking.asking import Asking
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.dialects import DialectPaths
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.models import Models
from polyvox.gateway.journal.lines import Begun, Ended
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.door import Door
from polyvox.limits import MemoryLimits

MAX_BODY = 1 << 20


class Keys:
    """Whose keys are known: by the key itself."""

    def __init__(self) -> None:
        self.known = {"good": Access(key="key_1", name="good")}
        self.asked: list[tuple[str, str | None]] = []

    def find(self, secret: str, address: str | None) -> Access:
        self.asked.append((secret, address))
        if secret not in self.known:
            raise AuthenticationError("this key is not known")
        return self.known[secret]


class Books:
    """What was written down."""

    def __init__(self) -> None:
        self.begun: list[Begun] = []
        self.attempts: list[tuple[str, Attempt]] = []
        self.ended: list[Ended] = []
        self._end = asyncio.Event()

    def begin(self, line: Begun) -> None:
        self.begun.append(line)

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


class Served:
    """A gateway that serves."""

    def __init__(self, client: AsyncClient) -> None:
        self.keys = Keys()
        self.books = Books()
        self.calls = Calls()
        self.admission = Admission(100, 100, 5.0)
        self.asking = Asking(
            Models(client, ("*",), lambda: ["simulated/echo", "openai/gpt-5-mini"]),
            Gates(MemoryLimits()),
            self.books,
            self.calls,
        )
        door = Door(self.keys)
        paths = DialectPaths(self.asking, door, self.admission, MAX_BODY)
        self.app = Application(paths, [], door, MAX_BODY)
        self.url = ""
        self.http: aiohttp.ClientSession

    async def post(self, path: str, body: object, key: str = "good", **headers: str):
        """The status and the JSON of the answer."""
        given = {"authorization": f"Bearer {key}", **headers}
        async with self.http.post(self.url + path, json=body, headers=given) as answer:
            return answer.status, await answer.json()


class _Server(uvicorn.Server):
    """Says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()


@asynccontextmanager
async def serving(client: AsyncClient) -> AsyncIterator[Served]:
    """Serve on a free port of the loopback."""
    served = Served(client)
    config = uvicorn.Config(
        served.app, port=0, log_config=None, lifespan="off", access_log=False, proxy_headers=False
    )
    server = _Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    await server.begun.wait()
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    served.url = f"http://{host}:{port}"
    async with aiohttp.ClientSession() as http:
        served.http = http
        yield served
    server.should_exit = True
    await task


@pytest.fixture
def serve():
    """``async with serve(client) as gateway``."""
    return serving
