"""The schema, brought up to what this version of the program knows; never back.

All of it is one transaction, under a lock: of several processes that start together one does it and the
others find it done. What fails leaves the data as they were.
"""

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from polyvox.errors import ConfigurationError
from polyvox.gateway.database.faults import is_broken, is_busy, told

__all__ = ["head", "migrate", "revision_of"]

_FOLDER = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x706F6C79766F78  # "polyvox"; any number that nobody else takes
_alembic = threading.Lock()  # what a migration calls is one per process


def head() -> str:
    """The newest schema that this version knows."""
    found = _script().get_current_head()
    assert found is not None
    return found


def revision_of(connection: Connection) -> str | None:
    """The schema of a database; None for one that has none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(connection: Connection, target: str = "head") -> None:
    """Bring the schema up to date, within the connection's transaction.

    Raises ``ConfigurationError`` for a database that a newer version has written, and for a migration
    that fails; what the driver raises when the database goes away meanwhile.
    """
    if connection.dialect.name == "postgresql":  # SQLite has its lock from the beginning
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    present = revision_of(connection)
    known = [script.revision for script in _script().walk_revisions()]
    if present is not None and present not in known:
        raise ConfigurationError(
            f"the gateway's database has the schema {present!r}, of a newer version; this one knows"
            f" up to {known[0]!r}",
            hint="Start the newer version again (pip install -U 'polyvox[gateway]'), or restore a"
            " backup from before it. A schema never goes back.",
        )
    if present != known[0]:
        _upgrade(connection, target, present)


def _upgrade(connection: Connection, target: str, present: str | None) -> None:
    config = _config()
    config.attributes["connection"] = connection
    try:
        with _alembic:
            command.upgrade(config, target)
    except Exception as error:  # migrations are code: anything may come out of them
        if is_broken(error) or is_busy(error):
            raise
        raise ConfigurationError(
            f"the gateway's database could not be brought from the schema {present!r} up to date:"
            f" {told(error)}",
            hint="Nothing was changed. Go on with the version before, and report this.",
        ) from error


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
