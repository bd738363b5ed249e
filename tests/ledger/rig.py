"""What the tests here share: a model that costs what it is told to, sinks that misbehave, ways to ask."""

import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from polyvox.assembly import failed, unfold
from polyvox.attempt import Stopwatch
from polyvox.errors import AbortedError, PolyvoxError, ServerError
from polyvox.events import Done, Event, Failed
from polyvox.ledger import CallRecord, Entry
from polyvox.messages import AssistantMessage, Message, Text, user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.usage import Cost, Usage

PATIENCE = 30.0
PRICED = Usage(10, 5, cost=Cost("known", 1_500))
UNPRICED = Usage(10, 5)
HI = Request(messages=[user("Hi.")])


class Leaf:
    """A model that enters one attempt per turn into the call: answers (strings) and errors."""

    def __init__(
        self, *turns: str | PolyvoxError, name: str = "test/leaf", usage: Usage = PRICED
    ) -> None:
        self.name = name
        self.turns = turns or ("Hello there.",)
        self.usage = usage

    def quote(self, request: Request) -> Usage:
        return self.usage

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        for turn in self.turns[:-1]:
            message = self._message("")
            error = turn if isinstance(turn, PolyvoxError) else ServerError("again")
            call.record(Stopwatch().attempt(message.provider, message.model, message, error))
        stopwatch, last = Stopwatch(), self.turns[-1]
        message = self._message(last if isinstance(last, str) else "")
        if isinstance(last, PolyvoxError):
            event = failed(last)
            event.message.usage = self.usage
            call.record(stopwatch.attempt(message.provider, message.model, message, last))
            yield event
            return
        ended = False
        try:
            for event in unfold(message, str.split):
                if isinstance(event, Done):
                    ended = True
                    call.record(stopwatch.attempt(message.provider, message.model, message, None))
                yield event
        finally:
            if not ended:
                message.stop_reason = "aborted"
                error = AbortedError("the reader left")
                call.record(stopwatch.attempt(message.provider, message.model, message, error))
                call.leave(message)

    def _message(self, text: str) -> AssistantMessage:
        provider, _, model = self.name.partition("/")
        content = [Text(text)] if text else []
        return AssistantMessage(content, provider=provider, model=model, usage=self.usage)


class Broken:
    """A sink that fails, until it is mended."""

    def __init__(self) -> None:
        self.tries = 0
        self.mended = False
        self.kept: list[CallRecord] = []

    def write(self, entries: Sequence[Entry]) -> None:
        self.tries += 1
        if not self.mended:
            raise OSError("the disk is full")
        self.kept.extend(entry.record for entry in entries)

    def close(self) -> None:
        raise OSError("it can't even be closed")


class Held:
    """A sink that writes nothing before it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go = threading.Event()
        self.kept: list[CallRecord] = []

    def write(self, entries: Sequence[Entry]) -> None:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        self.kept.extend(entry.record for entry in entries)

    def close(self) -> None:
        pass


async def ask(
    model: Model, *messages: Message, leave_after: int | None = None, call: Call | None = None
) -> list[Event]:
    """The events of a call; the reader leaves after so many of them."""
    request = Request(messages=list(messages)) if messages else HI
    heard: list[Event] = []
    async with aclosing(model.stream(request, call or Call())) as events:
        async for event in events:
            heard.append(event)
            if len(heard) == leave_after:
                break
    return heard


def ended(events: list[Event]) -> bool:
    """Whether the stream came to its own end."""
    return bool(events) and isinstance(events[-1], (Done, Failed))


def record(id: str = "one", text: str = "Hi.", **fields: object) -> CallRecord:
    """A record as ``Logged`` makes it."""
    given: dict[str, object] = {"time": 1_000.0, "model": "test/leaf", "seconds": 0.5}
    given["request"] = Request(messages=[user(text)])
    return CallRecord(id=id, **(given | fields))  # pyright: ignore[reportArgumentType]
