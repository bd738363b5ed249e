"""The database of calls: its tables, and how an older one becomes today's."""

import sqlite3
from contextlib import suppress
from pathlib import Path

import msgspec

from polyvox.errors import ConfigurationError
from polyvox.transport.sqlite_file import open_file, transaction, version_of, write_ahead

__all__ = ["MIGRATIONS", "Migration", "connect", "has_search"]

_APPLICATION_ID = 0x506F6C79  # "Poly", so that no other program's database is taken for ours
_BUSY_SECONDS = 10.0


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema. Steps are only ever appended; what was released stays as it is."""

    name: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "calls and their attempts",
        (
            """
            CREATE TABLE calls (
                seq INTEGER PRIMARY KEY,
                id TEXT NOT NULL,
                time REAL NOT NULL,
                model TEXT NOT NULL,
                answered_by TEXT NOT NULL,
                tenant TEXT NOT NULL,
                session TEXT,
                tags TEXT NOT NULL,
                error TEXT,
                seconds REAL NOT NULL,
                question TEXT NOT NULL,
                text TEXT NOT NULL,
                record TEXT NOT NULL
            )
            """,
            "CREATE INDEX calls_by_id ON calls (id)",
            "CREATE INDEX calls_by_time ON calls (time)",
            "CREATE INDEX calls_by_session ON calls (session) WHERE session IS NOT NULL",
            """
            CREATE TABLE attempts (
                call INTEGER NOT NULL REFERENCES calls (seq) ON DELETE CASCADE,
                name TEXT NOT NULL,
                error TEXT,
                input_tokens INTEGER NOT NULL,
                output_tokens INTEGER NOT NULL,
                cost_status TEXT NOT NULL,
                cost_nanos INTEGER NOT NULL
            )
            """,
            "CREATE INDEX attempts_by_call ON attempts (call)",
        ),
    ),
)

_SEARCH = """
    CREATE VIRTUAL TABLE IF NOT EXISTS search
    USING fts5 (text, content = 'calls', content_rowid = 'seq')
"""


def connect(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open the database, made or brought up to date if need be; only its owner may read the file.

    Raises ``ConfigurationError`` when it is another program's or a newer version's, or is not there
    and may not be created; ``sqlite3.Error`` and ``OSError`` when it can't be used now.
    """
    if create:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not path.exists():
        raise ConfigurationError(f"there is no call log at {path}")
    connection = open_file(path, _BUSY_SECONDS, create=create)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        _bring_up_to_date(connection, path)
        write_ahead(connection, _BUSY_SECONDS)
    except BaseException:
        connection.close()
        raise
    return connection


def has_search(connection: sqlite3.Connection) -> bool:
    """Whether the database has a full-text index, and this SQLite can read it."""
    try:
        connection.execute("SELECT rowid FROM search LIMIT 0")
    except sqlite3.OperationalError:
        return False
    return True


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    version = _checked_version(connection, path)
    if version == len(MIGRATIONS):
        return
    if version == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    with transaction(connection):
        # Another process may have come first.
        for migration in MIGRATIONS[_checked_version(connection, path) :]:
            for statement in migration.statements:
                connection.execute(statement)
        with suppress(sqlite3.OperationalError):  # an SQLite without FTS5: then every text is read
            connection.execute(_SEARCH)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    """How many migrations the database has. Raises ``ConfigurationError`` if it can't be ours."""
    version = version_of(connection, _APPLICATION_ID)
    if version is None:
        raise _not_ours(path)
    if version > len(MIGRATIONS):
        raise ConfigurationError(
            f"the call log {path} has schema {version}; this version of Polyvox knows {len(MIGRATIONS)}",
            hint="Use the newer Polyvox that wrote it, or another file: POLYVOX_LOG=/path/to/calls.db.",
        )
    return version


def _not_ours(path: Path) -> ConfigurationError:
    hint = "Name another file: POLYVOX_LOG=/path/to/calls.db."
    if path.suffix == ".jsonl":
        hint = "Lines of JSON are for other tools, such as jq; only an SQLite log can be searched here."
    return ConfigurationError(f"{path} is not a call log", hint=hint)
