"""One answer from asking to its end: shown as it arrives, stopped by Ctrl-C, kept however it ends."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol, TypeAlias

import msgspec

from polyvox.cli.spinner import Spinner
from polyvox.cli.terminal import warn
from polyvox.client import AsyncStream
from polyvox.errors import PolyvoxError
from polyvox.events import Event, Warned
from polyvox.ledger import CallRecord
from polyvox.ledger.parts import tree_of
from polyvox.messages import COMPOSITE, AssistantMessage
from polyvox.model import Call, Interrupt, Model
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = [
    "Check",
    "Outcome",
    "View",
    "answer",
    "has_usage",
    "interrupt_on_ctrl_c",
    "remarks",
    "usage_line",
    "usage_text",
]

_REMARKS = {
    "length": "the answer was cut at the token limit",
    "content_filter": "the provider's filter cut the answer",
    "refusal": "the model declined to answer",
    "pause": "the provider paused; ask again to go on",
}


class View(Protocol):
    """Shows an answer while it is made."""

    def shows(self, event: Event) -> bool:
        """Whether something of this event is seen at once; until then a spinner may turn."""
        ...

    def event(self, event: Event) -> None:
        """Show what has arrived."""
        ...

    def end(self, message: AssistantMessage, error: PolyvoxError | None) -> None:
        """The answer is over, well or with this error."""
        ...


Check: TypeAlias = Callable[[AssistantMessage], AssistantMessage]


class Outcome(msgspec.Struct, kw_only=True):
    """How an answer ended: the message with all that arrived, the error if any, the seconds it took.

    ``interrupted`` says that Ctrl-C was pressed, be it too late to matter.
    """

    message: AssistantMessage
    error: PolyvoxError | None = None
    seconds: float
    interrupted: bool = False


async def answer(
    model: Model,
    request: Request,
    view: View,
    *,
    timeout: float | None = None,
    check: Check | None = None,
    session: str | None = None,
    traced: bool = False,
) -> Outcome:
    """Ask, show, and say how it ended: a failure, or a Ctrl-C, is part of the outcome.

    ``check`` has the last word on an answer: it may change it, or raise. With ``traced`` the message
    has a trace whatever the model.
    """
    asked, began = time.time(), time.monotonic()
    with interrupt_on_ctrl_c() as interrupt:
        call = Call.timeout(timeout, interrupt)
        call.session = session
        async with AsyncStream(model, request, call) as stream:
            try:
                async with Spinner(model.name) as spinner:
                    async for event in stream:
                        if view.shows(event) or isinstance(event, Warned):
                            spinner.stop()
                        if isinstance(event, Warned):
                            warn(f"{event.field}: {event.text}" if event.field else event.text)
                        view.event(event)
                error = None
            except PolyvoxError as failure:
                error = failure
            message = _final(stream, error)
    if error is None and check is not None:
        try:
            message = check(message)
        except PolyvoxError as failure:
            error = failure
    outcome = Outcome(
        message=message,
        error=error,
        seconds=time.monotonic() - began,
        interrupted=interrupt.is_set,
    )
    if traced:
        outcome.message = _traced(outcome, model, call, asked)
    view.end(outcome.message, error)
    return outcome


def _traced(outcome: Outcome, model: Model, call: Call, asked: float) -> AssistantMessage:
    """The message with a trace, whatever the model: what the call log would show of it."""
    record = CallRecord(
        id=call.id,
        time=asked,
        model=model.name,
        message=outcome.message,
        error=outcome.error and outcome.error.to_dict(),
        attempts=call.attempts,
        seconds=outcome.seconds,
    )
    return msgspec.structs.replace(outcome.message, trace=tree_of(record))


@contextmanager
def interrupt_on_ctrl_c() -> Generator[Interrupt]:
    """An interrupt that Ctrl-C sets; a second Ctrl-C raises ``KeyboardInterrupt`` as usual."""
    interrupt = Interrupt()

    def pressed(number: int, frame: FrameType | None) -> None:
        if interrupt.is_set:
            raise KeyboardInterrupt
        interrupt.set("interrupted by Ctrl-C")

    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # a job in the background: Ctrl-C is not meant for it
        yield interrupt
        return
    try:
        with _woken_by_ctrl_c():
            signal.signal(signal.SIGINT, pressed)
            yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _woken_by_ctrl_c() -> Generator[None]:
    """Python runs handlers between two of its steps: a loop that is just about to wait must be woken.

    Not by the loop's own ``add_signal_handler``: what that has noted and not looked at yet would be
    taken for a Ctrl-C of whoever reads the next line.
    """
    loop = asyncio.get_running_loop()
    heard, bell = socket.socketpair()
    with heard, bell:
        heard.setblocking(False)
        bell.setblocking(False)
        try:
            loop.add_reader(heard, heard.recv, 4096)
        except NotImplementedError:  # not a Unix, where a loop is woken anyway
            yield
            return
        before = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(heard)


def has_usage(outcome: Outcome) -> bool:
    """Whether there is something to say of what was used: nothing of a request that was never sent."""
    return outcome.error is None or outcome.message.usage.total_tokens > 0


def usage_line(outcome: Outcome) -> str:
    """What the answer used, in one line for a person."""
    message = outcome.message
    told = "" if message.provider == COMPOSITE else message.response_model  # that of its last stage
    who = "/".join(part for part in (message.provider, told or message.model) if part)
    parts = [usage_text(message.usage), f"{outcome.seconds:.1f} s", who]
    return " · ".join(part for part in parts if part)


def usage_text(usage: Usage) -> str:
    """Tokens and cost in words.

    >>> from polyvox.usage import FREE
    >>> usage_text(Usage(input_tokens=1200, cache_read_tokens=1000, output_tokens=5, cost=FREE))
    '1,200 tokens in (1,000 from cache), 5 out · free'
    """
    read = f" ({usage.cache_read_tokens:,} from cache)" if usage.cache_read_tokens else ""
    thought = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    basis = "" if usage.basis == "reported" else f" ({usage.basis})"
    cost = f"cost {usage.cost}" if usage.cost.status == "unknown" else str(usage.cost)
    plural = "" if usage.input_tokens == 1 else "s"
    tokens = f"{usage.input_tokens:,} token{plural} in{read}, {usage.output_tokens:,} out{thought}{basis}"
    return f"{tokens} · {cost}"


def remarks(message: AssistantMessage) -> Iterator[str]:
    """What a reader should know about how the answer ended."""
    remark = _REMARKS.get(message.stop_reason)
    if remark:
        yield remark
    elif message.stop_reason in ("stop", "stop_sequence") and not message.content:
        yield "the answer is empty"


def _final(stream: AsyncStream, error: PolyvoxError | None) -> AssistantMessage:
    if error is not None and error.message is not None:
        return error.message
    return stream.message
