"""The endpoints of tenants over a real socket, for the commands that ask them."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from sqlalchemy import insert
from starlette.responses import Response
from starlette.routing import Router

from polyvox.config import Config
from polyvox.config.around import BudgetSection
from polyvox.dialects.openai_errors import encode_error
from polyvox.errors import PolyvoxError
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.endpoints import call_endpoints
from polyvox.gateway.asking.refusals import refusal
from polyvox.gateway.database.engine import Database
from polyvox.gateway.database.tables import calls
from polyvox.gateway.tenants.admin import admin_endpoints
from polyvox.gateway.tenants.directory import Directory
from polyvox.gateway.tenants.overview import limit_endpoints
from polyvox.gateway.tenants.own import own_endpoints
from polyvox.gateway.tenants.provider_keys import ProviderKeys
from polyvox.gateway.tenants.sealing import Sealing
from polyvox.gateway.tenants.store import Tenants
from polyvox.gateway.web.door import Door
from polyvox.gateway.web.endpoints import DOOR, MAX_BODY, routes_of
from polyvox.limits import MemoryLimits
from polyvox.secret import Secret

FILE = Config(budgets={"daily": BudgetSection(limit=20, per="day")})
ADMIN_KEY = "d41f0f7a9b3c58e26a7d1c0b94e8f35a"
DOLLAR = 1_000_000_000


class Served(msgspec.Struct):
    """A gateway that runs: where it is, and what is behind it."""

    url: str
    database: Database

    def env(self, key: str = ADMIN_KEY) -> dict[str, str]:
        return {"POLYVOX_GATEWAY_URL": self.url, "POLYVOX_GATEWAY_KEY": key}

    def call(self, id: str, **fields: Any) -> None:
        """Put a call on its books."""
        row = {"id": id, "at": 1_790_000_000.0, "model": "openai/gpt-5-mini", "status": "ok"}
        row |= {"cost_status": "known", "nanos": DOLLAR // 4, "tags": {}}
        row |= {"input_tokens": 1200, "output_tokens": 34, **fields}
        self.database.run_now(lambda c: c.execute(insert(calls).values(row)).rowcount)


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """A gateway on a free port, until the block is left."""
    database = Database(f"sqlite:///{folder / 'gateway.db'}")
    database.open_now()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as ``bind`` has it
    config = uvicorn.Config(_app(database), lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])))
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", database)
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
        database.close()


async def _nothing_waits() -> None:
    """There is no journal."""


def _app(database: Database) -> Any:
    directory = Directory({}, Secret(ADMIN_KEY), database=database)
    sealing = Sealing(Secret(ADMIN_KEY), {})
    admin = admin_endpoints(Tenants(database), ProviderKeys(database, sealing), directory)
    own = own_endpoints(database, MemoryLimits())
    own += limit_endpoints(directory, MemoryLimits(), lambda: FILE)
    router = Router(routes_of([*admin, *own, *call_endpoints(Calls(), database, _nothing_waits)]))
    door = Door(directory)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await router({**scope, DOOR: door, MAX_BODY: 1 << 20}, receive, send)
        except PolyvoxError as error:
            status, body, headers = refusal(error, encode_error)
            await Response(body, status, headers)(scope, receive, send)

    return app
