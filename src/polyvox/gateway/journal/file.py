"""The journal of one process: lines are appended at once, and forced onto the disk soon after."""

import asyncio
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from polyvox import jsontext
from polyvox.attempt import Attempt
from polyvox.config.serving import JournalSection
from polyvox.gateway.journal.folders import Folder, new_folder
from polyvox.gateway.journal.lines import Attempted, Begun, Ended, Line, Reserved, encode_line
from polyvox.gateway.journal.reasons import Reasons
from polyvox.gateway.journal.segments import Segments

__all__ = ["LONGEST_LINE", "Journal"]

LONGEST_LINE = 256 << 10
_MOST_KEPT = 4 << 20
_RETRY_SECONDS = 0.25
_JOIN_SECONDS = 30.0


class Journal:
    """Writes down what becomes of calls. Never raises into one, and never waits for more than a write.

    A line that can't be written is kept in memory for a while and tried again; ``failing`` says why. When
    too much is kept, or ``max_bytes`` wait for the database, calls that begin are not recorded, none of
    their lines, or whoever asks denies them. ``dropped`` counts the lines that were not recorded.

    Args:
        root: the folder in which this journal makes one of its own.
        section: how much, how often; see ``JournalSection``.
        reasons: says why attempts failed.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        root: Path,
        section: JournalSection | None = None,
        *,
        reasons: Reasons | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.root = root
        self.section = section or JournalSection()
        self.reasons = reasons or Reasons()
        self.shipped = 0
        """How many bytes of this journal are in the database; told by the shipper."""
        self.elsewhere = 0
        """How many bytes of dead processes' journals aren't; told by the shipper."""
        self.attended = False
        """Whether a shipper has it: it unlocks the folder when it is done."""
        self._clock = clock
        self._at_once = not self.section.fsync_seconds
        self._most_waiting = self.section.max_bytes
        self._denies = self.section.on_failure == "deny"
        self._begin()
        self._mind_forks()

    def _begin(self) -> None:
        self.dropped = 0
        self.closed = False
        self.folder: Folder = new_folder(self.root, self._clock)
        self._file = Segments(self.folder, self.section.segment_bytes)
        self._lock = threading.Lock()
        self._attempts: dict[str, int] = {}  # of the calls that are open: how many there were
        self._kept: deque[bytes] = deque()
        self._kept_bytes = 0
        self._next: list[bytes] = []  # attempts, to be written with the line that comes next
        self._soon: asyncio.AbstractEventLoop | None = None  # where those will be written else
        self._trouble: str | None = None
        self._ready = False
        self._work = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            self._prepare()
        except OSError:
            self._wake()

    @property
    def waiting_bytes(self) -> int:
        """How much waits for the database."""
        return self._file.written + self._kept_bytes - self.shipped + self.elsewhere

    @property
    def failing(self) -> str | None:
        """Why calls that begin can't be recorded, or not for sure; None if all is well."""
        if self._trouble is not None:
            return self._trouble
        if (waiting := self.waiting_bytes) >= self._most_waiting:
            return f"{waiting:,} bytes wait for the database, and no more may"
        return None

    def begin(self, line: Begun) -> None:
        """A call was let in."""
        text = _text_of(line)
        with self._lock:
            # Where calls are denied, whoever was let in before is recorded all the same.
            has_room = self._denies or self.waiting_bytes < self._most_waiting
            if has_room and self._put(text, _MOST_KEPT // 2):
                self._attempts[line.id] = 0
            else:
                self.dropped += 1

    def reserve(self, line: Reserved) -> None:
        """More is reserved for it."""
        text = _text_of(line)
        with self._lock:
            if line.id not in self._attempts or not self._put(text, _MOST_KEPT):
                self.dropped += 1

    def attempt(self, call: str, attempt: Attempt) -> None:
        """A provider was asked for it.

        On an event loop it is written with the line that comes next, which mostly is the end of the
        call, in the same step of the loop; else when that step is over.
        """
        if attempt.error is not None:
            attempt = self.reasons.within(attempt)
        with self._lock:
            number = self._attempts.get(call)
            if number is None or self.closed:
                self.dropped += 1
                return
            text = _text_of(Attempted(id=call, number=number, attempt=attempt))
            if text is None:
                self.dropped += 1
                return
            self._attempts[call] = number + 1
            self._next.append(text)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write_next()
        else:
            if loop is not self._soon:  # once for all attempts of a step
                self._soon = loop
                loop.call_soon(self._write_next)

    def end(self, line: Ended) -> None:
        """The call is over. What is told of it later is dropped."""
        text = _text_of(line)
        with self._lock:
            if self._attempts.pop(line.id, None) is None or not self._put(text, _MOST_KEPT):
                self.dropped += 1

    def sync(self) -> None:
        """Write what is kept, and force everything onto the disk, as far as that can be done now."""
        try:
            with self._lock:
                self._prepare()
                self._catch_up()
            self._file.sync()
        except OSError as error:
            self._trouble = self._told(error)
        else:
            if not self._kept:
                self._trouble = None

    def close(self) -> None:
        """Force everything onto the disk, and close the files. What can't be written is dropped."""
        with self._lock:
            if self.closed:
                return
            thread = self._thread
        self._closing.set()
        self._work.set()
        if thread is not None:
            thread.join(_JOIN_SECONDS)
        self.sync()
        with self._lock:
            self.dropped += len(self._kept) + len(self._next)
            self._kept.clear()
            self._next.clear()
            self._kept_bytes = 0
            self._attempts.clear()
            self.closed = True
            try:
                self._file.close()
            except OSError as error:
                self._trouble = self._told(error)
        if not self.attended:
            self.folder.unlock()

    def _put(self, text: bytes | None, room: int) -> bool:
        """Write the line, or keep it while no more than ``room`` is kept; False if that can't be."""
        if text is None or self.closed:
            return False
        if not self._kept and self._is_written(text):
            return True
        self._keep_next()
        return self._is_kept(text, room)

    def _is_written(self, text: bytes = b"") -> bool:
        """Whether the line is in the file now, behind the attempts that come before it."""
        attempts = self._next
        if attempts:
            text = b"".join((*attempts, text))
        try:
            if not self._ready:
                self._prepare()
            self._file.write(text)
        except OSError as error:
            self._trouble = self._told(error)
            return False
        if attempts:
            attempts.clear()
        if self._at_once or not self._work.is_set():
            self._secure()
        return True

    def _is_kept(self, text: bytes, room: int) -> bool:
        if self._kept_bytes + len(text) > room:
            return False
        self._kept.append(text)
        self._kept_bytes += len(text)
        self._wake()
        return True

    def _write_next(self) -> None:
        """Write the attempts with which no line went."""
        self._soon = None
        if not self._next:  # nearly always: nothing comes to it but what this thread has told
            return
        with self._lock:
            if self._next and (self._kept or self.closed or not self._is_written()):
                self._keep_next()

    def _keep_next(self) -> None:
        for text in self._next:
            self.dropped += self.closed or not self._is_kept(text, _MOST_KEPT)
        self._next.clear()

    def _secure(self) -> None:
        """Have what was written forced onto the disk: now, or soon by the thread."""
        if self._at_once and not self._trouble:
            try:
                self._file.sync()
            except OSError as error:
                self._trouble = self._told(error)
            else:
                return
        self._wake()

    def _catch_up(self) -> None:
        while self._kept:
            self._file.write(self._kept[0])
            self._kept_bytes -= len(self._kept.popleft())
        if self._next:
            self._file.write(b"".join(self._next))
            self._next.clear()

    def _prepare(self) -> None:
        """Make the folder. Raises ``OSError``, and is then tried again."""
        if self._ready:
            return
        try:
            self.folder.lock()
        except OSError as error:
            self._trouble = self._told(error)
            raise
        self._ready = True

    def _told(self, error: OSError) -> str:
        return f"the journal in {self.root} can't be written: {error.strerror or error}"

    def _wake(self) -> None:
        if not self._work.is_set():
            self._work.set()
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="polyvox-journal", daemon=True)
            with suppress(RuntimeError):  # too many threads, or the program ends: no call's fault
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._closing.is_set():
            self._work.wait()
            pause = self.section.fsync_seconds
            self._closing.wait(min(pause, _RETRY_SECONDS) if self._trouble else pause)
            self._work.clear()
            self.sync()
            if self._trouble:
                self._work.set()

    def _mind_forks(self) -> None:
        """A process that forked off has a journal of its own; the parent's stays the parent's."""
        if hasattr(os, "register_at_fork"):
            known = weakref.ref(self)

            def after() -> None:
                journal = known()
                if journal is not None:
                    journal._after_fork()

            os.register_at_fork(after_in_child=after)

    def _after_fork(self) -> None:
        if not self.closed:
            self._file.abandon()
            self.folder.unlock()  # closes our end only: the lock is the parent's as long as it lives
            self.shipped = self.elsewhere = 0
            self.attended = False
            self._begin()


def _text_of(line: Line) -> bytes | None:
    """The line as it is written; one that is far too long is told without what a caller may choose."""
    try:
        try:
            text = encode_line(line)
        except UnicodeEncodeError:  # half an emoji, from a caller
            text = jsontext.encode(line) + b"\n"
        if len(text) <= LONGEST_LINE:
            return text
        if isinstance(line, Begun):
            short = msgspec.structs.replace(
                line, tags={}, end_user=line.end_user[:200], session=None, context=None, prompt=None
            )
            text = jsontext.encode(short) + b"\n"
    except Exception:  # noqa: BLE001 - whatever stands in the line, the call goes on
        return None
    return text if len(text) <= LONGEST_LINE else None
