"""What the tests here share: a clock to turn by hand, models that answer to cue, ways of asking."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from polyvox.assembly import failed, unfold
from polyvox.attempt import Stopwatch
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import Done, Event, Failed, TextDelta
from polyvox.messages import AssistantMessage, assistant, user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.usage import Usage

PATIENCE = 30.0

Cue = Event | asyncio.Event
Turn = str | PolyvoxError | Sequence[Cue]


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Voice:
    """A model that plays its turns, the last one for ever, and enters each attempt into the call."""

    def __init__(
        self,
        *turns: Turn,
        name: str = "test/voice",
        usage: Usage | None = None,
        cost: Usage | None = None,
    ) -> None:
        self.turns = list(turns) or ["Hello."]
        self.name = name
        self.usage = usage or Usage(3, 2)
        self.cost = cost
        self.asked = 0
        self.quoted = 0
        self.calls: list[Call] = []
        self.was_asked = asyncio.Event()
        self.closed = 0

    def quote(self, request: Request) -> Usage:
        self.quoted += 1
        return self.cost or self.usage

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        turn = self.turns[min(self.asked, len(self.turns) - 1)]
        self.asked += 1
        self.calls.append(call)
        self.was_asked.set()
        stopwatch = Stopwatch()
        provider, _, model = self.name.partition("/")
        message = AssistantMessage([], usage=self.usage)
        ended = False
        try:
            for cue in cues(turn):
                if isinstance(cue, asyncio.Event):
                    await cue.wait()
                    continue
                if isinstance(cue, (Done, Failed)):
                    ended = True
                    error = getattr(cue, "error", None)
                    call.record(stopwatch.attempt(provider, model, message, error))
                yield cue
        except (GeneratorExit, asyncio.CancelledError):
            self.closed += 1
            if not ended:
                left = AbortedError("the reader left")
                call.record(stopwatch.attempt(provider, model, message, left))
            raise


def cues(turn: Turn) -> Sequence[Cue]:
    if isinstance(turn, str):
        return list(unfold(assistant(turn)))
    if isinstance(turn, PolyvoxError):
        return [failed(fresh(turn))]
    return turn


def fresh(error: PolyvoxError) -> PolyvoxError:
    """The same failure again, as another exception."""
    copy = type(error)(error.text)
    copy.__dict__.update(error.__dict__)
    copy.attempts = []
    return copy


def request(text: str = "Hi.", **fields: object) -> Request:
    return Request(messages=[user(text)], **fields)


async def ask(model: Model, call: Call | None = None) -> list[Event]:
    """All events of one answer, which must keep the grammar."""
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(model.stream(request(), call or Call())) as events,
    ):
        heard = [event async for event in events]
    check_grammar(heard)
    return heard


async def text_of(model: Model, call: Call | None = None) -> str:
    """The text of an answer, as its reader puts it together."""
    heard = await ask(model, call)
    assert isinstance(heard[-1], Done), heard[-1]
    text = "".join(event.text for event in heard if isinstance(event, TextDelta))
    assert text == heard[-1].message.text
    return text


async def error_of(model: Model, call: Call | None = None) -> PolyvoxError:
    """How an answer failed."""
    last = (await ask(model, call))[-1]
    assert isinstance(last, Failed), last
    assert last.error.message is last.message
    return last.error
