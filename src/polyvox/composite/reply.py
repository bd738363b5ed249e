"""The one reply of a composite: its message and its stream, begun and ended as they must be."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from msgspec.structs import replace

from polyvox.assembly import fold
from polyvox.composite.nodes import Timeline
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.events import (
    Done,
    Event,
    Failed,
    Start,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import (
    COMPOSITE,
    AssistantBlock,
    AssistantMessage,
    Image,
    StopReason,
    Text,
    Thinking,
    ToolCall,
)
from polyvox.model import Call
from polyvox.trace import TraceNode

__all__ = ["Reply", "replied"]

_STARTS = (TextStart, ThinkingStart, ToolCallStart)
_END_OF: dict[type, Any] = {Text: TextEnd, Thinking: ThinkingEnd, ToolCall: ToolCallEnd}
_ENDS = (TextEnd, ThinkingEnd, ToolCallEnd)


class Reply:
    """The message that a composite is about to give, and the trace of how it came about.

    ``name`` is the composite's, ``kind`` that of the trace's root. ``summary`` tells, when the last
    stage begins to speak, what was done before: the text of the reply's first block.
    """

    def __init__(self, name: str, kind: str, summary: Callable[[TraceNode], str]) -> None:
        self.timeline = Timeline()
        self.root = TraceNode(kind=kind, model=name, label=kind)
        self.begun = False
        self.ended = False
        self._model = name.removeprefix(f"{COMPOSITE}/")
        self._summary = summary
        self._content: list[AssistantBlock | None] = []
        self._open: dict[int, list[Event]] = {}

    def start(self) -> Start:
        """The first event."""
        return Start(COMPOSITE, self._model)

    def begin(self) -> list[Event]:
        """From now on the reply is the last stage's: the summary, once."""
        if self.begun:
            return []
        self.begun = True
        text = self._summary(self.root)
        block = Thinking(text, producer=COMPOSITE)
        self._content.append(block)
        return [ThinkingStart(0), ThinkingDelta(0, text), ThinkingEnd(0, block)]

    def told(self, event: Any, places: dict[int, int]) -> Event:
        """An event of a block, at its place in the reply; ``places`` are those of its own stream."""
        if isinstance(event, _STARTS):
            place = places[event.index] = len(self._content)
            self._content.append(None)
            self._open[place] = []
        place = places[event.index]
        if isinstance(event, _ENDS):
            self._content[place] = event.block
            del self._open[place]
        else:
            self._open[place].append(event)
        if place == event.index:
            return event
        return replace(event, index=place)

    def broken(self) -> list[Event]:
        """The ends of the blocks that broke off; they stay as far as they came."""
        ends: list[Event] = []
        for place, told in self._open.items():
            (block,) = fold(told).content
            self._content[place] = block
            ends.append(_END_OF[type(block)](place, block))
        self._open.clear()
        return ends

    def done(self, message: AssistantMessage) -> Done:
        """The last event: the answer of the last stage with all that came before it."""
        self.ended = True
        pictures = [block for block in message.content if isinstance(block, Image)]
        return Done(self._message(message, message.stop_reason, pictures))

    def failed(self, error: PolyvoxError) -> Failed:
        """The last event of a reply that came to nothing, or broke off."""
        reason = "aborted" if isinstance(error, AbortedError) else "error"
        self.root.status, self.root.error = reason, error.text
        message = self._message(error.message or AssistantMessage([]), reason)
        message.error = error.text
        error.message = message
        return Failed(error, message)

    def left(self) -> AssistantMessage:
        """What there is when the reader leaves."""
        self.broken()
        self.root.status = "aborted"
        return self._message(AssistantMessage([]), "aborted")

    def _message(
        self, last: AssistantMessage, reason: StopReason, more: Sequence[AssistantBlock] = ()
    ) -> AssistantMessage:
        self.root.seconds = self.timeline.now()
        return replace(
            last,
            content=[*(block for block in self._content if block is not None), *more],
            stop_reason=reason,
            usage=self.root.total,
            provider=COMPOSITE,
            model=self._model,
            response_model=last.response_model or last.model,
            trace=self.root,
        )


async def replied(reply: Reply, work: AsyncGenerator[Event], call: Call) -> AsyncGenerator[Event]:
    """The whole stream of a composite: what ``work`` tells, begun and ended as a stream must be."""
    failure: PolyvoxError | None = None
    try:
        async with aclosing(work) as events:
            yield reply.start()
            async for event in events:
                yield event
    except PolyvoxError as error:
        failure = error
    except (GeneratorExit, asyncio.CancelledError):
        if not reply.ended:
            call.leave(reply.left())
        raise
    if failure is not None:
        failure.attempts = list(call.attempts)
        for event in reply.broken():
            yield event
        yield reply.failed(failure)
