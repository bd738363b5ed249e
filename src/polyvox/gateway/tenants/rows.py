"""All tenants as they stand in the database, or the keys that came since; and as a file beside it."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, select

from polyvox.gateway.database.versions import numbers
from polyvox.gateway.tenants import tables
from polyvox.gateway.tenants.objects import EndUser, Key, Organisation, Team
from polyvox.gateway.tenants.store import (
    END_USERS,
    KEYS,
    ORGANISATIONS,
    TEAMS,
    VERSION,
    WHOLE_VERSION,
)

__all__ = ["KeySecret", "Rows", "append_rows", "read_rows", "saved_rows", "write_rows"]

_PART = 1_000

_log = logging.getLogger(__name__)


class KeySecret(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A digest by which a key is found, and until when, if it was replaced."""

    digest: bytes
    key: str
    until: float | None = None


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: all there is if ``is_whole``, else only keys that are new since another reading.

    ``number`` and ``whole_number`` are those of the versions "tenants" and "tenants.whole".
    """

    number: int = 0
    whole_number: int = 0
    is_whole: bool = True
    organisations: list[Organisation] = []
    teams: list[Team] = []
    end_users: list[EndUser] = []
    keys: list[Key] = []
    secrets: list[KeySecret] = []


def read_rows(connection: Connection, since: Rows | None = None) -> Rows:
    """What the database says; after ``since``, if only keys were added, just these."""
    present = numbers(connection)
    number, whole_number = present.get(VERSION, 0), present.get(WHOLE_VERSION, 0)
    if since is not None and since.whole_number == whole_number and since.number <= number:
        return _new_keys(connection, since.number, Rows(number=number, whole_number=whole_number))
    secrets = connection.execute(select(tables.key_secrets))
    return Rows(
        number=number,
        whole_number=whole_number,
        organisations=ORGANISATIONS.all(connection),
        teams=TEAMS.all(connection),
        end_users=END_USERS.all(connection),
        keys=KEYS.all(connection),
        secrets=[KeySecret(*row) for row in secrets],
    )


def _new_keys(connection: Connection, since: int, rows: Rows) -> Rows:
    if rows.number == since:
        return replace(rows, is_whole=False)
    is_new = tables.keys.c.version > since
    secrets = connection.execute(
        select(tables.key_secrets)
        .join(tables.keys, tables.keys.c.id == tables.key_secrets.c.key)
        .where(is_new)
    )
    return replace(
        rows,
        is_whole=False,
        keys=KEYS.all(connection, is_new),
        secrets=[KeySecret(*row) for row in secrets],
    )


def write_rows(path: Path, rows: Rows) -> None:
    """Put everything into the file, for its owner alone to read. Raises ``OSError``."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for line in _lines(rows):
            file.write(msgspec.json.encode(line) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _lines(rows: Rows) -> Iterator[Rows]:
    """The rows in parts, so that encoding one holds up no other thread for long."""
    yield replace(rows, keys=[], secrets=[])
    part = replace(rows, is_whole=False, organisations=[], teams=[], end_users=[])
    for start in range(0, max(len(rows.keys), len(rows.secrets)), _PART):
        end = start + _PART
        yield replace(part, keys=rows.keys[start:end], secrets=rows.secrets[start:end])


def append_rows(path: Path, rows: Rows) -> None:
    """Add keys that are new to what the file says. Raises ``OSError``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    with os.fdopen(descriptor, "ab") as file:
        file.write(msgspec.json.encode(rows) + b"\n")


def saved_rows(path: Path) -> Rows | None:
    """What the file says; nothing of what can't be read in it.

    Of processes that share it, one may add a line that another has outrun: older lines are left out.
    """
    found: Rows | None = None
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return None
    for line in lines:
        try:
            rows = msgspec.json.decode(line, type=Rows)
        except (msgspec.DecodeError, ValueError):
            _log.warning("%s holds a line that can't be read; it is left out", path)
            continue
        if rows.is_whole:
            found = rows
        elif found is not None and rows.number >= found.number:
            found.keys.extend(rows.keys)
            found.secrets.extend(rows.secrets)
            found = replace(found, number=rows.number)
    return found
