"""The loop: ask the model, run its tools, tell it what came of them, until there is nothing more to do.

One generator makes all events of a run, so that a slow reader slows the run down, and leaving it
closes whatever is open. Only tools have tasks of their own. Each event is put into the run's state
(and into its session) before the reader sees it: the state is the sum of the events.
"""

import uuid
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from inspect import isawaitable
from typing import Any

from msgspec.structs import replace

from polyvox.agent.batch import Batch, Kit
from polyvox.agent.conversation import (
    as_told,
    beginning,
    is_open,
    last_answer,
    next_of,
    results,
    unanswerable,
    with_distinct_ids,
)
from polyvox.agent.events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    Compacted,
    HandedOver,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    Outcome,
    Queue,
    Queued,
    TurnEnd,
    TurnStart,
)
from polyvox.agent.result import AgentResult
from polyvox.agent.role import Role, Terms
from polyvox.agent.state import RunState
from polyvox.assembly import fold
from polyvox.attempt import Attempt
from polyvox.client.structured import parse
from polyvox.errors import (
    AbortedError,
    BadRequestError,
    ConfigurationError,
    ContextWindowExceededError,
    InvalidAnswerError,
    PolyvoxError,
    ProtocolError,
    RunLimitError,
)
from polyvox.events import Done, Event, Failed, Start
from polyvox.messages import AssistantMessage, Message, ToolMessage, UserMessage, user
from polyvox.model import Call, Interrupt, Model
from polyvox.request import Request
from polyvox.waiting import Waiter

__all__ = ["Run"]

MOST_CORRECTIONS = 1
"""How often a model whose answer is no value of the ``output`` type is shown what is wrong."""


