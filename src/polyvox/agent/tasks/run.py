"""The loop over attempts: send the agent to work, ask for the status, tell the model, again.

An attempt is a run of the agent until it stops by itself. All attempts share one conversation. After
each of them the user says something, so that the model never finds an answer of its own at the end.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, NamedTuple

from polyvox.agent.agent import Agent
from polyvox.agent.events import AgentEvent, MessageEnd, MessageStart, TurnEnd
from polyvox.agent.limits import RunLimits
from polyvox.agent.result import AgentResult
from polyvox.agent.role import Session
from polyvox.agent.settings import RunSettings
from polyvox.agent.state import RunState
from polyvox.agent.stream import AgentStream
from polyvox.agent.tasks.detectors import CompletionDetector, Verdict, verdict_of
from polyvox.agent.tasks.events import AttemptEnd, AttemptStart, TaskEnd, TaskEvent
from polyvox.agent.tasks.interrupts import UserInterrupts
from polyvox.agent.tasks.meter import Meter
from polyvox.agent.tasks.result import CompletionResult, TaskOutcome
from polyvox.agent.tasks.status import (
    StatusAsker,
    StatusFunction,
    TaskStatus,
    TaskStatusType,
)
from polyvox.errors import AbortedError, PolyvoxError, RequestTimeoutError, RunLimitError
from polyvox.messages import AssistantMessage, Message, UserMessage, user
from polyvox.model import Call, Interrupt

__all__ = ["Policy", "TaskRun"]

_STOPPED = "You stopped, and did not say whether the task is done. Go on with it."


class Policy(NamedTuple):
    """How it is decided that a task is over."""

    detector: CompletionDetector
    max_attempts: int
    check_each_turn: bool

    @property
    def instructions(self) -> str:
        """How the model is told to say that it is done."""
        return getattr(self.detector, "instructions", "")


class _Ending(NamedTuple):
    """How the task ends."""

    outcome: TaskOutcome
    detail: str = ""
    error: PolyvoxError | None = None


class TaskRun:
    """One task, while it lasts.

    Args:
        agent: who does it.
        prompt: what is to be done.
        status: how it stands.
        policy: when it is over.
        interrupts: what the user says meanwhile.
        settings: of the attempts; their limits are those of all together.
    """

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
        self._state = settings.get("state") or RunState()
        self._agent = agent
        self._policy = policy
        self._interrupts = interrupts
        self._settings = settings
        self._status = TaskStatus(TaskStatusType.INCOMPLETE)
        self._fresh: TaskStatus | None = None  # the status after the present attempt
        self._shown = ""  # the feedback that the model knows
        self._pending: list[Message] = list(prompt)  # what the model has yet to read
        self._attempts = 0
        self._allowed = policy.max_attempts
        around = settings.get("call", Call())
        self._stops = [each for each in (settings.get("interrupt"), around.interrupt) if each]
        self._meter = Meter(settings.get("limits") or RunLimits(turns=None), around.deadline)
        call = Call(interrupt=self.interrupt, deadline=self._meter.deadline)
        self._asker = StatusAsker(status, call)
        self._ended: AgentResult[Any] | None = None
        self._steered = user()  # the feedback that was last said into a run
        self._ending: _Ending | None = None

    @property
    def state(self) -> RunState:
        """The conversation as it stands."""
        return self._state if self._session is None else self._session.state

    async def events(self) -> AsyncGenerator[AgentEvent | TaskEvent]:
        """All that happens; the last event is ``TaskEnd``, and ``result`` is there when it is given."""
        heeded = [each.listen(partial(self._stop, each)) for each in self._stops]
        try:
            for part in (self._story, self._last_words):
                try:
                    async with aclosing(part()) as events:
                        async for event in events:
                            yield event
                except PolyvoxError as error:  # of the status function's set-up, or the session's
                    self._fail(error)
        finally:
            for forget in heeded:
                forget()
        outcome, detail, error = self._ending or self._exhausted
        self.result = CompletionResult(
            outcome=outcome,
            attempts=self._attempts,
            status=self._status,
            usage=self._meter.usage,
            state=self.state,
            detail=detail,
            error=error,
        )
        yield TaskEnd(outcome, self._attempts, self._status, detail)

    async def _story(self) -> AsyncGenerator[AgentEvent | TaskEvent]:
        """The attempts."""
        if (await self._check(initial=True)).is_done:
            self._ending = _Ending("done")
            return
        self._tell(f"Initial status: {self._feedback()}", self._policy.instructions)
        await self._heard()
        while self._ending is None and self._attempts < self._allowed:
            self._attempts += 1
            self._fresh = None
            yield AttemptStart(self._attempts, self._status)
            async with aclosing(self._attempt()) as events:
                async for event in events:
                    yield event
            ended = self._ended
            assert ended is not None
            try:
                await self._decide(ended)
            except PolyvoxError as error:
                self._fail(error)
            yield AttemptEnd(self._attempts, ended.outcome, self._fresh)

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
                        self._pending = _without(self._pending, event.message)
                    yield event
                    if isinstance(event, TurnEnd) and self._policy.check_each_turn:
                        await self._look(run, event.message)
            finally:
                forget()
            self._ended = run.result
        self._meter.add(self._ended.turns, self._ended.attempts)
        if self._steered in self.state.steering:  # the run's last tool ended it
            self.state.steering.remove(self._steered)
            self._shown = ""

    async def _look(self, run: AgentStream[Any], answer: AssistantMessage) -> None:
        """Ask for the status after a turn; when it is done, the run need not go on."""
        if self._interrupts.arrived.is_set or self.interrupt.is_set:
            return  # the run is about to end anyway
        try:
            await self._check()
        except PolyvoxError as error:
            self._fail(error)
            run.abort(error.text)
            return
        if not answer.tool_calls:
            return  # the attempt is over, and what follows is decided then
        if self._status.is_done:
            run.abort("the task is done")
        elif news := self._news():
            self._steered = user(news)
            run.steer(self._steered)

    # ------------------------------------------------------------------------------ between attempts

    async def _decide(self, ended: AgentResult[Any]) -> None:
        """What follows an attempt: the end of the task, or something for the model to read.

        Raises ``PolyvoxError`` for an end that has nothing to do with the attempt.
        """
        if self._ending is not None:
            return
        if self.interrupt.is_set:
            raise AbortedError(self.interrupt.reason or "interrupted by the caller")
        if ended.outcome == "limit" and (reached := self._meter.reached()):
            raise RunLimitError(f"the task was ended: {reached}")
        if ended.outcome in ("error", "limit", "suspended"):
            self._ending = _Ending(ended.outcome, ended.detail, ended.error)
        elif self._status.is_done:
            self._ending = _Ending("done", ended.text)
        elif await self._heard():
            return
        elif ended.outcome == "aborted":
            self._ending = _Ending("aborted", ended.detail, ended.error)
        else:
            await self._judge(verdict_of(self._policy.detector, ended.message))
            await self._heard()

    async def _judge(self, verdict: Verdict | None) -> None:
        """The model has stopped by itself, perhaps with a verdict; the status has the last word."""
        last = self._attempts >= self._allowed
        if not self._policy.check_each_turn and (verdict is not None or last):
            await self._check()
        if self._status.is_done:
            self._ending = _Ending("done", verdict.detail if verdict is not None else "")
        elif verdict is not None and verdict.claim == "give_up":
            self._ending = _Ending("gave_up", verdict.detail)
        elif last:
            return  # unless the user has something to say, nobody reads on
        elif verdict is None:
            self._tell(_STOPPED, self._news(), self._policy.instructions)
        else:
            self._tell(self._feedback())

    async def _heard(self) -> bool:
        """Whether the user has cut in. Then the model reads that, and how the task stands by now.

        Each time allows for one attempt more, so that no message is the last word.
        """
        heard = False
        while self._ending is None and (messages := self._interrupts.take()) is not None:
            heard = True
            self._allowed += 1
            self._pending += messages
            if (await self._check()).is_done:
                self._ending = _Ending("done")
            else:
                self._tell(self._feedback())
        return heard

    # ------------------------------------------------------------------------------ small things

    async def _check(self, *, initial: bool = False) -> TaskStatus:
        try:
            status = await self._asker.ask(initial=initial)
        except RequestTimeoutError:
            raise RunLimitError(f"the task was ended: {self._meter.reached()}") from None
        self._status = self._fresh = status
        return status

    def _tell(self, *parts: str) -> None:
        """What the model reads at the beginning of the next attempt."""
        self._pending.append(user("\n\n".join(filter(None, parts))))

    def _feedback(self) -> str:
        self._shown = self._status.feedback()
        return self._shown

    def _news(self) -> str:
        """The status, unless the model knows it."""
        return "" if self._status.feedback() == self._shown else self._feedback()

    def _stop(self, outside: Interrupt) -> None:
        self.interrupt.set(outside.reason or "interrupted by the caller")

    @property
    def _exhausted(self) -> _Ending:
        return _Ending("exhausted", f"all {self._attempts} attempts were made (max_attempts)")

    def _fail(self, error: PolyvoxError) -> None:
        outcome: TaskOutcome = "error"
        if isinstance(error, AbortedError):
            outcome = "aborted"
        elif isinstance(error, RunLimitError):
            outcome = "limit"
        self._ending = _Ending(outcome, error.text, error)

    async def _last_words(self) -> AsyncGenerator[AgentEvent]:
        """What was said and not read belongs to the conversation, and is read when it goes on."""
        said = [*self._pending, *(self._interrupts.take() or ())]
        if self.state.unanswered:  # their results come first
            self.state.steering += [each for each in said if isinstance(each, UserMessage)]
            return
        for message in said:
            yield MessageStart(message)
            end = MessageEnd(message)
            if self._session is None:
                self.state.apply(end)
            else:
                await self._session.append(end)
            yield end


def _without(messages: list[Message], message: Message) -> list[Message]:
    return [each for each in messages if each is not message]
