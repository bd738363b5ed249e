"""Sessions as a folder of files, one line of JSON for each event."""

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

import msgspec

from polyvox.agent.sessions.entries import (
    INFO_MARK,
    Entry,
    Header,
    Record,
    info_after,
    read_entries,
    read_header,
)
from polyvox.agent.sessions.info import SessionInfo
from polyvox.agent.sessions.lock import SessionLock
from polyvox.agent.sessions.session import Writer
from polyvox.agent.sessions.store import Sessions, file_name
from polyvox.errors import ConfigurationError

__all__ = ["JsonlSessions"]

_SUFFIX = ".jsonl"
_BLOCK = 16 * 1024
_BEGINNING = b'{"format":"polyvox-session"'


class JsonlSessions(Sessions):
    """Sessions as files of JSON lines in a directory, which is made on first use.

    Lines are only ever added. A line that a killed process left unfinished is cut off when the session
    is opened next; a file that is damaged elsewhere is never touched, and an error says where.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        # A write into the system's cache is quicker than the way to a thread and back.
        super().__init__(_Folder(Path(directory).expanduser()), write_in_thread=False)


class _DamagedError(ConfigurationError):
    """The file does not begin as a session."""


class _Folder:
    """The directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lock_path(self, id: str) -> Path:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._path / f"{file_name(id)}.lock"

    def read(self, id: str) -> Record | None:
        path = self._path_of(id)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        if _is_only_begun(data):
            return None
        head, *lines, _unfinished = data.split(b"\n") if b"\n" in data else (data, b"")
        header = _header(head, path, id)
        return Record(header, read_entries(lines, str(path), first=2))

    def create(self, record: Record) -> None:
        path = self._path_of(record.header.id)
        new = path.with_suffix(".new")
        lines = [msgspec.json.encode(each) + b"\n" for each in (record.header, *record.entries)]
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.writelines(lines)
        new.replace(path)

    def writer(self, record: Record, lock: SessionLock) -> Writer:
        return _File(self._path_of(record.header.id), lock)

    def delete(self, id: str) -> bool:
        path = self._path_of(id)
        try:
            with path.open("rb") as file, suppress(_DamagedError):
                _header(file.readline(), path, id)
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def infos(self) -> Sequence[SessionInfo]:
        infos: list[SessionInfo] = []
        for path in self._path.glob(f"*{_SUFFIX}"):
            try:
                infos.append(_info(path))
            except FileNotFoundError:  # deleted meanwhile
                continue
            except (ConfigurationError, msgspec.DecodeError, OSError) as error:
                infos.append(SessionInfo(id=unquote(path.stem), error=str(error)))
        return infos

    def close(self) -> None:
        """Files are open only as long as their sessions."""

    def _path_of(self, id: str) -> Path:
        return self._path / f"{file_name(id)}{_SUFFIX}"


class _File:
    """A session's file, open to be written."""

    def __init__(self, path: Path, lock: SessionLock) -> None:
        self._path = path
        self._lock = lock
        with path.open("r+b") as file:
            self._size = _whole_lines(file)
            file.truncate(self._size)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND)

    def write(self, entry: Entry, info: SessionInfo) -> None:
        now = os.fstat(self._file)
        if not now.st_nlink:  # the system would write on, where nobody finds it
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
        if now.st_size != self._size:  # somebody took the lock away
            raise OSError(f"another one has written into {self._path}")
        line = msgspec.json.encode(entry) + b"\n"
        written = os.write(self._file, line)
        if written != len(line):  # the disk is full: no half line may stay
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, "no space left on the device", str(self._path))
        self._size += written

    def close(self) -> None:
        os.close(self._file)
        self._lock.release()


def _header(line: bytes, path: Path, id: str) -> Header:
    """The header of the session. Raises ``ConfigurationError``, when the file is of another one too.

    That happens where "Ada" and "ada" are one file, and to files that somebody renamed.
    """
    try:
        header = read_header(line, str(path))
    except ConfigurationError as error:
        raise _DamagedError(error.text, hint=error.hint) from error
    if header.id != id:
        raise ConfigurationError(f"{path} is session {header.id!r}, not {id!r}")
    return header


def _is_only_begun(data: bytes) -> bool:
    """Whether who made the file did not come to the end of its first line."""
    return b"\n" not in data and data[: len(_BEGINNING)] == _BEGINNING[: len(data)]


def _info(path: Path) -> SessionInfo:
    """What the file tells: its first line, and those from the last info on."""
    with path.open("rb") as file:
        head = file.readline()
        if _is_only_begun(head):
            time = path.stat().st_mtime
            return SessionInfo(id=unquote(path.stem), created=time, updated=time)
        header = _header(head, path, unquote(path.stem))
        begin = len(head)
        tail = _from_last(b"\n" + INFO_MARK, file, begin - 1)
    lines = tail.split(b"\n")[1:-1]  # it begins with the end of a line, and may be unfinished
    return info_after(header.info, read_entries(lines, str(path)))


def _whole_lines(file: BinaryIO) -> int:
    """How long the file is without a line that has no end."""
    size = file.seek(0, os.SEEK_END)
    tail = _from_last(b"\n", file, 0)
    return size - len(tail) + 1 if tail.startswith(b"\n") else 0


def _from_last(mark: bytes, file: BinaryIO, begin: int) -> bytes:
    """The end of the file, from the last mark before its last line's end; from ``begin`` if there is none."""
    size = file.seek(0, os.SEEK_END)
    block = _BLOCK
    while True:
        start = max(begin, size - block)
        file.seek(start)
        data = file.read(size - start)
        found = data.rfind(mark, 0, data.rfind(b"\n") + 1)
        if found >= 0:
            return data[found:]
        if start == begin:
            return data
        block *= 4
