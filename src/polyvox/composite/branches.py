"""Tasks that work for one call, and none of them after it."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from polyvox.errors import AbortedError, PolyvoxError, ProtocolError
from polyvox.model import Call
from polyvox.waiting import soon

__all__ = ["end_all", "interruption", "on_interrupt", "unfinished"]


def unfinished(call: Call) -> PolyvoxError:
    """Why an answer has no end: it was cancelled, or its model forgot to end it."""
    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return ProtocolError("it ended its stream without an ending")
    return interruption(call) or AbortedError("it was not waited for")


def interruption(call: Call) -> AbortedError | None:
    """The error of a call that was interrupted; None if it was not."""
    if call.interrupt is None or not call.interrupt.is_set:
        return None
    return AbortedError(call.interrupt.reason or "interrupted by the caller")


def on_interrupt(call: Call, tasks: Iterable[asyncio.Task[None]]) -> Callable[[], None]:
    """Have the tasks cancelled when the call is interrupted, from whichever thread."""
    if call.interrupt is None:
        return lambda: None
    loop, all_tasks = asyncio.get_running_loop(), list(tasks)

    def cancel() -> None:
        for task in all_tasks:
            task.cancel()

    return call.interrupt.listen(partial(soon, loop, cancel))


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """See that no task is left behind."""
    running = [task for task in tasks if not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen
