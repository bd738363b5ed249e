"""A gateway's dialects on a real socket, with keys and books that a test can look into."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.inside import Books, Keys, listening
from polyvox.client import AsyncClient
from polyvox.gateway.app import Application
from polyvox.gateway.asking.asking import Asking
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.dialects import DialectPaths
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.models import Models
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.door import Door
from polyvox.limits import MemoryLimits

MAX_BODY = 1 << 20


class Served:
    """A gateway that serves."""

    def __init__(self, client: AsyncClient) -> None:
        self.keys = Keys(good=Access(key="key_1", name="good"))
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


@asynccontextmanager
async def serving(client: AsyncClient) -> AsyncIterator[Served]:
    """Serve on a free port of the loopback."""
    served = Served(client)
    async with (
        listening(served.app, proxy_headers=False) as port,
        aiohttp.ClientSession() as http,
    ):
        served.url, served.http = f"http://127.0.0.1:{port}", http
        yield served


@pytest.fixture
def serve():
    """``async with serve(client) as gateway``."""
    return serving
