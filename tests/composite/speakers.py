"""Members that answer to cue and keep books, and ways of asking a composite made of them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from polyvox.assembly import failed, unfold
from polyvox.attempt import Stopwatch
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import Done, Event, Failed, Nested, Warned
from polyvox.messages import AssistantMessage, assistant, user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.usage import Cost, Usage

PATIENCE = 30.0
NANOS = 1_000

Turn = str | PolyvoxError | AssistantMessage | Sequence[Event | asyncio.Event]


class Speaker:
    """Plays its turns, the last one for ever; an ``asyncio.Event`` in a turn is waited for."""

    def __init__(self, name: str, *turns: Turn, on_asked: Callable[[], object] = int) -> None:
        self.name = name
        self.turns = turns
        self.requests: list[Request] = []
        self.asked = asyncio.Event()
        self.closed = 0
        self.on_asked = on_asked

    def quote(self, request: Request) -> Usage:
        return Usage(len(self.prompt_of(request)), 10, cost=Cost("known", nanos=NANOS))

    @property
    def prompt(self) -> str:
        """All that it was told the last time."""
        return self.prompt_of(self.requests[-1])

    @staticmethod
    def prompt_of(request: Request) -> str:
        system = "".join(block.text for block in request.system)
        return "\n".join([system, *(message.text for message in request.messages)])

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        turn = self.turns[min(len(self.requests), len(self.turns) - 1)]
        self.requests.append(request)
        self.asked.set()
        self.on_asked()
        stopwatch = Stopwatch()
        message = AssistantMessage([], usage=Usage(10, 5, cost=Cost("known", nanos=NANOS)))
        recorded = False
        try:
            for cue in cues(turn):
                if isinstance(cue, asyncio.Event):
                    await cue.wait()
                    continue
                if isinstance(cue, (Done, Failed)):
                    cue.message.usage = message.usage
                    cue.message.provider, cue.message.model = "test", self.name
                    recorded = True
                    error = cue.error if isinstance(cue, Failed) else None
                    call.record(stopwatch.attempt("test", self.name, message, error))
                yield cue
        except (GeneratorExit, asyncio.CancelledError):
            self.closed += 1
            if not recorded:
                call.record(stopwatch.attempt("test", self.name, message, AbortedError("left")))
            raise


def cues(turn: Turn) -> Sequence[Event | asyncio.Event]:
    if isinstance(turn, str):
        turn = assistant(turn)
    if isinstance(turn, AssistantMessage):
        return list(unfold(turn))
    if isinstance(turn, PolyvoxError):
        return [failed(type(turn)(turn.text))]
    return turn


def never() -> list[Event | asyncio.Event]:
    """The turn of one who never answers, whatever the deadline."""
    return [asyncio.Event(), *unfold(assistant("too late"))]


def together(count: int) -> Callable[[str], Speaker]:
    """Makes speakers of whom none goes on before ``count`` have been asked."""
    all_asked = asyncio.Event()
    asked: list[None] = []

    def one_more() -> None:
        asked.append(None)
        if len(asked) == count:
            all_asked.set()

    return lambda name: Speaker(
        name, [all_asked, *unfold(assistant(f"{name}'s answer"))], on_asked=one_more
    )


async def ask(
    model: Model, request: Request | str = "Why is the sky blue?", call: Call | None = None
) -> list[Event]:
    """All events of an answer, which keep the grammar; no task of it is left behind."""
    if isinstance(request, str):
        request = Request(messages=[user(request)])
    before = asyncio.all_tasks()
    async with (
        asyncio.timeout(PATIENCE),
        aclosing(model.stream(request, call or Call())) as events,
    ):
        heard = [event async for event in events]
    check_grammar(heard)
    assert asyncio.all_tasks() <= before
    return heard


async def reply_of(
    model: Model, request: Request | str = "Why is the sky blue?", call: Call | None = None
) -> AssistantMessage:
    last = (await ask(model, request, call))[-1]
    assert isinstance(last, Done), last
    return last.message


async def error_of(
    model: Model, request: Request | str = "Why is the sky blue?", call: Call | None = None
) -> PolyvoxError:
    last = (await ask(model, request, call))[-1]
    assert isinstance(last, Failed), last
    assert last.error.message is last.message
    return last.error


def warnings(heard: Sequence[Event]) -> list[str]:
    return [event.text for event in heard if isinstance(event, Warned)]


def paths(heard: Sequence[Event]) -> set[tuple[str, ...]]:
    return {tuple(event.path) for event in heard if isinstance(event, Nested)}
