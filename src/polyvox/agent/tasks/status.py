"""Whether a task is done, and what is still wrong: as a function of the program says."""

import inspect
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeAlias, cast

import msgspec

from polyvox.errors import (
    ConfigurationError,
    in_words,
)
from polyvox.model import Call
from polyvox.tools.threads import Threads
from polyvox.waiting import Waiter

__all__ = ["StatusAsker", "StatusFunction", "TaskStatus", "TaskStatusType"]

MOST_FEEDBACK = 30_000
"""So many characters of errors and diagnostics are shown to the model; the middle of more is left out."""


class TaskStatusType(StrEnum):
    """The two things that a task can be."""

    DONE = "done"
    INCOMPLETE = "incomplete"


class TaskStatus(msgspec.Struct):
    """How a task stands: done, unless there is an error.

    ``errors`` are what keeps it from being done, ``diagnostics`` what helps to see why.

    >>> status = TaskStatus()
    >>> status.error("2 tests fail")
    >>> status.is_done
    False
    """

    status: TaskStatusType = TaskStatusType.DONE
    errors: list[str] = []
    diagnostics: list[str] = []

    def __post_init__(self) -> None:
        if self.errors:
            self.status = TaskStatusType.INCOMPLETE

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.status == TaskStatusType.DONE and not self.errors

    def error(self, text: str) -> None:
        """Something is wrong, so that the task is not done."""
        self.errors.append(text)
        self.status = TaskStatusType.INCOMPLETE

    def diagnostic(self, text: str) -> None:
        """Something that the model should know; the task may be done all the same."""
        self.diagnostics.append(text)

    def feedback(self) -> str:
        """The status in words, for the model."""
        lines = ["The task is done." if self.is_done else "The task is not done yet."]
        for title, texts in (("Errors", self.errors), ("Diagnostics", self.diagnostics)):
            if texts:
                lines += [f"{title}:", *(f"- {text}" for text in texts)]
        return _shortened("\n".join(lines))


StatusFunction: TypeAlias = Callable[[bool], TaskStatus | Awaitable[TaskStatus]]
"""Says how a task stands; it gets True when it is asked for the first time."""


class StatusAsker:
    """Asks a status function, and never waits for it longer than the call that the task is may last.

    One that is no coroutine function is called in a thread, since it may well run a compiler; a
    thread that nobody waits for any longer goes on by itself.
    """

    def __init__(self, function: StatusFunction, call: Call) -> None:
        self._function = function
        self._call = call
        self._threads = Threads(linger=0)

    async def ask(self, *, initial: bool = False) -> TaskStatus:
        """The status; an exception in the function is one with an error.

        Raises ``AbortedError`` when the task is interrupted, ``RequestTimeoutError`` when its time is
        over, and ``ConfigurationError`` for a function that answers something else.
        """
        with Waiter(self._call) as waiter:
            try:
                status = cast("object", await waiter.result(self._answer(initial)))
            except RuntimeError as error:  # the function's own are told by _answer
                return _unknown(error)
        if isinstance(status, TaskStatus):
            return status
        raise ConfigurationError(
            f"the status function answered {type(status).__name__}, which is no TaskStatus",
            hint="Return TaskStatus(), after status.error(...) for each thing that is wrong.",
        )

    async def _answer(self, initial: bool) -> TaskStatus:
        call = self._function
        try:
            if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(
                type(call).__call__
            ):
                answer = call(initial)
            else:
                answer = await self._threads.run(lambda: call(initial))
            return await answer if inspect.isawaitable(answer) else answer
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the model is told, whatever it was
            return _unknown(error)


def _unknown(error: BaseException) -> TaskStatus:
    return TaskStatus(errors=[f"The status could not be told: {in_words(error)}"])


def _shortened(text: str) -> str:
    if len(text) <= MOST_FEEDBACK:
        return text
    half = MOST_FEEDBACK // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
