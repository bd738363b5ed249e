"""The last stage of a composite: who makes the reply, or the best of what there is in its place."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from polyvox.composite.branches import kept
from polyvox.composite.inbox import nested
from polyvox.composite.members import Member
from polyvox.composite.nodes import note
from polyvox.composite.reply import Reply
from polyvox.composite.stage import Answer, says_something, soonest
from polyvox.composite.tool_loop import ToolLoop
from polyvox.errors import AbortedError, ConfigurationError, PolyvoxError, ProtocolError
from polyvox.events import (
    Done,
    Event,
    Failed,
    Nested,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Warned,
)
from polyvox.messages import (
    AssistantMessage,
    StopReason,
    Text,
    ToolMessage,
)
from polyvox.model import Call
from polyvox.request import Request
from polyvox.routing.commit import is_content
from polyvox.tools import message_of
from polyvox.trace import TraceNode, beginning
from polyvox.usage import NO_USAGE

__all__ = ["FinalStage", "best_of"]

_TOOL_EVENTS = (ToolCallStart, ToolCallDelta, ToolCallEnd)
_BOUNDS = (Start, Done, Failed)
_WHOLE = ("stop", "stop_sequence")


def best_of(proposals: Sequence[Answer]) -> Answer | None:
    """The longest of those that were not cut short, or else of all; the first of equals."""
    said = [each for each in proposals if each.text]
    whole = [each for each in said if each.message and each.message.stop_reason in _WHOLE]
    return max(whole or said, key=lambda answer: len(answer.text), default=None)


class FinalStage:
    """Who makes the reply: the first who can, of several; if nobody can, the best proposal stands in.

    Args:
        members: who is asked, one after the other; with its first content an answer is final.
        kind: what its nodes are: "aggregation", "chairman".
        reply: what is made.
        tools: runs the tools that are called; without it the calls are for the caller. After so many
            rounds an answer without tools is asked for.
    """

    def __init__(
        self,
        members: Sequence[Member],
        kind: str,
        reply: Reply,
        *,
        tools: ToolLoop | None = None,
    ) -> None:
        self._members = members
        self._kind = kind
        self._reply = reply
        self._tools = tools
        self._message: AssistantMessage | None = None

    async def events(
        self, request_for: Callable[[Member], Request], proposals: Sequence[Answer], call: Call
    ) -> AsyncGenerator[Event]:
        """The reply's events to its end. Raises ``PolyvoxError`` when there is none, or it broke off."""
        failure: PolyvoxError | None = None
        for member in self._members:
            inner = call.child()
            inner.deadline = soonest(call.deadline, member.timeout)
            try:
                async with aclosing(self._asked(member, request_for(member), inner)) as events:
                    async for event in events:
                        yield event
                return
            except PolyvoxError as error:
                if self._reply.begun or isinstance(error, AbortedError):
                    raise
                failure = error
            yield Warned(f"{member.name} failed: {failure.text}", self._kind)
        best = best_of(proposals)
        if best is None or best.message is None:
            raise failure or ConfigurationError(f"nobody was asked for the {self._kind}")
        for event in self._stand_in(best, best.message):
            yield event

    def _stand_in(self, best: Answer, message: AssistantMessage) -> list[Event]:
        """The reply when nobody could make one."""
        reply, label = self._reply, best.seat.label
        node = TraceNode(kind=self._kind, model=best.node.model, label=label, status="fallback")
        node.started, node.preview = reply.timeline.now(), beginning(best.text)
        reply.root.children.append(node)
        reply.root.status = "fallback"
        text, places = best.text, dict[int, int]()
        reason: StopReason = "length" if message.stop_reason == "length" else "stop"
        blocks = [TextStart(0), TextDelta(0, text), TextEnd(0, Text(text))]
        return [
            Warned(f"nobody has made a reply of the answers; this is that of {label}", self._kind),
            *reply.begin(),
            *(reply.told(event, places) for event in blocks),
            reply.done(replace(message, content=[], stop_reason=reason)),
        ]

    async def _asked(self, member: Member, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The reply as this one makes it, the tools that it calls included."""
        reply = self._reply
        node = TraceNode(
            kind=self._kind,
            model=member.asked.name,
            label=member.name,
            started=reply.timeline.now(),
        )
        reply.root.children.append(node)
        done = AssistantMessage([])
        error: PolyvoxError | None = None
        try:
            for left in range(self._tools.rounds if self._tools else 0, -1, -1):
                if self._tools and request.tools and not left:
                    request = replace(request, tool_choice="none")
                async with aclosing(self._streamed(member, request, call)) as events:
                    async for event in events:
                        yield event
                assert self._message is not None
                done = self._message
                if self._tools is None or not done.tool_calls:
                    break
                if not left:
                    yield Warned("it called tools though it was asked not to", self._kind)
                    done = replace(done, stop_reason="stop")
                    break
                request = await self._with_results(self._tools, request, node, call)
        except PolyvoxError as failure:
            error = failure
            raise
        except (GeneratorExit, asyncio.CancelledError):
            error = AbortedError("the reader left")
            raise
        finally:
            note(node, call, None if error else done, error)
            node.seconds = reply.timeline.now() - node.started
        yield reply.done(done)

    async def _streamed(
        self, member: Member, request: Request, call: Call
    ) -> AsyncGenerator[Event]:
        """One answer, undelayed from its first content on; what comes before is held back."""
        reply = self._reply
        held: list[Event] = []
        places: dict[int, int] = {}
        self._message = None
        async with aclosing(kept(member.asked.stream(request, call), call)) as events:
            async for event in events:
                if isinstance(event, _BOUNDS):
                    self._ended(event)
                elif isinstance(event, Nested):
                    yield nested(event, member.name)
                elif isinstance(event, Warned):
                    yield event
                elif reply.begun:
                    yield self._placed(event, member, places)
                elif not is_content(event):
                    held.append(event)
                else:
                    for first in reply.begin():
                        yield first
                    for each in (*held, event):
                        yield self._placed(each, member, places)
                    held.clear()
        if self._message is None:
            raise ProtocolError(f"{member.name} ended its stream without an ending")
        if not reply.begun and not says_something(self._message):
            raise ProtocolError(f"it said nothing ({self._message.stop_reason})")
        for event in (*reply.begin(), *(self._placed(each, member, places) for each in held)):
            yield event

    def _ended(self, event: Event) -> None:
        if isinstance(event, Failed):
            event.error.message = event.message
            raise event.error
        if isinstance(event, Done):
            self._message = event.message

    def _placed(self, event: Event, member: Member, places: dict[int, int]) -> Event:
        """The event at its place; calls that are answered here are no part of the reply."""
        if self._tools is not None and isinstance(event, _TOOL_EVENTS):
            return nested(event, member.name)
        return self._reply.told(event, places)

    async def _with_results(
        self, tools: ToolLoop, request: Request, node: TraceNode, call: Call
    ) -> Request:
        """The request to go on with: the calls, and a result for each."""
        assert self._message is not None
        results: list[ToolMessage] = []
        for wanted in self._message.tool_calls:
            started = self._reply.timeline.now()
            result = await tools.result(wanted, call)
            results.append(message_of(result, wanted))
            part = TraceNode(kind="tool", label=wanted.name, started=started, usage=NO_USAGE)
            part.seconds = self._reply.timeline.now() - started
            part.preview = beginning(results[-1].text)
            part.status = "error" if result.is_error else "ok"
            node.children.append(part)
        return replace(request, messages=[*request.messages, self._message, *results])
