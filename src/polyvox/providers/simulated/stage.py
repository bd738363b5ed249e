"""What simulated models share: their options, and how an answer is told at a pace.

A simulated model behaves as one over a network does. It honours the call's interrupt and deadline
while it waits, keeps what it has said when it is broken off, and leaves that in ``call.partial``
when its stream is closed or its task cancelled.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Annotated, Generic, TypeVar
from zlib import crc32

import msgspec
from msgspec.structs import replace

from polyvox import jsontext
from polyvox.assembly import failed, fold, unfold
from polyvox.attempt import Stopwatch
from polyvox.catalog import ModelFacts
from polyvox.catalog.prices import Tariff
from polyvox.dialects.kept import check_kept
from polyvox.errors import AbortedError, BadRequestError, PolyvoxError
from polyvox.events import (
    CONTENT_EVENTS,
    Done,
    Event,
    Failed,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    UserMessage,
)
from polyvox.model import Call
from polyvox.providers.simulated.tokens import pieces, usage_of
from polyvox.quote import priced, worst_usage
from polyvox.request import Request
from polyvox.suggestions import hint_for
from polyvox.usage import FREE, ZERO_USAGE, Cost, Usage
from polyvox.waiting import Waiter

PROVIDER = "simulated"

_DELTAS = (TextDelta, ThinkingDelta, ToolCallDelta)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every simulated model can be told in ``Request.options["simulated"]``.

    ``tokens_per_second``  how fast it speaks; None: all at once
    ``first_token_delay``  how many seconds it waits before it begins to speak
    """

    tokens_per_second: Annotated[float, msgspec.Meta(gt=0)] | None = None
    first_token_delay: Annotated[float, msgspec.Meta(ge=0)] = 0.0


OptionsT = TypeVar("OptionsT", bound=Options)


class SimulatedModel(Generic[OptionsT]):
    """Make up an answer without a network, and tell it at the pace that the options ask for."""

    def __init__(self, name: str, options: type[OptionsT]) -> None:
        self._name = name
        self._options = options
        self._pricing: Callable[[Usage], Cost] | None = None
        self._most_tokens: int | None = None

    @property
    def name(self) -> str:
        """The name it is asked by, such as "simulated/echo"."""
        return self._name

    def pretend(self, facts: ModelFacts) -> None:
        """Cost what these facts say, and write no more: so that budgets have something to count."""
        self._pricing = Tariff(facts) if facts.prices else None
        self._most_tokens = facts.max_output_tokens

    def compose(self, request: Request, options: OptionsT) -> Iterable[Event]:
        """The whole answer as events. Raises ``PolyvoxError`` when there is none to this request."""
        raise NotImplementedError

    def quote(self, request: Request) -> Usage:
        """The most tokens that answering may use; they are free, unless it pretends to a price."""
        worst = worst_usage(request, self._most_tokens)
        return replace(worst, cost=FREE) if self._pricing is None else priced(worst, self._pricing)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as events; a failure is the last of them."""
        try:
            check_kept(request)
            options = read_options(self._options, request, self.name)
            answer = self.compose(request, options)
        except PolyvoxError as error:
            yield self._by_me(failed(error))
            return
        told = map(self._by_me, answer)
        book = _Book(call, self._pricing)
        async with aclosing(_perform(told, options, request, book)) as events:
            async for event in events:
                yield self._by_me(event)

    def say(
        self, request: Request, blocks: list[AssistantBlock], stop_reason: StopReason = "stop"
    ) -> AssistantMessage:
        """A message of this model, with its usage."""
        provider, _, model = self.name.partition("/")
        answer_id = f"sim_{crc32(jsontext.encode(request.messages)):08x}"
        message = AssistantMessage(
            blocks, stop_reason, provider=provider, model=model, response_model=model, id=answer_id
        )
        message.usage = usage_of(request, message)
        return message

    def say_text(self, request: Request, text: str) -> Iterable[Event]:
        """A text as an answer, kept to the request's ``max_tokens`` and ``stop``."""
        text, stop_reason, stop_sequence = _limited(text, request, self._most_tokens)
        message = self.say(request, [Text(text)] if text else [], stop_reason)
        message.stop_sequence = stop_sequence
        return unfold(message, pieces)

    def _by_me(self, event: Event) -> Event:
        if type(event) is Failed:
            provider, _, model = self.name.partition("/")
            for told in (event.error, event.message):
                told.provider, told.model = told.provider or provider, told.model or model
            if event.message.usage.basis == "missing":
                event.message.usage = ZERO_USAGE
        return event


