"""Appending to the segments of a journal: whole lines or nothing."""

import errno
import os
import threading

from polyvox.gateway.journal.appending import appender
from polyvox.gateway.journal.folders import Folder

__all__ = ["Segments"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Segments:
    """Writes lines into a folder, into a new file after so many bytes.

    ``written`` is how many bytes in all. One thread at a time may ``write``; ``sync`` is for any.
    """

    def __init__(self, folder: Folder, most: int) -> None:
        self.written = 0
        self._append = appender()
        self._folder = folder
        self._most = most
        self._number = 0
        self._began = 0  # what was written before the newest file
        self._file: int | None = None
        self._named = True  # whether the disk knows the name of the newest file
        self._full: list[int] = []  # files that are complete, but not yet on the disk for sure
        self._syncing = threading.Lock()

    def write(self, line: bytes) -> None:
        """Append a line. Raises ``OSError``; then nothing of it was written."""
        file = self._file
        if file is None or self.written - self._began >= self._most:
            file = self._next()
        count = self._append(file, line)
        if count != len(line):
            self._take_back(file)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written += count

    def sync(self) -> None:
        """Force what was written onto the disk. Raises ``OSError``."""
        with self._syncing:
            named, self._named = self._named, True
            while self._full:
                os.fsync(self._full[0])
                os.close(self._full.pop(0))
            file = self._file  # whoever makes the next one leaves it open for the next ``sync``
            if file is not None:
                os.fsync(file)
            if not named:
                self._folder.sync()

    def close(self) -> None:
        """Force everything onto the disk, as far as that can be done, and close the files.

        Raises ``OSError`` if it can't.
        """
        try:
            self.sync()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the files and no more."""
        file, self._file = self._file, None
        files = [*self._full, *([] if file is None else [file])]
        self._full.clear()
        for each in files:
            os.close(each)

    def _next(self) -> int:
        file = os.open(self._folder.segment(self._number + 1), _FLAGS, 0o600)
        if self._file is not None:
            self._full.append(self._file)
        self._number += 1
        self._named = False
        self._file, self._began = file, self.written
        return file

    def _take_back(self, file: int) -> None:
        """Part of a line was written. A file that keeps it ends there: readers ignore such an end."""
        try:
            os.ftruncate(file, self.written - self._began)
        except OSError:
            self._full.append(file)
            self._file = None
