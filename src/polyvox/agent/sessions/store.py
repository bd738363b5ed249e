"""Sessions by their names, whatever keeps them."""

import asyncio
import os
import sqlite3
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar
from urllib.parse import quote

from polyvox.agent.sessions.entries import FORMAT, VERSION, Header, Record
from polyvox.agent.sessions.info import SessionInfo
from polyvox.agent.sessions.lock import SessionLock
from polyvox.agent.sessions.session import StoredSession, Writer
from polyvox.closing import AsyncClosing
from polyvox.errors import BadRequestError, ConfigurationError, NotFoundError

__all__ = ["ExportFormat", "Sessions", "Storage", "file_name"]

ExportFormat: TypeAlias = Literal["markdown", "html"]

_T = TypeVar("_T")
_LONGEST_NAME = 200


class Storage(Protocol):
    """What keeps sessions. All of it is called in one thread; a writer may be in another.

    Raises ``OSError`` or ``sqlite3.Error``, and ``ConfigurationError`` for what is no session.
    """

    def lock_path(self, id: str) -> Path:
        """The file that is there while somebody writes the session."""
        ...

    def read(self, id: str) -> Record | None:
        """All of a session, None if there is none; also of one that is being written."""
        ...

    def create(self, record: Record) -> None:
        """Begin a session, with all that the record has or not at all."""
        ...

    def writer(self, record: Record, lock: SessionLock) -> Writer:
        """What adds to the session, which was read under this lock, and releases it when closed."""
        ...

    def delete(self, id: str) -> bool:
        """Remove the session, damaged or not; whether there was one."""
        ...

    def infos(self) -> Sequence[SessionInfo]:
        """All sessions in short, in no order."""
        ...

    def close(self) -> None:
        """Nothing more will be asked."""
        ...


