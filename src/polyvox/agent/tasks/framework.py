"""Tasks as programs give them: an agent, when it counts as done, and how often it may try."""

import copy
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Unpack

from polyvox.agent.agent import Agent
from polyvox.agent.events import AgentEvent
from polyvox.agent.settings import RunSettings
from polyvox.agent.state import RunState
from polyvox.agent.tasks.detectors import CompletionDetector, PhraseDetector
from polyvox.agent.tasks.events import TaskEvent
from polyvox.agent.tasks.interrupts import UserInterrupts
from polyvox.agent.tasks.result import CompletionResult
from polyvox.agent.tasks.run import Policy, TaskRun
from polyvox.agent.tasks.status import StatusFunction
from polyvox.closing import AsyncClosing
from polyvox.errors import ConfigurationError
from polyvox.messages import Prompt, UserBlock, as_messages

__all__ = ["CompletionFramework", "TaskStream", "run_until_done", "run_until_done_sync"]

MOST_ATTEMPTS = 25
"""How often an agent is sent to work, unless somebody says otherwise."""


class TaskStream(AsyncClosing):
    """The events of one task: those of the agent, and ``TaskEvent``s around each attempt.

    Iterating raises nothing: ``result`` says how the task ended. Leaving the ``async with`` block ends
    it. ``send`` and ``abort`` may be called from anywhere.

    >>> async with framework.stream("Make the tests pass.", tests_pass) as task:  # doctest: +SKIP
    ...     async for event in task:
    ...         print(event)
    ...     print(task.result.outcome)
    """

    def __init__(self, run: TaskRun, interrupts: UserInterrupts, agent: Agent[Any]) -> None:
        self.agent = agent  # as it was given: what it is forgotten with is closed
        self.interrupts = interrupts
        self._run = run
        self._events = run.events()

    @property
    def state(self) -> RunState:
        """The conversation as it stands."""
        return self._run.state

    @property
    def result(self) -> CompletionResult:
        """What the task came to. Raises ``RuntimeError`` while it lasts, or when it was left."""
        if self._run.result is None:
            raise RuntimeError("the task is not over: its result is there after the last event")
        return self._run.result

    def send(self, *content: str | UserBlock) -> None:
        """Cut in: see ``UserInterrupts.send``."""
        self.interrupts.send(*content)

    def abort(self, reason: str = "stopped by the program") -> None:
        """End the task now, whatever it is doing; what has arrived is kept."""
        self._run.interrupt.set(reason)

    async def finish(self) -> CompletionResult:
        """Read on to the end."""
        async for _ in self._events:
            pass
        return self.result

    def __aiter__(self) -> AsyncGenerator[AgentEvent | TaskEvent]:
        return self._events

    async def aclose(self) -> None:
        """Leave the task: what it does is stopped, the conversation so far stays."""
        await self._events.aclose()


