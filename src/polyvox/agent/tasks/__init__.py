"""Tasks: an agent that is sent back to work until a function of the program says that it is done.

    def tests_pass(initial: bool) -> TaskStatus:
        status = TaskStatus()
        if failures := run_tests():
            status.error(failures)
        return status

    result = await run_until_done(agent, "Make the tests pass.", tests_pass)

``status`` is what the function answers, and how it is asked; ``detectors`` tell whether the model
thinks that it is done; ``interrupts`` let a person cut in; ``run`` is the loop over attempts, whose
``events`` a reader sees, and ``result`` what comes of it.

Belongs here: attempts, what the model is told between them, when it is over.
Does not belong here: what happens within an attempt, which is a run of the agent.
"""

from polyvox.agent.tasks.detectors import (
    CompletionDetector,
    PhraseDetector,
    ToolDetector,
    Verdict,
)
from polyvox.agent.tasks.events import AttemptEnd, AttemptStart, TaskEnd, TaskEvent
from polyvox.agent.tasks.framework import (
    CompletionFramework,
    TaskStream,
    run_until_done,
    run_until_done_sync,
)
from polyvox.agent.tasks.interrupts import UserInterrupts
from polyvox.agent.tasks.result import CompletionResult, TaskFailedError, TaskOutcome
from polyvox.agent.tasks.status import StatusFunction, TaskStatus, TaskStatusType

__all__ = [
    "AttemptEnd",
    "AttemptStart",
    "CompletionDetector",
    "CompletionFramework",
    "CompletionResult",
    "PhraseDetector",
    "StatusFunction",
    "TaskEnd",
    "TaskEvent",
    "TaskFailedError",
    "TaskOutcome",
    "TaskStatus",
    "TaskStatusType",
    "TaskStream",
    "ToolDetector",
    "UserInterrupts",
    "Verdict",
    "run_until_done",
    "run_until_done_sync",
]
