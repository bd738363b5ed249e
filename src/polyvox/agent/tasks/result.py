"""What a task came to."""

from typing import Literal, TypeAlias

import msgspec

from polyvox.agent.state import RunState
from polyvox.agent.tasks.status import TaskStatus
from polyvox.errors import PolyvoxError
from polyvox.messages import AssistantMessage, Message
from polyvox.usage import Cost, Usage

__all__ = ["CompletionResult", "TaskFailedError", "TaskOutcome"]

TaskOutcome: TypeAlias = Literal[
    "done", "gave_up", "exhausted", "suspended", "aborted", "limit", "error"
]
"""How a task ended.

``done`` the status says so; ``gave_up`` the model said that it can't be done; ``exhausted`` all
attempts were made; ``suspended`` a call of a tool waits for an approval; ``aborted`` it was stopped
from outside; ``limit`` one of its limits, or of the agent's, was reached; ``error`` the model could
not be asked.
"""


class TaskFailedError(PolyvoxError):
    """The task is not done, though nothing broke; ``result`` is its ``CompletionResult``."""

    kind = "task_failed"


class CompletionResult(msgspec.Struct, kw_only=True):
    """How a task ended, and what it took.

    ``attempts`` counts the runs of the agent, ``status`` is the last one that was asked
    (incomplete if there was no time to ask). ``usage`` sums up all attempts; its cost is unknown, a
    lower bound, if a price is. ``detail`` says more, in the model's words or ours, and ``error`` is
    there when something stopped the task. ``state`` is what it takes to go on.
    """

    outcome: TaskOutcome
    attempts: int
    status: TaskStatus
    usage: Usage
    state: RunState
    detail: str = ""
    error: PolyvoxError | None = None

    @property
    def is_done(self) -> bool:
        """Whether the outcome is "done"."""
        return self.outcome == "done"

    @property
    def messages(self) -> list[Message]:
        """The whole conversation."""
        return self.state.messages

    @property
    def cost(self) -> Cost:
        """What all attempts have cost."""
        return self.usage.cost

    @property
    def text(self) -> str:
        """The text that the model said last; "" if it said nothing."""
        for message in reversed(self.messages):
            if isinstance(message, AssistantMessage):
                return message.text
        return ""

    def raise_for_outcome(self) -> "CompletionResult":
        """The result itself, if the task is done.

        Raises ``PolyvoxError`` else: what stopped it, or ``TaskFailedError``. ``error.result`` is this.
        """
        if self.is_done:
            return self
        error = self.error or TaskFailedError(
            f"the task is not done ({self.outcome}): {self.detail}"
        )
        error.result = self
        raise error