def read_options(kind: type[OptionsT], request: Request, model: str) -> OptionsT:
    """The request's options for simulated models, strictly. Raises ``BadRequestError``."""
    given = request.options.get(PROVIDER, {})
    known = kind.__struct_fields__
    for name in given:
        if name not in known:
            raise BadRequestError(
                f"{model} has no option {name!r}",
                hint=f"{hint_for(name, known, '')} It knows {', '.join(known)}.".lstrip(),
            )
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise BadRequestError(f"options[{PROVIDER!r}] of {model}: {error}") from None


def last_user_text(request: Request) -> str:
    """What the user said last, without pictures and files; "" if nothing."""
    for message in reversed(request.messages):
        if isinstance(message, UserMessage):
            texts = [block.text for block in message.content if isinstance(block, Text)]
            if texts:
                return "\n".join(texts)
    return ""


def break_off(told: list[Event], error: PolyvoxError, request: Request) -> list[Event]:
    """The events that end a stream of which these were told: open blocks closed, then ``error``."""
    message = fold(told)
    message.stop_reason = "aborted" if isinstance(error, AbortedError) else "error"
    message.error = error.text
    if told:
        message.usage = usage_of(request, message, "partial")
    error.message = message
    opened = [
        event for event in told if isinstance(event, (TextStart, ThinkingStart, ToolCallStart))
    ]
    closed = {
        event.index for event in told if isinstance(event, (TextEnd, ThinkingEnd, ToolCallEnd))
    }
    # fold() keeps the blocks in the order in which they were opened.
    ends = [
        _end(event.index, block)
        for event, block in zip(opened, message.content, strict=True)
        if event.index not in closed
    ]
    return [*ends, Failed(error, message)]


def _end(index: int, block: AssistantBlock) -> Event:
    match block:
        case ToolCall():
            return ToolCallEnd(index, block)
        case Thinking():
            return ThinkingEnd(index, block)
        case Text():
            return TextEnd(index, block)
        case _:
            raise TypeError(f"a {type(block).__name__} is never told in pieces")


def _limited(text: str, request: Request, most: int | None) -> tuple[str, StopReason, str | None]:
    places = [(text.find(stop), stop) for stop in request.stop if stop and stop in text]
    stop_reason: StopReason = "stop"
    stop_sequence = None
    if places:
        place, stop_sequence = min(places)
        text, stop_reason = text[:place], "stop_sequence"
    most = min((each for each in (request.max_tokens, most) if each is not None), default=None)
    if most is not None:
        tokens = pieces(text)
        if len(tokens) > most:
            return "".join(tokens[:most]), "length", None
    return text, stop_reason, stop_sequence


class _Book:
    """Prices an answer and writes it down, however it ended."""

    def __init__(self, call: Call, pricing: Callable[[Usage], Cost] | None) -> None:
        self.call = call
        self._pricing = pricing
        self._stopwatch = Stopwatch()

    def record(self, message: AssistantMessage, error: PolyvoxError | None = None) -> None:
        if self._pricing is not None and message.usage.cost.status != "known":  # a script may say
            message.usage = replace(message.usage, cost=self._pricing(message.usage))
        self.call.record(self._stopwatch.attempt(PROVIDER, message.model, message, error))


async def _perform(
    answer: Iterable[Event], options: Options, request: Request, book: _Book
) -> AsyncGenerator[Event]:
    """Tell the events one by one, each when it is due."""
    told: list[Event] = []
    due = _schedule(options)
    try:
        with Waiter(book.call) as waiter:
            for event in answer:
                await waiter.until(due(event))
                told.append(event)
                if isinstance(event, (Done, Failed)):
                    book.record(event.message, getattr(event, "error", None))
                yield event
    except PolyvoxError as error:
        for event in break_off(told, error, request):
            if told and isinstance(event, Failed):
                book.record(event.message, error)
            yield event
    except (asyncio.CancelledError, GeneratorExit):
        if not (told and isinstance(told[-1], (Done, Failed))):
            left = fold(told)
            left.usage = usage_of(request, left, "partial")
            book.record(left, AbortedError("the reader left"))
            book.call.leave(left)
        raise


def _schedule(options: Options) -> Callable[[Event], float]:
    """When an event is due, on ``time.monotonic()``: reckoned from now, so that delays don't add up."""
    begin = time.monotonic()
    tokens = 0

    def due(event: Event) -> float:
        nonlocal tokens
        if not isinstance(event, CONTENT_EVENTS):
            return begin
        when = begin + options.first_token_delay
        if options.tokens_per_second is not None:
            when += tokens / options.tokens_per_second
        tokens += isinstance(event, _DELTAS)
        return when

    return due