class CompletionFramework:
    """Sends an agent to work until a task is done.

    Args:
        agent: who works. It is not closed.
        detector: whether the model says that it is done: ``PhraseDetector()`` by default,
            ``ToolDetector()``, or any function of its last message.
        max_attempts: how often the agent may stop without being done.
        check_each_turn: ask for the status after every turn, not only when the model says that it is
            done; an attempt then ends as soon as the task is done, and the model is told of changes.

    It may be used for any number of tasks at once. Raises ``ConfigurationError`` for no attempts.
    """

    def __init__(
        self,
        agent: Agent[Any],
        *,
        detector: CompletionDetector | None = None,
        max_attempts: int = MOST_ATTEMPTS,
        check_each_turn: bool = False,
    ) -> None:
        if max_attempts < 1:
            raise ConfigurationError(f"max_attempts is {max_attempts}; it must be 1 or more")
        self.agent = agent
        self.detector: CompletionDetector = PhraseDetector() if detector is None else detector
        self.max_attempts = max_attempts
        self.check_each_turn = check_each_turn

    def stream(
        self,
        prompt: Prompt | None,
        status: StatusFunction,
        *,
        interrupts: UserInterrupts | None = None,
        **settings: Unpack[RunSettings],
    ) -> TaskStream:
        """Work on a task, and see what happens as it happens.

        Args:
            prompt: what is to be done; None to go on with a state or session.
            status: how the task stands. See ``StatusFunction``.
            interrupts: by which the user cuts in.
            **settings: those of a run. ``limits`` are those of all attempts together; each attempt
                keeps to the agent's own as well.

        Nothing is asked before the stream is read.
        """
        policy = Policy(self.detector, self.max_attempts, self.check_each_turn)
        cut_in = UserInterrupts() if interrupts is None else interrupts
        tools = getattr(self.detector, "tools", ())
        agent = _equipped(self.agent, tools, {}) if tools else self.agent
        messages = [] if prompt is None else as_messages(prompt)
        run = TaskRun(agent, messages, status, policy, cut_in, settings)
        return TaskStream(run, cut_in, self.agent)

    async def run(
        self,
        prompt: Prompt | None,
        status: StatusFunction,
        *,
        interrupts: UserInterrupts | None = None,
        **settings: Unpack[RunSettings],
    ) -> CompletionResult:
        """Work on a task to its end; the arguments are those of ``stream``.

        However the task ends, that is a result: ``result.raise_for_outcome()`` makes an error of it.
        """
        async with self.stream(prompt, status, interrupts=interrupts, **settings) as task:
            return await task.finish()

    def run_sync(
        self,
        prompt: Prompt | None,
        status: StatusFunction,
        *,
        interrupts: UserInterrupts | None = None,
        **settings: Unpack[RunSettings],
    ) -> CompletionResult:
        """``run`` for code that is not asynchronous."""
        loops = self.agent._loops  # pyright: ignore[reportPrivateUsage] - where its connections live
        return loops.run(lambda: self.run(prompt, status, interrupts=interrupts, **settings))


async def run_until_done(
    agent: Agent[Any],
    prompt: Prompt | None,
    status: StatusFunction,
    *,
    max_attempts: int = MOST_ATTEMPTS,
    detector: CompletionDetector | None = None,
    check_each_turn: bool = False,
    interrupts: UserInterrupts | None = None,
    **settings: Unpack[RunSettings],
) -> CompletionResult:
    """Send the agent to work until ``status`` says that the task is done.

    The arguments are those of ``CompletionFramework`` and its ``stream``. Nobody is asked when the task
    is done already.

        result = await run_until_done(agent, "Make the tests pass.", tests_pass)
        print(result.outcome, result.attempts, result.cost)
    """
    framework = CompletionFramework(
        agent, detector=detector, max_attempts=max_attempts, check_each_turn=check_each_turn
    )
    return await framework.run(prompt, status, interrupts=interrupts, **settings)


def run_until_done_sync(
    agent: Agent[Any],
    prompt: Prompt | None,
    status: StatusFunction,
    *,
    max_attempts: int = MOST_ATTEMPTS,
    detector: CompletionDetector | None = None,
    check_each_turn: bool = False,
    interrupts: UserInterrupts | None = None,
    **settings: Unpack[RunSettings],
) -> CompletionResult:
    """``run_until_done`` for code that is not asynchronous."""
    framework = CompletionFramework(
        agent, detector=detector, max_attempts=max_attempts, check_each_turn=check_each_turn
    )
    return framework.run_sync(prompt, status, interrupts=interrupts, **settings)


def _equipped(
    agent: Agent[Any], tools: Sequence[Any], made: dict[Agent[Any], Agent[Any]]
) -> Agent[Any]:
    """The agent, and those it hands over to, with these tools besides; the given ones stay as they are."""
    if agent not in made:
        made[agent] = equipped = copy.copy(agent)
        equipped.tools = [*agent.tools, *tools]
        equipped.handoffs = [_equipped(other, tools, made) for other in agent.handoffs]
    return made[agent]
