"""What happens to a task: the events around those of its runs.

    task    = { attempt } task_end
    attempt = attempt_start { event of the agent } attempt_end

There is no attempt when the task is done from the start. Messages that the user has sent, and no
attempt has read, are told before ``task_end``, as ``message_start`` and ``message_end``.
"""

from typing import TypeAlias

import msgspec

from polyvox.agent.events import Outcome
from polyvox.agent.tasks.result import TaskOutcome
from polyvox.agent.tasks.status import TaskStatus

__all__ = ["AttemptEnd", "AttemptStart", "TaskEnd", "TaskEvent"]


class _TaskEvent(msgspec.Struct, tag_field="type", omit_defaults=True, repr_omit_defaults=True):
    """What all events of a task share."""


class AttemptStart(_TaskEvent, tag="attempt_start"):
    """The agent is sent to work, for the so-manieth time; this is how the task stands."""

    number: int
    status: TaskStatus


class AttemptEnd(_TaskEvent, tag="attempt_end"):
    """The agent has stopped. ``status`` is None if it was not asked: the model did not say it is done."""

    number: int
    outcome: Outcome
    status: TaskStatus | None = None


class TaskEnd(_TaskEvent, tag="task_end"):
    """The task is over."""

    outcome: TaskOutcome
    attempts: int
    status: TaskStatus
    detail: str = ""


TaskEvent: TypeAlias = AttemptStart | AttemptEnd | TaskEnd
