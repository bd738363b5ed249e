"""Where records go: memory, and files of JSON lines."""

import errno
import os
import sys
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from polyvox.errors import ConfigurationError
from polyvox.ledger.record import CallRecord, Entry

__all__ = ["JsonlSink", "MemorySink", "Sink"]

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT


class Sink(Protocol):
    """Keeps records. Called from the log's own thread only; what it raises makes the log try again."""

    def write(self, entries: Sequence[Entry]) -> None:
        """Keep these, each once, also when the log tries again.

        ``entry.record`` is the cleaned record, ``entry.json`` its JSON.
        """
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


class MemorySink:
    """Keeps the last records in memory: for tests, and to look at while a program runs."""

    def __init__(self, limit: int = 1_000) -> None:
        self._entries: deque[Entry] = deque(maxlen=limit)

    @property
    def records(self) -> list[CallRecord]:
        """The records, oldest first."""
        return [entry.record for entry in list(self._entries)]

    def write(self, entries: Sequence[Entry]) -> None:
        """Keep these; the oldest go when there are too many."""
        self._entries.extend(entries)

    def close(self) -> None:
        """What is there stays."""


class JsonlSink:
    """Appends one line of JSON per call to a file that only its owner may read.

    When the file would grow over ``max_bytes`` it becomes ``path.1``, that becomes ``path.2``, and so
    on; of the old files ``keep`` stay. Several processes may write to one file; on Windows, where they
    can't hold each other off, only one of them may rotate it: give the others ``max_bytes=None``.

    Raises ``ConfigurationError`` for a number that makes no sense.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, max_bytes: int | None = 100_000_000, keep: int = 5
    ) -> None:
        if keep < 0 or (max_bytes is not None and max_bytes < 1):
            raise ConfigurationError(
                f"JsonlSink({os.fspath(path)!r}): max_bytes={max_bytes}, keep={keep}",
                hint="Give max_bytes=1 or more, or None; keep=0 or more.",
            )
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.keep = keep
        self._batch: Sequence[Entry] | None = None
        self._written = 0

    def write(self, entries: Sequence[Entry]) -> None:
        """Append a line for each. Raises ``OSError``; with the same entries again it goes on from there."""
        if entries is not self._batch:
            self._batch, self._written = entries, 0
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone_in(self.path.parent):
            while self._written < len(entries):
                lines = self._fitting(entries[self._written :])
                self._append(b"".join(lines))
                self._written += len(lines)
        self._batch = None

    def close(self) -> None:
        """Nothing is open between two batches."""

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _fitting(self, entries: Sequence[Entry]) -> list[bytes]:
        """The lines that go into the file as it is, or into a new one: at least one of them."""
        lines = [entries[0].json + b"\n"]
        if self.max_bytes is None:
            return lines + [entry.json + b"\n" for entry in entries[1:]]
        size = self._size()
        if size and size + len(lines[0]) > self.max_bytes:
            self._rotate()
            size = 0
        size += len(lines[0])
        for entry in entries[1:]:
            size += len(entry.json) + 1
            if size > self.max_bytes:
                break
            lines.append(entry.json + b"\n")
        return lines

    def _append(self, data: bytes) -> None:
        file = os.open(self.path, _FLAGS, 0o600)
        try:
            if os.fstat(file).st_size:
                os.lseek(file, -1, os.SEEK_END)
                if os.read(file, 1) != b"\n":  # somebody died in the middle of a line
                    data = b"\n" + data
            written = os.write(file, data)
            if written != len(data):  # the disk is full: no half line may stay
                os.ftruncate(file, os.lseek(file, 0, os.SEEK_CUR) - written)
                raise OSError(errno.ENOSPC, "no space left on the device", str(self.path))
        finally:
            os.close(file)

    def _rotate(self) -> None:
        if not self.keep:
            self.path.unlink(missing_ok=True)
            return
        for number in range(self.keep - 1, 0, -1):
            if (old := self._numbered(number)).exists():
                old.replace(self._numbered(number + 1))
        self.path.replace(self._numbered(1))

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


@contextmanager
def _alone_in(folder: Path) -> Generator[None]:
    """Hold off the other processes that write here, where the system can."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    try:
        file = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one that may be written to and not read
        yield
        return
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        with suppress(OSError):  # by closing alone it would stay with a process that forked off
            fcntl.flock(file, fcntl.LOCK_UN)
        os.close(file)
