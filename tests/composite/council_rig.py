"""Members of a council for the tests: they answer to cue, and review by taste, whatever the labels."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from polyvox.assembly import failed, unfold
from polyvox.attempt import Stopwatch
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import Done, Event, Failed
from polyvox.messages import AssistantMessage, ToolCall, assistant, user
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.usage import Cost, Usage

SHOWN = re.compile(r'<response name="(Response [A-Z0-9]+)">\n(.*?)\n</response>', re.DOTALL)
USAGE = Usage(10, 5, cost=Cost("known", 1_000))

Say = str | ToolCall | PolyvoxError


def is_review(request: Request) -> bool:
    return "Do not answer it yourself" in request.messages[-1].text


def is_chair(request: Request) -> bool:
    return any("You speak for a council" in text.text for text in request.system)


def prompt_of(request: Request) -> str:
    """All that a model is told in words."""
    parts = [text.text for text in request.system]
    return "\n".join([*parts, *(message.text for message in request.messages)])


def shown(request: Request) -> dict[str, str]:
    """The answers in a prompt, by label."""
    return dict(SHOWN.findall(prompt_of(request)))


def by_taste(request: Request, taste: Sequence[str]) -> str:
    """A review that ranks what it was shown by what comes first in the taste."""
    labels = {text: label for label, text in shown(request).items()}
    liked = [labels[text] for text in taste if text in labels] or list(labels.values())
    lines = "\n".join(f"{place}. {label}" for place, label in enumerate(liked, 1))
    return f"I like {liked[0]} best.\n\nFINAL RANKING:\n{lines}"


class Voice:
    """A model that gives its opinion, reviews by its taste and speaks as the chairman.

    What it says in a stage may be an error. ``gates`` are waited for before it says anything in the
    stage; ``reached`` is set when it is asked there.
    """

    def __init__(
        self,
        name: str,
        opinion: Say,
        taste: Sequence[str] | Say | None = None,
        final: Say = "The council's answer.",
    ) -> None:
        self.name = name
        self.opinion, self.taste, self.final = opinion, taste, final
        self.requests: list[Request] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.reached: dict[str, asyncio.Event] = {
            stage: asyncio.Event() for stage in ("opinion", "review", "final")
        }
        self.cancelled = 0

    def quote(self, request: Request) -> Usage:
        return Usage(100, 50, basis="estimated", cost=Cost("known", 10_000))

    def reviews(self) -> list[Request]:
        return [request for request in self.requests if is_review(request)]

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        self.requests.append(request)
        stage = "review" if is_review(request) else "final" if is_chair(request) else "opinion"
        self.reached[stage].set()
        provider, _, model = self.name.partition("/")
        stopwatch = Stopwatch()
        message = AssistantMessage([], usage=USAGE, provider=provider, model=model)
        try:
            if stage in self.gates:
                await self.gates[stage].wait()
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled += 1
            call.record(stopwatch.attempt(provider, model, message, AbortedError("left")))
            raise
        said = self._said(request, stage)
        if isinstance(said, PolyvoxError):
            said.provider, said.model = provider, model
            call.record(stopwatch.attempt(provider, model, message, said))
            yield failed(said)
            return
        message = assistant(said)
        message.provider, message.model, message.usage = provider, model, USAGE
        message.stop_reason = "tool_calls" if isinstance(said, ToolCall) else "stop"
        call.record(stopwatch.attempt(provider, model, message, None))
        for event in unfold(message, words):
            yield event

    def _said(self, request: Request, stage: str) -> Say:
        if stage == "opinion":
            return self.opinion
        if stage == "final":
            return self.final
        if isinstance(self.taste, (str, ToolCall, PolyvoxError)):
            return self.taste
        return by_taste(request, self.taste or list(shown(request).values()))


def words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


async def ask(
    model: Model,
    request: Request | None = None,
    call: Call | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Event]:
    """All events of the answer, which keep the grammar."""
    told: list[Event] = []
    async with aclosing(
        model.stream(request or Request(messages=[user("Why?")]), call or Call())
    ) as events:
        async for event in events:
            told.append(event)
            on_event(event)
    check_grammar(told)
    return told


def answer(events: Sequence[Event]) -> AssistantMessage:
    last = events[-1]
    assert isinstance(last, Done), last
    return last.message


def error(events: Sequence[Event]) -> PolyvoxError:
    last = events[-1]
    assert isinstance(last, Failed), last
    return last.error
