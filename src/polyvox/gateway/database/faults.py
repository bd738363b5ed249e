"""What goes wrong with the database, as errors of ours: never one of the caller's key.

What the driver says is told to whoever runs the gateway (``Database.state``, the log), not to callers.
"""

import sqlite3

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from polyvox.errors import BadRequestError, OverloadedError, in_words

__all__ = ["busy", "is_broken", "is_busy", "is_foreign", "told", "unavailable", "unfit"]

_HINT = "This is no fault of the request or its key; asking again later may help."
_OF_THE_STATEMENT = (IntegrityError, ProgrammingError, DataError, NotSupportedError)

# Beginnings of codes in "PostgreSQL Error Codes", an appendix of its manual: no connection, not let in, no
# such database, too many connections, shutting down or starting, the system; and: rolled back so that
# another one can go on, out of resources, locked, took too long, a standby that can't be written to.
_BROKEN = ("08", "28", "3D000", "53300", "57P", "58")
_BUSY = ("40", "53", "55", "57014", "25006")
_TOO_LONG = "54"  # a limit of the program: a text is longer than an index takes

# What SQLite says, from "Result and Error Codes" of its documentation.
_SQLITE_BROKEN = ("unable to open", "disk I/O", "malformed", "not a database", "locking protocol")
_SQLITE_BUSY = ("locked", "interrupted", "full", "readonly")


def is_broken(error: BaseException) -> bool:
    """Whether the database can't be reached, or the connection to it is gone."""
    if not isinstance(error, DBAPIError) or isinstance(error, _OF_THE_STATEMENT):
        return False
    if error.connection_invalidated:
        return True
    if isinstance(error.orig, sqlite3.Error):
        return _says(error, _SQLITE_BROKEN)
    code = _code(error)
    return code.startswith(_BROKEN) if code else True  # not even the server said anything


def is_busy(error: BaseException) -> bool:
    """Whether it is there, but has no time, room or connection for this just now."""
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError) or isinstance(error, _OF_THE_STATEMENT):
        return False
    if isinstance(error.orig, sqlite3.Error):
        return _says(error, _SQLITE_BUSY)
    return _code(error).startswith(_BUSY)


def is_foreign(error: BaseException) -> bool:
    """Whether a file is none of SQLite's: it won't become one by waiting."""
    return (
        isinstance(error, DBAPIError)
        and getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB
    )


def busy(why: str) -> OverloadedError:
    """The error for a caller whom the database has no time for."""
    return OverloadedError(
        f"the gateway's database is busy: {why}", hint=_HINT, status=503, retry_after=1.0
    )


def unavailable(retry_after: float) -> OverloadedError:
    """The error for a caller while the database can't be used."""
    return OverloadedError(
        "the gateway's database can't be used just now",
        hint=_HINT,
        status=503,
        retry_after=retry_after,
    )


def unfit(error: BaseException) -> BadRequestError | None:
    """The error of a value that the database can't hold, such as NUL in PostgreSQL's texts."""
    is_too_long = isinstance(error, DBAPIError) and _code(error).startswith(_TOO_LONG)
    if not isinstance(error, DataError) and not is_too_long:
        return None
    return BadRequestError(
        "there is a value in the request that the gateway's database can't hold",
        hint="NUL is no character in a name or a text, and names and numbers have bounds.",
        status=400,
    )


def told(error: BaseException) -> str:
    """What the driver says, in one line, without the statement."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return " ".join(str(error.orig).split()) or type(error.orig).__name__
    return type(error).__name__ if isinstance(error, SQLAlchemyError) else in_words(error)


def _says(error: DBAPIError, words: tuple[str, ...]) -> bool:
    return any(word in str(error.orig) for word in words)


def _code(error: DBAPIError) -> str:
    """PostgreSQL's code; "" for an error that the server did not send."""
    return getattr(error.orig, "sqlstate", None) or ""