class Sessions(AsyncClosing):
    """Sessions of agents by their ids. Close it, or use it in ``async with``.

    An id is any short text. Everything that was said stands in a session as it is, keys that somebody
    typed included: nothing is masked or encrypted, and only the file's owner may read it.
    """

    def __init__(self, storage: Storage, *, write_in_thread: bool) -> None:
        self._storage = storage
        self._write_in_thread = write_in_thread
        self._worker = ThreadPoolExecutor(1, "polyvox-sessions")
        self._open: weakref.WeakSet[StoredSession] = weakref.WeakSet()
        self._pid = os.getpid()
        self._close = weakref.finalize(self, _close, self._worker, storage, self._pid)

    async def open(self, id: str | None = None) -> StoredSession:
        """The session with this id, made if there is none; with a new id if none is given.

        Raises ``SessionBusyError`` when it is open already, here or elsewhere, and
        ``ConfigurationError`` when it can't be read.
        """
        header = _header(uuid.uuid4().hex if id is None else id)
        return await self._opened(partial(self._load, header))

    async def fork(
        self, id: str, at_message: int | None = None, new_id: str | None = None
    ) -> StoredSession:
        """A new session with what another one holds, or with its first messages; it is open then.

        Args:
            id: the session to copy, which stays as it is and may be open.
            at_message: how many of its messages to copy, counted from its very beginning.
            new_id: the id of the copy; a new one by default.

        Raises ``NotFoundError`` when there is no such session, ``ConfigurationError`` when there is
        one with the new id, or not so many messages.
        """
        header = _header(uuid.uuid4().hex if new_id is None else new_id, parent=id)
        return await self._opened(partial(self._copy, id, at_message, header))

    async def delete(self, id: str) -> None:
        """Remove the session. Raises ``NotFoundError``, or ``SessionBusyError`` when it is open."""
        await self._run(partial(self._delete, id))

    async def export(self, session: StoredSession | str, format: ExportFormat = "markdown") -> str:
        """The whole session to be read by people: "markdown", or "html" that needs no other file.

        Messages that were compacted are there too. Raises ``NotFoundError`` when there is no such
        session.
        """
        from polyvox.agent.sessions import html, markdown
        from polyvox.agent.sessions.transcript import transcript

        id = session if isinstance(session, str) else session.id
        if format not in ("markdown", "html"):
            raise BadRequestError(f"format is {format!r}; it may be 'markdown' or 'html'")
        page = markdown.page if format == "markdown" else html.page
        return await self._run(lambda: page(transcript(self._read(id))))

    async def list(self) -> list[SessionInfo]:
        """All sessions in short, the one last written to first."""
        infos = await self._run(self._storage.infos)
        return sorted(infos, key=lambda info: info.updated, reverse=True)

    async def aclose(self) -> None:
        """Close all sessions that are open, and the store."""
        for session in tuple(self._open):
            await session.aclose()
        if self._close.detach() and self._pid == os.getpid():
            await asyncio.wrap_future(self._worker.submit(self._storage.close))
            self._worker.shutdown()

    async def _opened(self, load: Callable[[], StoredSession]) -> StoredSession:
        session = await self._run(load)
        self._open.add(session)
        return session

    async def _run(self, work: Callable[[], _T]) -> _T:
        """Do it in the thread. When nobody waits any more, a session that it opened is dropped: closed."""
        if self._pid != os.getpid():
            raise ConfigurationError("these sessions were used before this process was forked off")
        if not self._close.alive:
            raise ConfigurationError("these sessions are closed")
        try:
            return await asyncio.wrap_future(self._worker.submit(work))
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"can't use the sessions: {error}") from error

    def _load(self, header: Header) -> StoredSession:
        lock = SessionLock(self._storage.lock_path(header.id), header.id)
        try:
            record = self._storage.read(header.id)
            if record is None:
                record = Record(header, [])
                self._storage.create(record)
            return self._session(record, lock)
        except BaseException:
            lock.release()
            raise

    def _copy(self, id: str, at_message: int | None, header: Header) -> StoredSession:
        record = self._read(id).upto(at_message, header)
        lock = SessionLock(self._storage.lock_path(header.id), header.id)
        try:
            if self._storage.read(header.id) is not None:
                raise ConfigurationError(f"new_id is {header.id!r}, and there is such a session")
            self._storage.create(record)
            return self._session(record, lock)
        except BaseException:
            lock.release()
            raise

    def _session(self, record: Record, lock: SessionLock) -> StoredSession:
        state, info = record.state(), record.info()  # before its file is touched
        worker = self._worker if self._write_in_thread else None
        return StoredSession(state, info, self._storage.writer(record, lock), worker, self)

    def _read(self, id: str) -> Record:
        record = self._storage.read(id)
        if record is None:
            raise _unknown(id)
        return record

    def _delete(self, id: str) -> None:
        lock = SessionLock(self._storage.lock_path(id), id)
        try:
            if not self._storage.delete(id):
                raise _unknown(id)
        finally:
            lock.release()


def file_name(id: str) -> str:
    """The id as part of a file's name. Raises ``ConfigurationError`` for one that can't be.

    >>> file_name("ada/2")
    'ada%2F2'
    """
    name = quote(id, safe="", errors="replace")
    if not id or len(name) > _LONGEST_NAME or name != quote(id, safe="", errors="ignore"):
        raise ConfigurationError(f"{id!r} can't be a session's id", hint="Give a short text.")
    return name


def _unknown(id: str) -> NotFoundError:
    return NotFoundError(f"there is no session {id!r}", hint="sessions.list() has all ids.")


def _header(id: str, parent: str = "") -> Header:
    file_name(id)
    return Header(format=FORMAT, version=VERSION, id=id, created=time.time(), parent=parent)


def _close(worker: ThreadPoolExecutor, storage: Storage, pid: int) -> None:
    """For sessions that nobody closed. Waits for nothing: it may be called in the thread itself."""
    if pid != os.getpid():
        return
    try:
        worker.submit(storage.close)
    except RuntimeError:  # the program ends: its threads have ended before
        storage.close()
    worker.shutdown(wait=False)
