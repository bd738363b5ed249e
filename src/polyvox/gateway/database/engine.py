"""The gateway's database: asked from threads of its own, in bounded time, left alone while it is down."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from polyvox.errors import ConfigurationError, PolyvoxError, in_words
from polyvox.gateway.database.bounds import Bounds
from polyvox.gateway.database.faults import busy, is_broken, is_busy, told, unavailable, unfit
from polyvox.gateway.database.migrating import head, migrate, revision_of
from polyvox.gateway.database.postgres import PostgresServer
from polyvox.gateway.database.sqlite import SqliteFile
from polyvox.secret import Secret

__all__ = ["Database", "DatabaseState", "Work", "insert_into"]

_T = TypeVar("_T")
Work: TypeAlias = Callable[[Connection], _T]

_FOR_PLAIN_THREADS = 4
"""Connections beside those of our own threads: for ``run_now``."""

_log = logging.getLogger(__name__)


class DatabaseState(msgspec.Struct, frozen=True):
    """Whether the database can be used, since when (seconds since the epoch), and if not, why.

    ``error`` is for whoever runs the gateway, not for callers; it holds no password.
    """

    status: Literal["up", "down"]
    since: float
    error: str | None = None


class Database:
    """A file of SQLite or a server of PostgreSQL, as transactions in plain SQLAlchemy.

    A database that can't be reached is down: whoever wants something of it is told so at once, with
    an ``OverloadedError`` (503), and one thread tries until it is back. Every transaction and every
    wait ends; see ``Bounds``.

    Use it in the process that opened it, not across a fork.

    Args:
        url: "sqlite:///<path>" or "postgresql://user:password@host/database".
        clock: the time in seconds since the epoch, for ``state``.
        bounds: how long what may take.

    Raises ``ConfigurationError`` for any other URL.
    """

    def __init__(
        self,
        url: str | Secret,
        *,
        clock: Callable[[], float] = time.time,
        bounds: Bounds | None = None,
    ) -> None:
        self._backend = _backend(url.reveal() if isinstance(url, Secret) else url)
        self._bounds = bounds = bounds or Bounds()
        self._clock = clock
        self._state = DatabaseState("down", clock(), "it has not been opened yet")
        self._engine: Engine | None = None
        self._threads = ThreadPoolExecutor(bounds.threads, thread_name_prefix="polyvox-database")
        self._inside = 0
        self._lock = threading.Lock()
        self._closed = self._warned = False
        self._pause = bounds.first_pause
        self._wake = threading.Event()
        self._keeper: threading.Thread | None = None
        self._on_up: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        return f"Database({self.place}, {self._state.status})"

    @property
    def place(self) -> str:
        """Where it is, without user and password."""
        return self._backend.place

    @property
    def state(self) -> DatabaseState:
        """Whether it can be used."""
        return self._state

    async def open(self) -> None:
        """Reach it, once, and bring its schema up to date. Where that fails, it is down until it can be.

        Raises ``ConfigurationError`` for a schema of a newer version, a migration that fails, and a
        file that is no database.
        """
        await asyncio.wrap_future(self._start())

    def open_now(self) -> None:
        """``open``, for plain threads."""
        self._start().result()

    async def run(self, work: Work[_T], *, read_only: bool = False) -> _T:
        """What the work returns, done in one transaction, in another thread.

        Who is cancelled goes at once; work that had begun goes on to its end. An error that the work
        raises undoes the transaction. Work that only reads should say so: it waits for no writer.

        Raises ``OverloadedError`` when the database is down or has no time for it.
        """
        self._usable()
        job = self._submit(work, read_only)
        waiting = asyncio.wrap_future(job)
        waiting.add_done_callback(_seen)
        try:
            await asyncio.wait([waiting], timeout=self._bounds.wait)
            if not waiting.done() and job.cancel():
                raise busy(f"nothing was free within {self._bounds.wait:g} s")
            return await waiting
        except asyncio.CancelledError:
            waiting.cancel()
            raise

    def run_now(self, work: Work[_T], *, read_only: bool = False) -> _T:
        """``run``, in the thread that calls it."""
        engine = self._usable()
        try:
            with self._backend.turn(self._bounds, read_only), engine.connect() as connection:
                if read_only:
                    connection.execution_options(read_only=True, postgresql_readonly=True)
                with connection.begin():
                    return work(connection)
        except SQLAlchemyError as error:
            fault = self._fault(error)
            if fault is None:
                raise
            raise fault from error

    def on_up(self, callback: Callable[[], object]) -> None:
        """Call this whenever the database comes up, in a thread of ours; if it is up, now, in this one."""
        with self._lock:
            self._on_up.append(callback)
            is_up = self._state.status == "up"
        if is_up:
            callback()

    async def aclose(self) -> None:
        """Finish what is under way, and close all connections."""
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def close(self) -> None:
        """``aclose``, for plain threads."""
        self._closed = True
        self._wake.set()
        self._threads.shutdown()
        if self._keeper is not None:
            self._keeper.join(self._bounds.connect)  # it may hang where a server has fallen silent
        if self._engine is not None:
            self._engine.dispose()
        self._state = DatabaseState("down", self._clock(), "it was closed")

    def _usable(self) -> Engine:
        if self._engine is None or self._state.status == "down":
            raise unavailable(max(self._pause, 1.0))
        return self._engine

    def _submit(self, work: Work[_T], read_only: bool) -> "Future[_T]":
        with self._lock:
            if self._inside >= self._bounds.threads + self._bounds.waiting:
                raise busy("too many wait for it")
            self._inside += 1
        try:
            job = self._threads.submit(self.run_now, work, read_only=read_only)
        except RuntimeError:  # closed
            self._leave()
            raise unavailable(self._bounds.longest_pause) from None
        job.add_done_callback(self._leave)
        return job

    def _leave(self, _: object = None) -> None:
        with self._lock:
            self._inside -= 1

    def _fault(self, error: BaseException) -> PolyvoxError | None:
        """The error of ours; None for one of the statement."""
        if is_broken(error):
            self._goes_down(self._told(error))
            return unavailable(max(self._pause, 1.0))
        if is_busy(error):
            _log.debug("the database %s is busy: %s", self.place, self._told(error))
            return busy("it took too long, or has no room")
        return unfit(error)

    def _told(self, error: BaseException) -> str:
        """What is wrong, without the password."""
        text = str(error) if isinstance(error, PolyvoxError) else told(error)
        password = self._backend.password
        return text.replace(password, "***") if password else text

    def _goes_down(self, why: str) -> None:
        with self._lock:
            was_up = self._state.status == "up"
            since = self._clock() if was_up else self._state.since
            if not self._closed:
                self._state = DatabaseState("down", since, why)
        if not self._warned:
            self._warned = True
            _log.warning("the database %s can't be used: %s", self.place, why)
        self._wake.set()

    def _goes_up(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._state, self._warned = DatabaseState("up", self._clock()), False
            callbacks = [*self._on_up]
        _log.info("the database %s can be used", self.place)
        for callback in callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - the others are called all the same
                _log.warning("after the database came up: %s", in_words(error))

    def _start(self) -> "Future[None]":
        opened: Future[None] = Future()
        opened.set_running_or_notify_cancel()  # who gives up waiting does not end it
        self._keeper = threading.Thread(
            target=self._keep, args=(opened,), name="polyvox-database-keeper", daemon=True
        )
        self._keeper.start()
        return opened

    def _keep(self, opened: "Future[None]") -> None:
        """Bring the database up, and again whenever it went down."""
        while not self._closed:
            self._wake.clear()
            if self._state.status == "up":
                if not self._closed:
                    self._wake.wait()
                continue
            try:
                self._reach()
            except Exception as error:  # noqa: BLE001 - the thread lives on, the state tells of it
                wrong = error if isinstance(error, ConfigurationError) else None
                wrong = wrong or self._backend.hopeless(error)
                if wrong is not None and not opened.done():
                    self._closed = True
                    opened.set_exception(wrong)
                    return
                self._goes_down(self._told(error))
            else:
                self._pause = self._bounds.first_pause
                self._goes_up()
            if not opened.done():
                opened.set_result(None)
            if self._state.status == "down":
                self._rest(self._pause)
                self._pause = min(2 * self._pause, self._bounds.longest_pause)

    def _rest(self, seconds: float) -> None:
        """Wait; only the end of it all is sooner."""
        end = time.monotonic() + seconds
        while not self._closed and (left := end - time.monotonic()) > 0:
            self._wake.clear()
            if self._closed:
                return
            self._wake.wait(left)

    def _reach(self) -> None:
        """Connect, and bring the schema up to date."""
        engine = self._engine
        if engine is not None:  # a server that is full may have left us a connection
            with engine.connect() as connection, connection.begin():
                if revision_of(connection) == head():
                    return
        bounds = self._bounds
        patient = self._backend.engine(
            replace(bounds, statement=bounds.migrate, lock=bounds.migrate), 1
        )
        try:
            with patient.connect() as connection, connection.begin():
                migrate(connection)
        finally:
            patient.dispose()
        if engine is None:
            self._engine = self._backend.engine(bounds, bounds.threads + _FOR_PLAIN_THREADS)


def _seen(done: "asyncio.Future[Any]") -> None:
    """Nobody may be left to hear of an error; asyncio need not complain of that."""
    if not done.cancelled():
        done.exception()


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT that knows ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _backend(url: str) -> PostgresServer | SqliteFile:
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        return SqliteFile(url)
    if scheme in ("postgresql", "postgres"):
        return PostgresServer(url)
    raise ConfigurationError(
        "the gateway's database is neither SQLite nor PostgreSQL",
        hint='Its URL begins with "sqlite:///" or "postgresql://".',
    )
