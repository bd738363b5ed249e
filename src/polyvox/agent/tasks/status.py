"""Whether a task is done, and what is still wrong: as a function of the program says."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TypeAlias

import msgspec

from polyvox.errors import AbortedError, ConfigurationError, RunLimitError
from polyvox.model import Interrupt
from polyvox.tools.threads import Threads

__all__ = ["StatusAsker", "StatusFunction", "TaskStatus", "TaskStatusType"]

MOST_FEEDBACK = 30_000
"""So many characters of errors and diagnostics are shown to the model; the middle of more is left out."""


class TaskStatusType(str, Enum):
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
        return self.status is TaskStatusType.DONE

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
    """Asks a status function, and never waits for it longer than the task may last.

    One that is no coroutine function is called in a thread, since it may well run a compiler; a
    thread that nobody waits for any longer goes on by itself.
    """

    def __init__(self, function: StatusFunction, interrupt: Interrupt) -> None:
        self._function = function
        self._interrupt = interrupt
        self._threads = Threads()

    async def ask(self, *, initial: bool = False, seconds: float | None = None) -> TaskStatus:
        """The status; an exception in the function is one with an error.

        Raises ``AbortedError`` when the task is interrupted, ``RunLimitError`` after so many seconds,
        and ``ConfigurationError`` for a function that answers something else.
        """
        self._check_interrupt()
        loop = asyncio.get_running_loop()
        stopped: asyncio.Future[None] = loop.create_future()

        def stop() -> None:
            if not stopped.done():
                stopped.set_result(None)

        forget = self._interrupt.listen(lambda: loop.call_soon_threadsafe(stop))
        asked = asyncio.create_task(self._answer(initial))
        try:
            waiting = {asked, stopped}
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            forget()
            asked.cancel()
        if not asked.done():
            self._check_interrupt()
            raise RunLimitError("the time was over before the status was known (limits.seconds)")
        return _told(asked)

    async def _answer(self, initial: bool) -> TaskStatus:
        call = self._function
        if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):
            answer = call(initial)
        else:
            answer = await self._threads.run(lambda: call(initial))
        return await answer if inspect.isawaitable(answer) else answer

    def _check_interrupt(self) -> None:
        if self._interrupt.is_set:
            raise AbortedError(self._interrupt.reason or "interrupted")


def _told(asked: "asyncio.Task[TaskStatus]") -> TaskStatus:
    """What the function answered, or why it did not."""
    if asked.cancelled():
        return TaskStatus(errors=["The status could not be told: the check was cancelled."])
    error = asked.exception()
    if error is not None:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return TaskStatus(errors=[f"The status could not be told: {what}"])
    status: object = asked.result()
    if isinstance(status, TaskStatus):
        return status
    raise ConfigurationError(
        f"the status function answered {type(status).__name__}, which is no TaskStatus",
        hint="Return TaskStatus(), after status.error(...) for each thing that is wrong.",
    )


def _shortened(text: str) -> str:
    if len(text) <= MOST_FEEDBACK:
        return text
    half = MOST_FEEDBACK // 2
    left_out = len(text) - 2 * half
    return f"{text[:half]}\n[... {left_out} characters left out ...]\n{text[-half:]}"
