"""A gateway with a WebSocket on a real server, real clients for it, and a model whose pace a test sets."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import websockets
from websockets.asyncio.client import ClientConnection

from gateway.inside import Books, Keys
from polyvox.agent import Agent
from polyvox.assembly import unfold
from polyvox.client import AsyncClient
from polyvox.events import Event, TextDelta
from polyvox.gateway.app import Application
from polyvox.gateway.asking.asking import Asking
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.dialects import DialectPaths
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.models import Models
from polyvox.gateway.live.agents import Agents
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.bounds import Bounds
from polyvox.gateway.live.deciding import Deciding
from polyvox.gateway.live.socket import Live
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.serving.servers import server_of
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.door import Door
from polyvox.limits import MemoryLimits
from polyvox.messages import AssistantMessage, Text
from polyvox.model import Call, Interrupt
from polyvox.request import Request
from polyvox.usage import Usage

MAX_BODY = 1 << 20


class Paced:
    """Says "0 1 2 ..." as far as it may: ``allow`` lets some more words go."""

    name = "mock/paced"

    def __init__(self, words: int, size: int = 1) -> None:
        self._text = [f"{number} " * size for number in range(words)]
        self._allowed = asyncio.Semaphore(0)
        self.said = 0

    @property
    def text(self) -> str:
        return "".join(self._text)

    def allow(self, words: int) -> None:
        for _ in range(words):
            self._allowed.release()

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        answer = AssistantMessage(
            [Text(self.text)], usage=Usage(input_tokens=5, output_tokens=len(self._text))
        )
        for event in unfold(answer, lambda _: self._text):
            if isinstance(event, TextDelta):
                await self._allowed.acquire()
                self.said += 1
            yield event


async def turns(count: int = 100) -> None:
    """Let everything that may go on do so for some turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


class Client:
    """A client of the WebSocket: ``messages`` are all that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def start(self, id: str, model: str = "openai/gpt-5-mini", **fields: Any) -> None:
        await self.say("start", **{"id": id, "model": model, "messages": "Hello?", **fields})

    async def next(self, kind: str = "", id: str | None = None) -> dict[str, Any]:
        """The next message, or the next of this kind and call; those before it are kept as well."""
        while True:
            message: dict[str, Any] = json.loads(await self.socket.recv())
            self.messages.append(message)
            fits = not kind or message["type"] == kind
            if fits and (id is None or message.get("id") == id):
                return message

    async def event(self, kind: str, id: str | None = None) -> dict[str, Any]:
        """The next event of this kind."""
        while True:
            message = await self.next("event", id)
            if message["event"]["type"] == kind:
                return message["event"]

    def of(self, id: str) -> list[dict[str, Any]]:
        """All numbered messages of a call."""
        return [each for each in self.messages if each.get("id") == id and "seq" in each]

    def text(self, id: str) -> str:
        """What the answer's text deltas have said."""
        events = [each["event"] for each in self.of(id) if each["type"] == "event"]
        return "".join(each["text"] for each in events if each["type"] == "text_delta")

    def nested(self, id: str) -> list[str]:
        """The kinds of the nested events of a call."""
        events = [each["event"] for each in self.of(id) if each["type"] == "event"]
        return [each["event"]["type"] for each in events if each["type"] == "nested"]


class Gateway:
    """A gateway that serves."""

    def __init__(
        self,
        client: AsyncClient,
        agents: Mapping[str, Agent[Any]],
        bounds: Bounds,
        origins: tuple[str, ...],
    ) -> None:
        self.keys = Keys(
            good=Access(key="key_good", organisation="one"),
            mate=Access(key="key_mate", organisation="one"),
            other=Access(key="key_other", organisation="two"),
            chat_only=Access(key="key_chat", organisation="one", routes=("chat",)),
        )
        self.books = Books()
        self.calls = Calls()
        self.draining = Interrupt()
        self.now = 1_000.0
        approvals = Approvals(clock=lambda: self.now)
        self.agents = Agents(agents, self.calls, approvals)
        self.admission = Admission(100, 100, 5.0, draining=self.draining)
        models = Models(client, ("*",), list, {"agent": self.agents})
        self.asking = Asking(models, Gates(MemoryLimits()), self.books, self.calls)
        door = Door(self.keys)
        self.live = Live(
            self.asking,
            door,
            self.admission,
            approvals,
            origins=origins,
            bounds=bounds,
            draining=self.draining,
        )
        paths = DialectPaths(self.asking, door, self.admission, MAX_BODY)
        endpoints = Deciding(approvals, self.asking, self.admission).endpoints()
        self.app = Application(paths, endpoints, door, MAX_BODY, sockets={"/v1/ws": self.live})
        self.address = ""
        self.http: aiohttp.ClientSession

    @asynccontextmanager
    async def connected(self, key: str | None = "good", **options: Any) -> AsyncIterator[Client]:
        """A client with this key."""
        if key is not None:
            options["additional_headers"] = {"authorization": f"Bearer {key}"}
        async with websockets.connect(f"ws://{self.address}/v1/ws", **options) as socket:
            yield Client(socket)

    async def ask(self, method: str, path: str, body: object = None, key: str = "good"):
        """The status and the JSON of an answer over HTTP."""
        headers = {"authorization": f"Bearer {key}"}
        url = f"http://{self.address}{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def serving(
    client: AsyncClient,
    *,
    agents: Mapping[str, Agent[Any]] | None = None,
    bounds: Bounds | None = None,
    origins: tuple[str, ...] = (),
    server: Any = "uvicorn",
) -> AsyncIterator[Gateway]:
    """Serve on a free port of the loopback."""
    gateway = Gateway(client, agents or {}, bounds or Bounds(), origins)
    listening = socket.create_server(("127.0.0.1", 0), backlog=100)
    listening.setblocking(False)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as ``bind`` has it
    gateway.address = f"127.0.0.1:{listening.getsockname()[1]}"
    serves = server_of(server, gateway.app, listening)
    task = asyncio.create_task(serves.serve())
    try:
        async with aiohttp.ClientSession() as http:
            gateway.http = http
            yield gateway
    finally:
        await gateway.live.aclose()
        serves.stop()
        await task
        await gateway.agents.aclose()


def reaching(openai: str, anthropic: str = "http://127.0.0.1:9") -> AsyncClient:
    """A client for which OpenAI and Anthropic are these mocks."""
    urls = {"openai": openai, "anthropic": anthropic}
    return AsyncClient(base_urls=urls, keys=dict.fromkeys(urls, "sk-mock"))
