"""Files and batches on a real socket, before a provider that a test can hold back."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.inside import Books, Keys, listening
from polyvox.assembly import unfold
from polyvox.client import AsyncClient
from polyvox.events import Event
from polyvox.gateway.app import Application
from polyvox.gateway.asking.asking import Asking
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.dialects import DialectPaths
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.models import Models
from polyvox.gateway.batches.answering import Answering
from polyvox.gateway.batches.bounds import Bounds
from polyvox.gateway.batches.endpoints import Batches
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.runner import Runner
from polyvox.gateway.batches.turns import Room
from polyvox.gateway.database.engine import Database
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.gateway.web.door import Door
from polyvox.limits import MemoryLimits
from polyvox.messages import AssistantMessage, Text
from polyvox.model import Call
from polyvox.request import Request
from polyvox.testing import MockProvider
from polyvox.usage import Usage

MAX_BODY = 1 << 20
QUICK = Bounds(tick=0.02, per_batch=4)

ADA = Access(key="key_ada", organisation="acme")
BOB = Access(key="key_bob", organisation="binary")


class Held:
    """Answers with what it is asked; questions that begin with "hold" wait until they are let go."""

    name = "mock/held"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answered: list[str] = []
        self._go = asyncio.Event()
        self._come = asyncio.Condition()

    def release(self) -> None:
        self._go.set()

    async def wait_for(self, count: int) -> None:
        """Until so many were asked."""
        async with self._come:
            await self._come.wait_for(lambda: len(self.asked) >= count)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        question = request.messages[-1].content[0].text  # type: ignore[union-attr]
        self.asked.append(question)
        async with self._come:
            self._come.notify_all()
        if question.startswith("hold"):
            await self._go.wait()
        self.answered.append(question)
        usage = Usage(input_tokens=3, output_tokens=5)
        for event in unfold(AssistantMessage([Text(f"you said {question}")], usage=usage), list):
            yield event


class Rig:
    """A gateway with files and batches."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        client: AsyncClient,
        *,
        bounds: Bounds = QUICK,
        room: Room | None = None,
        clock: Callable[[], float] = time.time,
        **more: Any,
    ) -> None:
        self.keys = Keys(ada=ADA, bob=BOB, admin=ADMIN)
        self.calls = Calls()
        asking = Asking(
            Models(client, ("*",), lambda: ["openai/gpt-5-mini"]),
            Gates(MemoryLimits()),
            Books(),
            self.calls,
        )
        self.database = database
        self.files = Files(database, folder / "files", bounds, clock=clock)
        self.runner = Runner(
            *(database, self.files, folder / "batches", Answering(asking, self.keys), bounds),
            room=room,
            clock=clock,
            **more,
        )
        batches = Batches(database, self.files, bounds, wake=self.runner.wake, clock=clock)
        door = Door(self.keys)
        paths = DialectPaths(asking, door, Admission(100, 100, 5.0), MAX_BODY)
        self.app = Application(paths, batches.endpoints(), door, MAX_BODY)
        self.url = ""

    def client(self, key: str = "ada") -> openai.AsyncOpenAI:
        """OpenAI's own client."""
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)


@asynccontextmanager
async def served(rig: Rig) -> AsyncIterator[Rig]:
    """Serve it on a free port of the loopback."""
    async with listening(rig.app) as port:
        rig.url = f"http://127.0.0.1:{port}"
        rig.runner.start()
        try:
            yield rig
        finally:
            await rig.runner.aclose()


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
async def provider(held: Held) -> AsyncIterator[MockProvider]:
    async with MockProvider("openai-chat", model=held) as mock:
        yield mock
        held.release()


@pytest.fixture
async def upstream(provider: MockProvider) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        keys={"openai": "sk-mock"}, base_urls={"openai": provider.url}
    ) as client:
        yield client


@pytest.fixture
def rig(
    database: Database, tmp_path: Path, upstream: AsyncClient
) -> Callable[..., "asynccontextmanager[Rig]"]:
    """``async with rig(bounds=...) as gateway``."""
    return lambda **more: served(Rig(database, tmp_path, upstream, **more))


def line(custom_id: str, text: str, **more: Any) -> dict[str, Any]:
    """A request of a batch."""
    body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": text}]}
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": body,
    } | more


def jsonl(*lines: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


async def begun(
    client: openai.AsyncOpenAI, data: bytes, endpoint: Any = "/v1/chat/completions", **more: Any
) -> Any:
    """A batch of these lines."""
    file = await client.files.create(file=("in.jsonl", data), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more
    )


async def until(client: openai.AsyncOpenAI, id: str, *statuses: str) -> Any:
    """The batch, when it has one of these statuses; by default when it is over."""
    wanted = statuses or ("completed", "failed", "expired", "cancelled")
    while (batch := await client.batches.retrieve(id)).status not in wanted:  # noqa: ASYNC110
        await asyncio.sleep(0.01)  # another process may work on it: nothing but asking tells
    return batch


async def lines_of(client: openai.AsyncOpenAI, id: str | None) -> list[Any]:
    if id is None:
        return []
    content = await client.files.content(id)
    return [json.loads(each) for each in content.text.splitlines()]
