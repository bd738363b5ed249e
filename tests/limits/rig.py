"""What the tests here share: models whose cost is known beforehand, clocks that stand, ways to ask."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from typing import TypeVar

from polyvox.assembly import failed, fold, unfold
from polyvox.attempt import Stopwatch
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import Done, Event, Failed
from polyvox.limits.meters import Calendar, Window
from polyvox.messages import AssistantMessage, Text, user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.usage import Cost, Usage

T = TypeVar("T")

DOLLAR = 1_000_000_000
PATIENCE = 60.0
HI = Request(messages=[user("Hi.")])


def dollars(amount: float, tokens: int = 10) -> Usage:
    return Usage(tokens // 2, tokens - tokens // 2, cost=Cost("known", round(amount * DOLLAR)))


class Priced:
    """A model that may cost so much, and then does cost so much: one usage for each attempt.

    With a ``gate`` it answers only once that is open.
    """

    def __init__(
        self,
        quoted: Usage,
        *used: Usage,
        name: str = "test/priced",
        gate: asyncio.Event | None = None,
        error: PolyvoxError | None = None,
    ) -> None:
        self.name = name
        self.quoted = quoted
        self.used = used or (quoted,)
        self.gate = gate
        self.error = error
        self.asked = 0
        self.waiting = asyncio.Event()

    def quote(self, request: Request) -> Usage:
        return self.quoted

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        self.asked += 1
        provider, _, model = self.name.partition("/")
        message = AssistantMessage([Text("Hello.")], provider=provider, model=model)
        *earlier, message.usage = self.used
        for usage in earlier:
            self._record(call, usage, AbortedError("tried again"))
        told: list[Event] = []
        try:
            for event in unfold(message, str.split):
                if self.gate is not None and len(told) == 2:
                    self.waiting.set()
                    await self.gate.wait()
                told.append(event)
                if isinstance(event, Done):
                    self._record(call, message.usage, self.error)
                    if self.error is not None:
                        event = failed(self.error)
                yield event
        except (asyncio.CancelledError, GeneratorExit):
            if not told or not isinstance(told[-1], Done):
                self._record(call, message.usage, AbortedError("the reader left"))
                call.leave(fold(told))
            raise

    def _record(self, call: Call, usage: Usage, error: PolyvoxError | None) -> None:
        provider, _, model = self.name.partition("/")
        message = AssistantMessage([], provider=provider, model=model, usage=usage)
        call.record(Stopwatch().attempt(provider, model, message, error))


class Clock:
    """A clock that is moved by hand."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Turning(Calendar):
    """Windows that are turned by hand, whatever the clock says."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        super().__init__("day")
        self.number = 0

    def window(self, now: float) -> Window:
        return Window(self.number, 0, 2**40)


async def soon(awaitable: Awaitable[T]) -> T:
    """The awaitable's value; a test that waits for it in vain has failed."""
    return await asyncio.wait_for(awaitable, PATIENCE)


async def listen(model: Model, call: Call | None = None, request: Request = HI) -> list[Event]:
    async with aclosing(model.stream(request, call or Call())) as events:
        return [event async for event in events]


async def ask(model: Model, call: Call | None = None, request: Request = HI) -> AssistantMessage:
    """The answer, or the error raised."""
    last = (await soon(listen(model, call, request)))[-1]
    if isinstance(last, Failed):
        raise last.error
    assert isinstance(last, Done)
    return last.message
