"""What works for one call, and never beyond it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from functools import partial

from polyvox.errors import AbortedError, PolyvoxError, ProtocolError
from polyvox.events import Event
from polyvox.http import Timeouts
from polyvox.model import Call
from polyvox.transport.watch import Watch
from polyvox.waiting import soon

__all__ = ["end_all", "interruption", "is_left", "kept", "on_interrupt", "unfinished"]

_GRACE = 0.2
"""Seconds after a deadline in which a model may still say itself that it was late."""


def unfinished(call: Call) -> PolyvoxError:
    """Why an answer has no end: it was cancelled, or its model forgot to end it."""
    if not is_left():
        return ProtocolError("it ended its stream without an ending")
    return interruption(call) or AbortedError("it was not waited for")


def is_left() -> bool:
    """Whether the task that asks has been cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


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


async def kept(events: AsyncGenerator[Event], call: Call) -> AsyncGenerator[Event]:
    """The events of a model, that end with the call whether or not the model keeps to it.

    Raises ``RequestTimeoutError`` and ``AbortedError`` in the model's place.
    """
    own = call.child()
    own.deadline = None if call.deadline is None else call.deadline + _GRACE
    watch = Watch(Timeouts(first_byte=None, idle=None), own)
    try:
        async with aclosing(events):
            while True:
                with watch:
                    event = await anext(events, None)
                if event is None:
                    return
                yield event
    finally:
        watch.close()
