"""The loop over attempts: send the agent to work, ask for the status, tell the model, again.

An attempt is a run of the agent until it stops by itself. All attempts share one conversation. After
each of them the user says something, so that the model never finds an answer of its own at the end.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from polyvox.agent.agent import Agent, RunSettings
from polyvox.agent.events import AgentEvent, MessageEnd, MessageStart, TurnEnd
from polyvox.agent.limits import RunLimits
from polyvox.agent.result import AgentResult
from polyvox.agent.role import Session
from polyvox.agent.state import RunState
from polyvox.agent.stream import AgentStream
from polyvox.agent.tasks.detectors import CompletionDetector, verdict_of
from polyvox.agent.tasks.events import AttemptEnd, AttemptStart, TaskEnd, TaskEvent
from polyvox.agent.tasks.interrupts import UserInterrupts
from polyvox.agent.tasks.meter import Meter
from polyvox.agent.tasks.result import CompletionResult, TaskOutcome
from polyvox.agent.tasks.status import StatusAsker, StatusFunction, TaskStatus
from polyvox.errors import AbortedError, PolyvoxError, RunLimitError
from polyvox.messages import Message, UserMessage, user
from polyvox.model import Interrupt

__all__ = ["Policy", "TaskRun"]

_STOPPED = "You stopped, and did not say whether the task is done. Go on with it."


class Policy(NamedTuple):
    """How it is decided that a task is over."""

    detector: CompletionDetector
    max_attempts: int
    check_each_turn: bool


class TaskRun:
    """One task, while it lasts."""

    def __init__(
        self,
        agent: Agent[Any],
        prompt: Sequence[Message],
        status: StatusFunction,
        policy: Policy,
        interrupts: UserInterrupts,
        settings: RunSettings,
    ) -> None:
        session = settings.get("session")
        self.interrupt = Interrupt()
        self.result: CompletionResult | None = None
        self._session: Session | None = None if isinstance(session, str) else session
        self._state = settings.get("state", RunState())
        self._agent = agent
        self._policy = policy
        self._interrupts = interrupts
        self._settings = settings
        self._asker = StatusAsker(status, self.interrupt)
        self._status: TaskStatus | None = None
        self._pending: list[Message] = list(prompt)  # what the model has yet to read
        self._steered: UserMessage | None = None
        self._shown = ""  # the feedback that the model knows
        self._attempts = 0
        self._allowed = policy.max_attempts
        self._meter = Meter(settings.get("limits", RunLimits(turns=None)))

    @property
    def state(self) -> RunState:
        """The conversation as it stands."""
        return self._state if self._session is None else self._session.state

    async def events(self) -> AsyncGenerator[AgentEvent | TaskEvent]:
        """All that happens; the last event is ``TaskEnd``, and ``result`` is there when it is given."""
        outside = self._settings.get("interrupt", Interrupt())
        forget = outside.listen(lambda: self.interrupt.set(outside.reason or "interrupted"))
        try:
            for story in (self._story, self._last_words):
                try:
                    async with aclosing(story()) as events:
                        async for event in events:
                            yield event
                except PolyvoxError as error:  # of the status function's, or the session's
                    self._end(_outcome_of(error), error.text, error)
        finally:
            forget()
        result = self.result
        assert result is not None
        yield TaskEnd(result.outcome, result.attempts, result.status, result.detail)

    async def _story(self) -> AsyncGenerator[AgentEvent | TaskEvent]:
        """The attempts."""
        status = await self._check(initial=True)
        if status.is_done:
            self._end("done")
            return
        self._tell(f"Initial status: {self._feedback(status)}", self._instructions)
        if await self._heard(status) and self._over_when_done():
            return
        while self._attempts < self._allowed:
            self._attempts += 1
            yield AttemptStart(self._attempts, self._known)
            async with aclosing(self._attempt()) as events:
                async for event in events:
                    yield event
            await self._decide(self._ended)
            yield AttemptEnd(self._attempts, self._ended.outcome, self._known)
            if self.result is not None:
                return
        self._end("exhausted", f"{self._attempts} attempts were made (max_attempts)")

    # ------------------------------------------------------------------------------ an attempt
    async def _attempt(self) -> AsyncGenerator[AgentEvent]:
        """One run of the agent; afterwards ``_ended`` is what came of it."""
        settings: RunSettings = {
            **self._settings,
            "state": self.state,
            "interrupt": self.interrupt,
            "limits": self._meter.left(self._agent.limits),
        }
        arrived = self._interrupts.arrived
        async with self._agent.stream(list(self._pending) or None, **settings) as run:
            forget = arrived.listen(lambda: run.abort(arrived.reason or ""))
            try:
                async for event in run:
                    if isinstance(event, MessageEnd):
                        self._pending = [each for each in self._pending if each is not event.message]
                    yield event
                    if isinstance(event, TurnEnd) and self._policy.check_each_turn:
                        await self._look(run, event)
            finally:
                forget()
            self._ended: AgentResult[Any] = run.result
        self._meter.add(self._ended.turns, self._ended.attempts)