class Run:
    """One run of an agent, while it lasts.

    Args:
        enter: makes the agent of a name ready to be asked.
        prompt: the messages that begin the run; none when it goes on where its state stands.
        state: the conversation so far.
        call: what all that is asked of models goes through; it keeps the books, and its interrupt
            ends the run.
        terms: see ``Terms``.
    """

    def __init__(
        self,
        enter: Callable[[str], Awaitable[Role]],
        prompt: Sequence[Message],
        state: RunState,
        call: Call,
        terms: Terms,
    ) -> None:
        self.state = state
        self.call = call
        self.interrupt = call.interrupt or Interrupt()
        self.result: AgentResult[Any] | None = None
        self.seen: list[Event] = []
        self._enter = enter
        self._pending = [*prompt]
        self._session, self._limits, self._deps, approvals = terms
        self._new: list[Message] = []
        self._queued: deque[Queued] = deque()
        self._turns = self._tokens = self._nanos = self._corrections = 0
        self._retries: dict[str, int] = {}
        self._answer = AssistantMessage([])
        self._output: Any = None
        self._too_long = False
        self._error: PolyvoxError | None = None
        self._ending: AgentEnd | None = None
        state.approvals |= approvals
        call.on_attempt = self._count

    async def events(self) -> AsyncGenerator[AgentEvent]:
        """All that happens; the last event is ``AgentEnd``, and ``result`` is there when it is given."""
        ended = False
        try:
            async with aclosing(self._story()) as story:
                async for event in story:
                    await self._keep(event)
                    ended = type(event) is AgentEnd
                    yield event
                    if self._queued:
                        await self._keep_queued()
        except Exception as error:  # of the session, a toolset, a hook: never in silence
            if ended:  # the reader's own, thrown in
                raise
            ended = True
            yield await self._broken(error)
        finally:
            if not ended:
                self.state.outcome = "aborted"  # the reader left
            self.call.on_attempt = None  # else run and call would hold each other, and the agent

    def say(self, queue: Queue, message: UserMessage) -> None:
        """Have the message wait for its turn."""
        if self.result is not None:  # for whoever goes on
            self.state.queue(queue).append(message)
        else:
            self._queued.append(Queued(queue, message))

    async def _broken(self, error: Exception) -> AgentEnd:
        """The end of a run that can't go on, kept where that is still possible."""
        end = self._failure(as_told(error))
        try:
            await self._keep(end)
        except Exception:  # noqa: BLE001 - it may be the session that is broken: that is told already
            self.state.apply(end)
        return end

    async def _keep(self, event: AgentEvent) -> None:
        """Put the event where the run is kept, and into its state."""
        if self._queued:
            await self._keep_queued()
        if type(event) is MessageUpdate:  # what comes of it is in the message's end
            return
        if type(event) is MessageEnd:  # also of the result, if it can't be kept
            self._new.append(event.message)
        await self._apply(event)

    async def _keep_queued(self) -> None:
        while self._queued:
            await self._apply(self._queued.popleft())

    async def _apply(self, event: AgentEvent) -> None:
        if self._session is None:
            self.state.apply(event)
        else:
            await self._session.append(event)

    async def _story(self) -> AsyncGenerator[AgentEvent]:
        """The turns, and how they end."""
        state = self.state
        yield AgentStart(uuid.uuid4().hex, state.agent)
        role = await self._enter(state.agent)
        self._pending += next_of(state.steering, role.agent.steering)
        last = state.messages[-1] if state.messages else None
        answer = last_answer(state.messages) if state.unanswered or state.results else None
        if answer is None and not self._pending and not is_open(last):
            if last is None:
                self._error = BadRequestError("the prompt is empty: there is nothing to ask")
            yield self._end("done" if last is not None else "error", _NOTHING)
            return
        while True:
            if answer is None and (reached := self._limit()):
                yield self._over(reached)
                return
            async with aclosing(self._turn(role, answer)) as events:
                async for event in events:
                    yield event
            if self._ending is None and answer is None:
                self._pending = self._next(role)
            if self._ending is not None:
                yield self._ending
                return
            if state.agent != role.agent.name:
                role = await self._enter(state.agent)
            answer = None

    async def _turn(
        self, role: Role, answer: AssistantMessage | None
    ) -> AsyncGenerator[AgentEvent]:
        """Ask the model and run its tools; with an ``answer`` that is there, run those that are left."""
        state = self.state
        if answer is None:
            self._turns += 1
            yield TurnStart(state.turns + 1)
            while self._pending:
                yield MessageStart(self._pending[0])
                yield MessageEnd(self._pending[0])
                del self._pending[0]
            async with aclosing(self._asked(role)) as events:
                async for event in events:
                    yield event
            answer = self._answer
        else:
            yield TurnStart(state.turns)
        if self._error is not None:
            for message in unanswerable(answer):
                yield MessageStart(message)
                yield MessageEnd(message)
            yield TurnEnd(answer, results(state.messages))
            self._ending = self._failure(self._error)
            return
        batch = self._batch_of(role)
        if state.unanswered:
            async with aclosing(batch.events()) as events:
                async for event in events:
                    yield event
        if batch.suspended:
            names = ", ".join(call.name for call in state.pending)
            self._ending = self._end("suspended", f"waits for an approval: {names}")
            return
        told = results(state.messages)
        terminate = any(result.terminate for result in state.results.values())
        yield TurnEnd(answer, told)
        if self.interrupt.is_set:
            self._ending = self._failure(AbortedError(self.interrupt.reason or "interrupted"))
        elif terminate:
            self._ending = self._end("done")
        elif (to := next(filter(None, map(role.handoff, told)), None)) is not None:
            yield HandedOver(role.agent.name, to.name)

    # ------------------------------------------------------------------------------ the model

    async def _asked(self, role: Role) -> AsyncGenerator[AgentEvent]:
        """Ask the model once; ``_answer`` is what it said, ``_error`` why it did not."""
        compaction = role.agent.compaction
        self._too_long = False
        shorter: Compacted | None = None
        if compaction is not None and compaction.due(self.state.messages, role):
            shorter = await compaction.compact(self.state.messages, role, self.call)
        if shorter is not None:
            yield shorter
        async with aclosing(self._streamed(role)) as events:
            async for event in events:
                yield event
        if self._too_long and compaction is not None:
            shorter = await compaction.compact(self.state.messages, role, self.call)
            if shorter is not None:
                yield shorter
            async with aclosing(self._streamed(role)) as events:
                async for event in events:
                    yield event

    async def _streamed(self, role: Role) -> AsyncGenerator[AgentEvent]:
        """The answer's events. Nothing comes of a prompt that is too long, but may be made shorter once."""
        request = replace(role.request, messages=await self._context(role))
        self.seen = seen = list[Event]()
        self._error, started = None, False
        call = self.call.child()
        call.id = uuid.uuid4().hex
        async with aclosing(_always_ended(role.model, request, call, seen)) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, (Done, Failed)):
                    self._answer = with_distinct_ids(event.message)
                    if isinstance(event, Failed):
                        self._error = event.error
                        if not started and self._may_compact(role, event.error):
                            return
                    if not started:
                        yield MessageStart(beginning(event.message))
                    yield MessageEnd(self._answer)
                    return
                if not started:
                    started = True
                    yield MessageStart(beginning(event))
                if type(event) is not Start:
                    yield MessageUpdate(event)

    async def _context(self, role: Role) -> list[Message]:
        """What the model reads: a copy, which stays as it is when the conversation goes on."""
        transform = role.agent.transform
        messages = self.state.messages
        if transform is None:
            return list(messages)
        try:
            changed = transform(messages)
            if isawaitable(changed):
                with Waiter(self.call) as waiter:
                    changed = await waiter.result(changed)
            return list(changed)
        except PolyvoxError:
            raise
        except Exception as error:
            raise ConfigurationError(
                f"transform failed: {as_told(error).text}",
                hint="It gets the conversation, and returns the messages that the model reads.",
            ) from error

    def _may_compact(self, role: Role, error: PolyvoxError) -> bool:
        too_long = isinstance(error, ContextWindowExceededError)
        self._too_long = too_long and role.agent.compaction is not None and not self._too_long
        return self._too_long

    # ------------------------------------------------------------------------------ between turns

    def _batch_of(self, role: Role) -> Batch:
        # Not the run itself: run and batch would hold each other, and the agent.
        agent, state, queued = role.agent, self.state, self._queued
        most = agent.parallel_tools
        kit = Kit(
            role.tools,
            agent.before_tool,
            agent.after_tool,
            agent.approve,
            None if most is True else max(1, int(most)),
            self._deps,
        )
        return Batch(
            state.unanswered,
            kit,
            state,
            self.call,
            retries=self._retries,
            hurried=lambda: agent.steer_between_tools and bool(state.steering or queued),
        )

    def _next(self, role: Role) -> list[Message]:
        """The messages that the next turn begins with; ``_ending`` is set when there is none."""
        state, agent, answer = self.state, role.agent, self._answer
        pending: list[Message] = [*next_of(state.steering, agent.steering)]
        if pending or isinstance(state.messages[-1], ToolMessage) or answer.stop_reason == "pause":
            return pending
        if agent.output not in (None, str):
            try:
                self._output = parse(answer, agent.output)
            except InvalidAnswerError as error:
                mendable = error.reason in ("not_json", "mismatch")
                if not mendable or self._corrections >= MOST_CORRECTIONS:
                    self._ending = self._failure(error)
                    return []
                self._corrections += 1
                return [user(_CORRECTION.format(error.text))]
        pending = [*next_of(state.follow_ups, agent.follow_ups)]
        if not pending:
            self._ending = self._end("done")
        return pending

    # ------------------------------------------------------------------------------ the end

    def _count(self, attempt: Attempt) -> None:
        self._tokens += attempt.usage.total_tokens
        self._nanos += attempt.usage.cost.nanos

    def _limit(self) -> str:
        """Which limit the run has come to, in words."""
        reached = self._limits.reached(self._turns, self._tokens, self._nanos)
        return reached or (self._late() if self.call.is_late else "")

    def _late(self) -> str:
        if self._limits.seconds is None:
            return "the time of the call around it is over"
        return f"{self._limits.seconds:g} seconds are over (limits.seconds)"

    def _over(self, reached: str) -> AgentEnd:
        self._error = RunLimitError(
            f"the run was ended: {reached}",
            hint="The conversation is whole: run(..., state=error.result.state) goes on with it.",
        )
        return self._end("limit", reached)

    def _failure(self, error: PolyvoxError) -> AgentEnd:
        if isinstance(error, AbortedError) and self.interrupt.is_set:
            self._error = error
            return self._end("aborted", error.text)
        if self.call.is_late:
            return self._over(self._late())
        self._error = error
        return self._end("error", error.text)

    def _end(self, outcome: Outcome, detail: str = "") -> AgentEnd:
        waiting = (*self.state.steering, *self.state.follow_ups)
        for message in self._pending:  # what nobody has read yet waits for whoever goes on
            if isinstance(message, UserMessage) and all(message is not each for each in waiting):
                self.say("steering", message)
        self._pending = []
        self.result = AgentResult(
            outcome=outcome,
            detail=detail,
            state=self.state,
            new_messages=self._new,
            attempts=self.call.attempts,
            turns=self._turns,
            error=self._error,
            output=self._output,
        )
        if self._error is not None:
            self._error.result = self.result
        return AgentEnd(outcome, self._new, detail, self._error)


async def _always_ended(
    model: Model, request: Request, call: Call, seen: Sequence[Event]
) -> AsyncGenerator[Event]:
    """The model's stream, with an ending also if the model breaks its word and gives none."""
    try:
        async with aclosing(model.stream(request, call)) as events:
            async for event in events:
                yield event
                if isinstance(event, (Done, Failed)):
                    return
        error: PolyvoxError = ProtocolError(f"{model.name} ended its stream without an ending")
    except Exception as raised:  # noqa: BLE001 - what had arrived is kept, whatever went wrong
        error = as_told(raised)
    reason = "aborted" if isinstance(error, AbortedError) else "error"
    error.message = replace(fold(seen), stop_reason=reason, error=error.text)
    yield Failed(error, error.message)


_NOTHING = "there is nothing to do: the conversation ends with an answer"
_CORRECTION = "This is not what is needed: {}. Answer again, with nothing but the JSON."
