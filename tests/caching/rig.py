"""What the tests here share: a model that counts how often it is asked, clocks, ways to ask."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from polyvox.assembly import failed, fold, unfold
from polyvox.attempt import Stopwatch
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import Done, Event, Failed, Warned
from polyvox.messages import AssistantMessage, Text, user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.usage import Cost, Usage

T = TypeVar("T")

PATIENCE = 60.0
USED = Usage(5, 5, cost=Cost("known", 1_000))


def words(text: str) -> list[str]:
    return re.findall(r"\S*\s*", text)[:-1]


def saying(text: str, tenant: str = "", **call: object) -> tuple[Request, Call]:
    return Request(messages=[user(text)]), Call(tenant=tenant, **call)


def answer(text: str, **fields: object) -> AssistantMessage:
    return AssistantMessage([Text(text)], usage=USED, provider="test", model="one", **fields)


class Asked:
    """A model that gives these answers in turn, and then numbers: "answer 1", "answer 2", ...

    With a ``gate`` each answer begins, and goes on once that is open.
    """

    def __init__(
        self,
        *script: AssistantMessage | PolyvoxError,
        name: str = "test/one",
        gate: asyncio.Event | None = None,
        warning: str | None = None,
    ) -> None:
        self.name = name
        self.script = list(script)
        self.gate = gate
        self.warning = warning
        self.asked = 0
        self.begun = asyncio.Semaphore(0)

    def quote(self, request: Request) -> Usage:
        return USED

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        self.asked += 1
        says = self.script.pop(0) if self.script else answer(f"answer {self.asked}")
        message = says if isinstance(says, AssistantMessage) else answer("partial")
        told: list[Event] = []
        error: PolyvoxError | None = AbortedError("the reader left")
        try:
            for event in unfold(message, words):
                if told and len(told) == 1 and self.warning:
                    yield Warned(self.warning)
                told.append(event)
                if self.gate is not None and len(told) == 2:
                    self.begun.release()
                    await self.gate.wait()
                if len(told) == 2 and isinstance(says, PolyvoxError):
                    error = says
                    yield failed(says)
                    return
                error = None if isinstance(event, (Done, Failed)) else error
                yield event
        finally:
            call.record(Stopwatch().attempt("test", "one", message, error))
            if isinstance(error, AbortedError):
                call.leave(fold(told))


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def soon(awaitable: Awaitable[T]) -> T:
    """The awaitable's value; a test that waits for it in vain has failed."""
    return await asyncio.wait_for(awaitable, PATIENCE)


async def listen(model: Model, request: Request, call: Call) -> list[Event]:
    async with aclosing(model.stream(request, call)) as events:
        return [event async for event in events]


async def ask(model: Model, request: Request, call: Call) -> AssistantMessage:
    """The answer, or the error raised."""
    last = (await soon(listen(model, request, call)))[-1]
    if isinstance(last, Failed):
        raise last.error
    assert isinstance(last, Done)
    return last.message


async def turns(count: int = 20) -> None:
    """Let the others do what they can."""
    for _ in range(count):
        await asyncio.sleep(0)
