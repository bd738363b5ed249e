"""A run while it lasts: its events, and what can be said into it."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Generic

from polyvox.agent.events import AgentEvent, MessageStart, MessageUpdate
from polyvox.agent.result import AgentResult, Output
from polyvox.agent.run import Run
from polyvox.agent.state import RunState
from polyvox.assembly import fold
from polyvox.closing import AsyncClosing
from polyvox.errors import PolyvoxError
from polyvox.events import Done, Failed, TextDelta
from polyvox.messages import AssistantMessage, Prompt, UserMessage, as_messages
from polyvox.model import Call

__all__ = ["AgentStream"]


class AgentStream(AsyncClosing, Generic[Output]):
    """The events of one run; leaving the ``async with`` block ends it.

    Iterating raises nothing: the last event, ``AgentEnd``, says how the run ended. The other methods
    may be called at any time, from the run's event loop; ``abort`` from anywhere.

    >>> async with agent.stream("Is it raining in Oslo?") as run:  # doctest: +SKIP
    ...     async for event in run:
    ...         print(event)
    ...     print(run.result.cost)
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._events = run.events()

    @property
    def state(self) -> RunState:
        """The conversation as it stands, and what waits."""
        return self._run.state

    @property
    def call(self) -> Call:
        """The books of the run: ``call.attempts`` are those so far."""
        return self._run.call

    @property
    def message(self) -> AssistantMessage | None:
        """The model's present answer as far as it has come, else the last one; None before the first."""
        seen = self._run.seen
        if not seen:
            return None
        last = seen[-1]
        return last.message if isinstance(last, (Done, Failed)) else fold(seen)

    @property
    def is_over(self) -> bool:
        """Whether the run has come to its end, so that nobody reads what is said into it."""
        return self._run.result is not None

    @property
    def result(self) -> AgentResult[Output]:
        """What the run came to. Raises ``RuntimeError`` while it lasts, or when it was left."""
        if self._run.result is None:
            raise RuntimeError("the run is not over: its result is there after the last event")
        return self._run.result

    def steer(self, prompt: Prompt) -> None:
        """Say something that the model reads in its next turn: as soon as the present tools are done."""
        for message in _said(prompt):
            self._run.say("steering", message)

    def follow_up(self, prompt: Prompt) -> None:
        """Say something that the model reads when it would otherwise be done."""
        for message in _said(prompt):
            self._run.say("follow_up", message)

    def abort(self, reason: str = "stopped by the program") -> None:
        """End the run now, whatever it is doing; what has arrived is kept."""
        self._run.interrupt.set(reason)

    async def text(self) -> AsyncIterator[str]:
        """The pieces of the model's text alone, as they arrive; each answer begins on a line of its own.

        Raises ``PolyvoxError`` if the run fails.
        """
        written, fresh = "\n", True
        async for event in self._events:
            if isinstance(event, MessageStart):
                fresh = True
            elif isinstance(event, MessageUpdate) and isinstance(event.event, TextDelta):
                if fresh and not written.endswith("\n"):
                    yield "\n"
                written, fresh = event.event.text or written, False
                yield event.event.text
        _raise(self.result)

    async def finish(self) -> AgentResult[Output]:
        """Read on to the end. Raises ``PolyvoxError`` if the run failed, with its ``result``."""
        async for _ in self._events:
            pass
        return _raise(self.result)

    def __aiter__(self) -> AsyncGenerator[AgentEvent]:
        return self._events

    async def __anext__(self) -> AgentEvent:
        return await self._events.__anext__()

    async def aclose(self) -> None:
        """Leave the run: what it does is stopped, the conversation so far stays."""
        await self._events.aclose()


def _said(prompt: Prompt) -> list[UserMessage]:
    messages = as_messages(prompt)
    if not all(isinstance(message, UserMessage) for message in messages):
        raise ValueError("only messages of the user can be said into a run")
    return [message for message in messages if isinstance(message, UserMessage)]


def _raise(result: AgentResult[Any]) -> AgentResult[Any]:
    if isinstance(result.error, PolyvoxError):
        raise result.error
    return result
