"""Writing behind the program's back: a bounded queue, and one thread that empties it into the sinks."""

import os
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from polyvox.ledger.record import CallRecord, Entry
from polyvox.ledger.redaction import Redactor
from polyvox.ledger.sinks import Sink

__all__ = ["Writer"]

_BATCH = 500
_GATHER_SECONDS = 0.1
_PAUSES = (0.05, 0.25, 1.0)
"""Seconds before each further try to write a batch; after the last it is given up."""


class Writer:
    """Takes records from any thread without waiting, and writes them in batches.

    ``dropped`` counts the records that a sink did not get: the queue was full, or the sink failed
    again and again; ``failure`` says how it failed last. The thread begins with the first record. A
    process that forked off begins with an empty queue and a thread of its own.
    """

    def __init__(self, sinks: Sequence[Sink], redactor: Redactor, max_queue: int) -> None:
        self.dropped = 0
        self.failure: str | None = None
        self._sinks = sinks
        self._redactor = redactor
        self._max_queue = max_queue
        self._broken: set[int] = set()
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[CallRecord | threading.Event] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hurry = threading.Event()
        self._closed = False

    def put(self, record: CallRecord) -> None:
        """Hand a record over; drop it if too many wait."""
        if self._process != os.getpid():
            self._begin()
        if self._closed or self._queue.qsize() >= self._max_queue:
            self._drop(len(self._sinks))
            return
        self._queue.put(record)
        if self._thread is None:
            self._start()

    def flush(self, seconds: float) -> bool:
        """Wait until all that was handed over is written, or given up; False if time ran out before."""
        thread = self._thread
        if thread is None or self._process != os.getpid():
            return True
        written = threading.Event()
        self._queue.put(written)
        self._hurry.set()
        deadline = time.monotonic() + seconds
        while not written.wait(min(0.1, max(0.0, deadline - time.monotonic()))):
            if not thread.is_alive():
                return self._queue.empty()
            if time.monotonic() >= deadline:
                return False
        return True

    def close(self, seconds: float) -> bool:
        """Write what waits, and close the sinks; False if time ran out before."""
        if self._process != os.getpid():
            return True
        with self._lock:
            thread, self._closed = self._thread, True
        if thread is None:
            self._close_sinks()
        else:
            self._hurry.set()
            self._queue.put(threading.Event())  # wakes it
            if thread is threading.current_thread():  # the garbage collector came by in there
                return True
            thread.join(seconds)
            if thread.is_alive():
                return False
        while late := list(self._rest()):
            self._drop(sum(isinstance(item, CallRecord) for item in late) * len(self._sinks))
        return True

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="polyvox-log", daemon=True)
        with (
            self._lock,
            suppress(RuntimeError),
        ):  # too many threads, or the program ends: no call's fault
            if self._thread is None and not self._closed:
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while True:
            waiting = [self._queue.get()]
            if not self._hurry.is_set():
                self._hurry.wait(_GATHER_SECONDS)
            waiting.extend(self._rest())
            self._hurry.clear()
            records = [item for item in waiting if isinstance(item, CallRecord)]
            if records:
                self._write([Entry(record, self._redactor) for record in records])
            for item in waiting:
                if isinstance(item, threading.Event):
                    item.set()
            if self._closed and self._queue.empty():
                break
        self._close_sinks()

    def _rest(self) -> Iterator[CallRecord | threading.Event]:
        with suppress(queue.Empty):
            for _ in range(_BATCH):
                yield self._queue.get_nowait()

    def _write(self, entries: Sequence[Entry]) -> None:
        for place, sink in enumerate(self._sinks):
            # A sink that just failed for good is tried once per batch until it works again.
            pauses = () if place in self._broken else _PAUSES
            if self._tried(sink, entries, pauses):
                self._broken.discard(place)
            else:
                self._broken.add(place)
                self._drop(len(entries))

    def _tried(self, sink: Sink, entries: Sequence[Entry], pauses: Sequence[float]) -> bool:
        for pause in (*pauses, None):
            try:
                sink.write(entries)
            except Exception as error:  # noqa: BLE001 - whatever a sink raises, calls go on
                self.failure = _told(sink, error)
                if pause is not None and not self._closed:
                    self._hurry.wait(pause)
            else:
                return True
        return False

    def _close_sinks(self) -> None:
        for sink in self._sinks:
            try:
                sink.close()
            except Exception as error:  # noqa: BLE001 - the others are to be closed as well
                self.failure = _told(sink, error)

    def _drop(self, count: int) -> None:
        with self._lock:
            self.dropped += count


def _told(sink: Sink, error: Exception) -> str:
    return f"{type(sink).__name__}: {' '.join(str(error).split()) or type(error).__name__}"
