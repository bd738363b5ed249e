"""A session that is open: its state, and the way to add to it."""

import asyncio
import os
import sqlite3
import time
import weakref
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Protocol

from msgspec.structs import replace

from polyvox.agent.events import AgentEnd, AgentEvent, TurnEnd
from polyvox.agent.sessions.entries import Entry, entry_of
from polyvox.agent.sessions.info import SessionInfo
from polyvox.agent.state import RunState
from polyvox.closing import AsyncClosing
from polyvox.errors import ConfigurationError

__all__ = ["StoredSession", "Writer"]


class Writer(Protocol):
    """Puts entries behind those that there are; as long as it is open, nobody else does."""

    def write(self, entry: Entry, info: SessionInfo) -> None:
        """Keep the entry, after which the session is this. Raises ``OSError`` or ``sqlite3.Error``."""
        ...

    def close(self) -> None:
        """Let others write."""
        ...


class StoredSession(AsyncClosing):
    """A session that this process may add to. Close it, or use it in ``async with``.

    ``state`` is where it stands. What was appended is still there when the process is killed a moment
    later; of a machine that loses its power the last events may be missing.
    """

    def __init__(
        self,
        state: RunState,
        info: SessionInfo,
        writer: Writer,
        worker: ThreadPoolExecutor | None,
        store: object,
    ) -> None:
        self.id = info.id
        self.state = state
        self._info = info
        self._writer = writer
        self._worker = worker
        self._store = store  # which ends when nobody knows it any more
        self._pid = os.getpid()
        # Also for one that nobody closed: nobody could open it again.
        self._close = weakref.finalize(self, writer.close)

    @property
    def info(self) -> SessionInfo:
        """The session in short."""
        return self._info

    async def append(self, event: AgentEvent) -> None:
        """Keep the event, and bring ``state`` up to date with it; nobody else need do that.

        An append that is cancelled is carried out all the same. Raises ``ConfigurationError`` when the
        event can't be written; the state is then as it was.
        """
        with self._told():
            entry = entry_of(event, time.time())
            if entry is None:  # nothing that a state is made of
                return
            if self._worker is None:
                self._write(event, entry)
                self.state.apply(event)
            else:
                await asyncio.shield(asyncio.ensure_future(self._in_thread(event, entry)))

    async def aclose(self) -> None:
        """Let others write; nothing can be appended any more."""
        if self._worker is not None and self._pid == os.getpid():
            with suppress(RuntimeError):  # the store is closed, and this with it
                await asyncio.wrap_future(self._worker.submit(lambda: None))  # after what was begun
        self._close()

    async def _in_thread(self, event: AgentEvent, entry: Entry) -> None:
        assert self._worker is not None
        await asyncio.wrap_future(self._worker.submit(self._write, event, entry))
        self.state.apply(event)

    def _write(self, event: AgentEvent, entry: Entry) -> None:
        info = self._info.after(event, entry.time)
        if isinstance(event, (TurnEnd, AgentEnd)):
            entry = replace(entry, info=info)
        self._writer.write(entry, info)
        self._info = info

    @contextmanager
    def _told(self) -> Generator[None]:
        """What goes wrong becomes an error of ours, which names the session."""
        if not self._close.alive:
            raise ConfigurationError(f"session {self.id!r} is closed; open it again")
        if self._pid != os.getpid():
            raise ConfigurationError(
                f"session {self.id!r} was opened before this process was forked off",
                hint="Open it in the process that uses it.",
            )
        try:
            yield
        except (OSError, sqlite3.Error, TypeError, ValueError, RuntimeError) as error:
            raise ConfigurationError(f"can't write session {self.id!r}: {error}") from error
