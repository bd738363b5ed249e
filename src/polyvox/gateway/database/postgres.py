"""PostgreSQL, through psycopg, never waited for without end. Needs the extra ``postgres``."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from polyvox.errors import ConfigurationError
from polyvox.gateway.database.bounds import Bounds

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresServer"]

_RECYCLED = 1_800
_FRESH = 1.0
"""A connection that was used so many seconds ago is taken to be good still."""

_USED = "used"
_DEFAULTS = {
    "application_name": "polyvox",
    "client_encoding": "utf8",
    # A server that went without a word is noticed also while nothing is asked of it.
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}


class PostgresServer:
    """A database by a URL as libpq takes it: postgresql://user:password@host/database.

    Raises ``ConfigurationError`` without the extra, or for a malformed URL.
    """

    def __init__(self, url: str) -> None:
        self._psycopg = _load()
        self._parts = self._parse(url)
        self.password: str | None = self._parts.get("password")

    @property
    def place(self) -> str:
        """Where it is, without the user and the password."""
        host = self._parts.get("host") or self._parts.get("hostaddr") or "localhost"
        port = self._parts.get("port") or "5432"
        return f"postgresql://{host}:{port}/{self._parts.get('dbname') or ''}"

    def engine(self, bounds: Bounds, connections: int) -> Engine:
        """An engine whose connections are good: each is tried when it is taken from the pool."""
        engine = create_engine(
            "postgresql+psycopg://",
            creator=self._connector(bounds),
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=bounds.wait,
            pool_recycle=_RECYCLED,
            pool_use_lifo=True,
            hide_parameters=True,
        )
        event.listen(engine, "checkout", self._tried(bounds))
        event.listen(engine, "checkin", _put_back)
        return engine

    def turn(self, bounds: Bounds, read_only: bool) -> AbstractContextManager[None]:
        """Nobody waits for anybody."""
        return nullcontext()

    def hopeless(self, error: Exception) -> None:
        """A server may come back, or let us in, at any time."""

    def _tried(self, bounds: Bounds) -> Callable[..., None]:
        error = self._psycopg.Error

        def tried(connection: Any, record: ConnectionPoolEntry, _: Any) -> None:
            used: float = record.info.get(_USED, math.inf)  # a new one is good
            if time.monotonic() - used < _FRESH:
                return
            patience, connection.patience = connection.patience, bounds.connect
            try:
                connection.execute("")
                connection.rollback()
            except error as gone:
                raise InvalidatePoolError from gone  # the others are as old, or older
            connection.patience = patience

        return tried

    def _connector(self, bounds: Bounds) -> "Callable[[], psycopg.Connection[Any]]":
        kind = _bounded(self._psycopg)
        # Rounded up, and not below what libpq takes for two seconds.
        parts = {**_DEFAULTS, "connect_timeout": str(math.ceil(bounds.connect)), **self._parts}
        statement, lock = int(1000 * bounds.statement), int(1000 * bounds.lock)
        settings = (
            f"SET statement_timeout = {statement}",
            f"SET lock_timeout = {lock}",
            f"SET idle_in_transaction_session_timeout = {statement}",
            "SET TimeZone = 'UTC'",
        )

        def connect() -> "psycopg.Connection[Any]":
            connection = kind.connect(**parts)
            connection.patience = bounds.connect
            connection.execute("; ".join(settings))
            connection.commit()
            # The server ends what takes too long; if it does not, we do.
            connection.patience = bounds.statement + bounds.connect
            return connection

        return connect

    def _parse(self, url: str) -> dict[str, Any]:
        from psycopg.conninfo import conninfo_to_dict

        # A password with one of these would end up as a part of the address, and be shown with it.
        user = url.partition("://")[2].rpartition("@")[0]
        try:
            if any(sign in user for sign in "/?#@"):
                raise self._psycopg.ProgrammingError
            return dict(conninfo_to_dict(url))
        except self._psycopg.ProgrammingError:
            raise ConfigurationError(
                "the URL of the gateway's database is malformed",
                hint="Such as postgresql://user:password@host:5432/database; in a password, the signs"
                " / ? # @ : % are written as %2F %3F %23 %40 %3A %25.",
            ) from None


def _put_back(_: Any, record: ConnectionPoolEntry) -> None:
    record.info[_USED] = time.monotonic()


def _load() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigurationError(
            f"PostgreSQL needs the package psycopg: {error}",
            hint="Install it with: pip install 'polyvox[gateway,postgres]'",
        ) from error
    return psycopg


def _bounded(psycopg: Any) -> Any:
    """A kind of connection that closes itself when the server has said nothing for too long.

    The server ends a statement that takes too long only as long as it lives and can be heard.
    """

    class BoundedConnection(psycopg.Connection):
        patience = math.inf

        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **kwargs: Any) -> Any:
            connection: Any = super()
            return connection.wait(self._impatient(gen), *args, **kwargs)

        def _impatient(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            end = time.monotonic() + self.patience
            try:
                wanted = next(gen)
                while True:
                    ready = yield wanted
                    if not ready and time.monotonic() > end:
                        self.pgconn.finish()
                        raise psycopg.OperationalError(
                            f"the server has said nothing for {self.patience:g} s"
                        )
                    wanted = gen.send(ready)
            except StopIteration as done:
                return done.value

    return BoundedConnection
