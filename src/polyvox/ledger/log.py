"""The call log: a record of every call, written while the program goes on."""

import asyncio
import re
import sys
import weakref
import zlib
from collections.abc import AsyncGenerator, Iterable
from os import PathLike
from time import perf_counter, time
from typing import Literal, TypeAlias

from msgspec.structs import replace

from polyvox.around import Around
from polyvox.closing import Closing
from polyvox.errors import AbortedError, ConfigurationError, PolyvoxError, ProtocolError
from polyvox.events import Done, Event, Failed, TextDelta, ThinkingDelta, ToolCallStart
from polyvox.ledger.record import CallRecord
from polyvox.ledger.redaction import Redactor
from polyvox.ledger.sinks import Sink
from polyvox.ledger.writer import Writer
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.secret import Secret

__all__ = ["CallLog", "Content", "Logged"]

Content: TypeAlias = Literal["on", "off", "sampled"]

_CLOSE_SECONDS = 5.0
FIRST_TOKENS = (TextDelta, ThinkingDelta, ToolCallStart)


class CallLog(Closing):
    """Writes a record of every call into its sinks, behind the program's back.

    Nothing a sink does delays a call or makes it fail. Records wait in a queue; when it is full, or
    a sink fails again and again, they are dropped, and ``dropped`` counts them. A log is closed at
    the end of its ``with`` block, of the program, or when it is forgotten.

    Args:
        sinks: where records go; none is a log that writes nothing.
        content: whether what was asked and answered is written down: "on", "off" (numbers only), or
            "sampled", for a share of the calls, always the same for the same id.
        rate: that share, from 0 to 1.
        redact: what is masked wherever it stands, besides keys of known shapes: regular expressions
            and ``Secret``s.
        keep_bytes: write the bytes of images and files too, not only their hash and size.
        max_queue: how many records may wait to be written.

    Raises ``ConfigurationError`` for what it can't take.

        log = CallLog(SqliteSink("calls.db"))
        reply = client.complete(Logged(client.model("openai/gpt-5-mini"), log), "Hi.")
    """

    def __init__(
        self,
        *sinks: Sink,
        content: Content = "on",
        rate: float = 0.1,
        redact: Iterable[str | re.Pattern[str] | Secret] = (),
        keep_bytes: bool = False,
        max_queue: int = 10_000,
    ) -> None:
        if content not in ("on", "off", "sampled"):
            raise ConfigurationError(f"content is {content!r}; it may be 'on', 'off' or 'sampled'")
        if not 0 <= rate <= 1:
            raise ConfigurationError(f"rate is {rate}; give the share of calls, from 0 to 1")
        if max_queue < 1:
            raise ConfigurationError(f"max_queue is {max_queue}; give 1 or more")
        for sink in sinks:
            if isinstance(
                sink, (str, PathLike)
            ):  # or else every record is dropped, and nobody told
                raise ConfigurationError(
                    f"CallLog takes sinks, and {str(sink)!r} is a path",
                    hint=f"Give SqliteSink({str(sink)!r}).",
                )
        self.sinks = sinks
        self._share = {"on": 1.0, "off": 0.0}.get(content, rate)
        self._writer = Writer(sinks, Redactor(redact, keep_bytes=keep_bytes), max_queue)
        # Also for a log that nobody closed: when it is forgotten, or the program ends.
        self._close = weakref.finalize(self, self._writer.close, _CLOSE_SECONDS)

    @property
    def dropped(self) -> int:
        """How many records some sink did not get."""
        return self._writer.dropped

    @property
    def failure(self) -> str | None:
        """How a sink failed last, None if none did."""
        return self._writer.failure

    def add(self, record: CallRecord) -> None:
        """Write a record, which now belongs to the log."""
        if not self.sinks:
            return
        if not self._keeps_content(record.id):
            record = record.without_content()
        self._writer.put(record)

    def flush(self, seconds: float = _CLOSE_SECONDS) -> bool:
        """Wait until what was added is written or given up; False if that takes longer than this."""
        return self._writer.flush(seconds)

    def close(self, seconds: float = _CLOSE_SECONDS) -> bool:
        """Write what waits, and close the sinks; False if that takes longer than this.

        What is added afterwards is dropped, and counted.
        """
        self._close.detach()
        return self._writer.close(seconds)

    def _keeps_content(self, id: str) -> bool:
        share = self._share
        return share >= 1 or (
            share > 0 and zlib.crc32(id.encode("utf-8", "replace")) < share * 2**32
        )


class Logged(Around):
    """Write down every call, however it ends; what the log does never touches the call."""

    def __init__(self, model: Model, log: CallLog) -> None:
        super().__init__(model)
        self.log = log

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as it is."""
        began, asked = time(), perf_counter()
        # The caller may go on with the same list before this is written.
        request = replace(request, messages=[*request.messages])
        inner = call.child()
        first: float | None = None
        event: Event | None = None
        try:
            events = self.model.stream(request, inner)
            try:
                async for event in events:
                    if type(event) in FIRST_TOKENS:
                        first = perf_counter() - asked
                        yield event
                        break
                    yield event
                async for event in events:
                    yield event
            finally:
                await events.aclose()
        finally:
            message, error = end_of(event, inner)
            self.log.add(
                CallRecord(
                    id=call.id,
                    time=began,
                    model=self.model.name,
                    kind=call.kind,
                    tenant=call.tenant,
                    session=call.session,
                    tags=call.tags,
                    request=request,
                    message=message,
                    error=error,
                    attempts=inner.attempts,
                    seconds=perf_counter() - asked,
                    first_token=first,
                )
            )


def end_of(
    last: Event | None, call: Call
) -> tuple[AssistantMessage | None, dict[str, object] | None]:
    """The message and the error that a stream ended with, which gave this event last."""
    if type(last) is Done:
        return last.message, None
    if type(last) is Failed:
        return last.message, last.error.to_dict()
    cause = sys.exception()
    if isinstance(cause, asyncio.CancelledError):
        error: PolyvoxError = AbortedError("the task was cancelled")
    elif isinstance(cause, GeneratorExit):
        error = AbortedError("the reader left")
    else:
        error = ProtocolError(
            f"the stream had no ending: {cause!r}" if cause else "the stream had no ending"
        )
    return call.partial, error.to_dict()
