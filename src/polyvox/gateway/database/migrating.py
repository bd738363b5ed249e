"""The schema, brought up to what this version of the program knows; never back.

All of it is one transaction, under a lock: of several processes that start together one does it and the
others find it done. What fails leaves the data as they were. Alembic is imported only where there is
something to do: it is larger than much of the gateway.

Source of the table in which a database says its schema: "Tutorial" in Alembic's documentation.
"""

import threading
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from polyvox.errors import ConfigurationError
from polyvox.gateway.database.faults import is_broken, is_busy, told

__all__ = ["head", "migrate", "revision_of"]

_FOLDER = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x706F6C79766F78  # "polyvox"; any number that nobody else takes
_alembic = threading.Lock()  # what a migration calls is one per process


def head() -> str:
    """The newest schema that this version knows."""
    return _known()[-1]


def revision_of(connection: Connection) -> str | None:
    """The schema of a database; None for one that has none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(connection: Connection, target: str = "head") -> None:
    """Bring the schema up to date, within the connection's transaction.

    Raises ``ConfigurationError`` for a database that a newer version has written, and for a migration
    that fails; what the driver raises when the database goes away meanwhile.
    """
    if connection.dialect.name == "postgresql":  # SQLite has its lock from the beginning
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    present = revision_of(connection)
    known = _known()
    if present is not None and present not in known:
        raise ConfigurationError(
            f"the gateway's database has the schema {present!r}, of a newer version; this one knows"
            f" up to {known[-1]!r}",
            hint="Start the newer version again (pip install -U 'polyvox[gateway]'), or restore a"
            " backup from before it. A schema never goes back.",
        )
    if present != known[-1]:
        _upgrade(connection, target, present)


def _upgrade(connection: Connection, target: str, present: str | None) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
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


def _known() -> list[str]:
    """All schemas, the oldest first: each step's file begins with the one that it leads to."""
    steps = (_FOLDER / "versions").glob("[0-9]*.py")
    return sorted(step.name.partition("_")[0] for step in steps)
