"""What the tests here share: a server that acts to cue, ways of asking, and things to wait for."""

import asyncio
import gc
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TypeVar

from polyvox import AsyncClient, Client
from polyvox.assembly import unfold
from polyvox.events import Event, Start, TextDelta, TextStart, ToolCallDelta, ToolCallStart
from polyvox.http import HttpRequest, HttpResponse, Timeouts, Transport
from polyvox.messages import Prompt, assistant, user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.transport import AiohttpTransport

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which a test that waits for an event has failed."""

CANARY = "sk-canary-do-not-tell-4711"
MODELS = {"openai-chat": "openai/gpt-4o-mini", "anthropic-messages": "anthropic/claude-sonnet-4-5"}
PROVIDERS = {dialect: name.partition("/")[0] for dialect, name in MODELS.items()}
DIALECTS = list(MODELS)

Cue = Event | asyncio.Event
"""What an act consists of: events to say, and events to wait for."""


async def soon(awaitable: Awaitable[T]) -> T:
    """The awaitable's value; a test that waits for it in vain has failed."""
    return await asyncio.wait_for(awaitable, PATIENCE)


async def until(condition: Callable[[], bool]) -> None:
    """For what the kernel and the garbage collector do without telling."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def elsewhere(work: Callable[[], T]) -> T:
    """Run synchronous code in a thread, while the servers go on here."""
    return await soon(asyncio.to_thread(work))


def open_sockets() -> int:
    """How many sockets this process holds."""

    def target(fd: str) -> str:
        with suppress(OSError):
            return os.readlink(f"/proc/self/fd/{fd}")
        return ""

    return sum(target(fd).startswith("socket:") for fd in os.listdir("/proc/self/fd"))


def living(*modules: str) -> int:
    """How many objects of these modules the garbage collector knows."""
    gc.collect()
    return sum(str(type(each).__module__).startswith(modules) for each in gc.get_objects())


class Acting:
    """A model that says what its acts say, cue by cue: one act per call, the last one again and again."""

    name = "test/acting"

    def __init__(self, *acts: list[Cue]) -> None:
        self.acts = list(acts)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
        for cue in act:
            if isinstance(cue, asyncio.Event):
                await cue.wait()
            else:
                yield cue


def for_ever() -> asyncio.Event:
    """A cue that never comes."""
    return asyncio.Event()


GREETING: list[Cue] = list(unfold(assistant("Hello.")))
HALF_TEXT: list[Cue] = [Start(), TextStart(0), TextDelta(0, "Hel"), TextDelta(0, "lo wor")]
HALF_CALL: list[Cue] = [
    Start(),
    ToolCallStart(0, "call_1", "weather"),
    ToolCallDelta(0, '{"city": '),
    ToolCallDelta(0, '"Osl'),
]


def settings(dialect: str, url: str) -> dict[str, dict[str, str]]:
    """How a client is told of a server, and the key it must never tell."""
    provider = PROVIDERS[dialect]
    return {"keys": {provider: CANARY}, "base_urls": {provider: url}}


def async_client(
    dialect: str,
    url: str,
    *,
    transport: Transport | None = None,
    timeouts: Timeouts | None = None,
) -> AsyncClient:
    return AsyncClient(**settings(dialect, url), transport=transport, timeouts=timeouts)


def sync_client(
    dialect: str,
    url: str,
    *,
    transport: Transport | None = None,
    timeouts: Timeouts | None = None,
) -> Client:
    return Client(**settings(dialect, url), transport=transport, timeouts=timeouts)


async def listen(model: Model, prompt: Prompt = "Hi.", *, stream: bool = True) -> list[Event]:
    """All events of one answer, which must keep the grammar."""
    messages = [user(prompt)] if isinstance(prompt, str) else list(prompt)
    request = Request(messages=messages, stream=stream)
    async with aclosing(model.stream(request, Call())) as events:
        heard = [event async for event in events]
    check_grammar(heard)
    return heard


class Tapped:
    """A transport that tells how far an exchange has come: asked, answered, and every byte read."""

    def __init__(self, inner: AiohttpTransport) -> None:
        self.inner = inner
        self.asked = 0
        self.answered = 0
        self.read = b""

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.asked += 1
        response = await self.inner.send(request)
        self.answered += 1
        return _TappedResponse(response, self)


class _TappedResponse:
    def __init__(self, response: HttpResponse, tap: Tapped) -> None:
        self._response = response
        self._tap = tap
        self.status = response.status
        self.headers = response.headers
        self.body = self._pieces()

    async def _pieces(self) -> AsyncGenerator[bytes]:
        async with aclosing(self._response.body) as body:
            async for piece in body:
                self._tap.read += piece
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()
