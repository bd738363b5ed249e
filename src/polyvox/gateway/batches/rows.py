"""Batches in the database: who may see them, who works on them; each function is part of one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update

from polyvox.errors import BadRequestError, NotFoundError
from polyvox.gateway.batches.bounds import Bounds
from polyvox.gateway.batches.owners import belongs, owned
from polyvox.gateway.batches.shapes import (
    OPEN,
    BatchErrors,
    BatchObject,
    BatchQuery,
    Counts,
    Listed,
    NewBatch,
    listed,
)
from polyvox.gateway.batches.tables import batches, files
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.ids import new_id

__all__ = [
    "Held",
    "cancelled",
    "claimable",
    "claimed",
    "created",
    "ended",
    "found",
    "given_back",
    "held",
    "moved",
    "object_of",
    "open_ids",
    "page",
    "renewed",
]

_MOST_LOOKED_AT = 1_000


class Held(msgspec.Struct, frozen=True):
    """A batch that is ours to work on. ``turn`` says the how-manieth it is that somebody does."""

    id: str
    organisation: str
    key: str
    endpoint: str
    input_file: str
    keep: float
    status: str
    started: float | None
    expires: float
    turn: int


def created(
    connection: Connection, access: Access, wanted: NewBatch, bounds: Bounds, now: float
) -> BatchObject:
    """A new batch. Raises ``NotFoundError`` for an input that this key may not see."""
    _check_input(connection, access, wanted.input_file_id, now)
    _check_open(connection, access, bounds.open_batches)
    keep = wanted.output_expires_after
    values: dict[str, Any] = {
        "id": new_id("batch", lambda: now),
        "organisation": access.organisation,
        "key": access.key,
        "endpoint": wanted.endpoint,
        "input_file": wanted.input_file_id,
        "about": wanted.metadata,
        "keep": keep.seconds if keep is not None else bounds.keep,
        "status": "validating",
        "total": 0,
        "completed": 0,
        "failed": 0,
        "created": now,
        "expires": now + bounds.window,
        "lease_holder": "",
        "lease_until": 0.0,
        "turn": 0,
    }
    connection.execute(insert(batches).values(values))
    return object_of(found(connection, access, values["id"]))


def _check_input(connection: Connection, access: Access, id: str, now: float) -> None:
    may_see = owned(files, access), files.c.expires > now
    file = connection.execute(select(files.c.purpose).where(files.c.id == id, *may_see)).first()
    if file is None:
        raise NotFoundError(
            f"there is no file {id!r}",
            hint="Upload one with purpose=batch: POST /v1/files.",
            status=404,
        )
    if file.purpose != "batch":
        raise BadRequestError(f"{id!r} is the output of a batch, not an input")


def _check_open(connection: Connection, access: Access, most: int) -> None:
    mine = belongs(batches, access.organisation, access.key), batches.c.status.in_(OPEN)
    count = select(func.count()).select_from(batches).where(*mine)
    under_way = connection.execute(count).scalar_one()
    if under_way >= most:
        raise BadRequestError(
            f"{under_way} batches are not over yet, which is as many as there may be",
            hint="Wait until some of them are, or cancel some.",
            status=429,
        )


def found(connection: Connection, access: Access, id: str) -> Row[Any]:
    """The row of a batch. Raises ``NotFoundError``, also for one of somebody else."""
    statement = select(batches).where(batches.c.id == id, owned(batches, access))
    row = connection.execute(statement).first()
    if row is None:
        raise NotFoundError(
            f"there is no batch {id!r}",
            hint="GET /v1/batches lists those that there are.",
            status=404,
        )
    return row


def page(connection: Connection, access: Access, query: BatchQuery) -> Listed[BatchObject]:
    """Some of the batches that this key may see, the newest first."""
    wanted = select(batches).where(owned(batches, access)).order_by(batches.c.id.desc())
    if query.after is not None:
        wanted = wanted.where(batches.c.id < query.after)
    rows = connection.execute(wanted.limit(query.limit + 1)).all()
    return listed([object_of(row) for row in rows], query.limit)


def cancelled(connection: Connection, access: Access, id: str, now: float) -> BatchObject:
    """Have it ended. Raises ``BadRequestError`` of status 409 if there is nothing to end."""
    change = update(batches).where(
        batches.c.id == id,
        owned(batches, access),
        batches.c.status.in_(("validating", "in_progress")),
    )
    done = connection.execute(change.values(status="cancelling", cancelling=now)).rowcount
    row = found(connection, access, id)
    if not done and row.status not in ("cancelling", "cancelled"):
        raise BadRequestError(f"the batch is {row.status}: it can't be cancelled", status=409)
    return object_of(row)


def claimable(connection: Connection, now: float) -> Sequence[Any]:
    """Batches that nobody works on, the oldest first."""
    columns = (
        *(batches.c.id, batches.c.organisation, batches.c.key),
        *(batches.c.input_file, batches.c.expires),
    )
    free = batches.c.status.in_(OPEN), batches.c.lease_until < now
    statement = select(*columns).where(*free).order_by(batches.c.id).limit(_MOST_LOOKED_AT)
    return connection.execute(statement).all()


def claimed(connection: Connection, id: str, holder: str, now: float, lease: float) -> Held | None:
    """Take the lease of a batch, if nobody has it."""
    free = batches.c.id == id, batches.c.status.in_(OPEN), batches.c.lease_until < now
    change = update(batches).where(*free)
    change = change.values(lease_holder=holder, lease_until=now + lease, turn=batches.c.turn + 1)
    if not connection.execute(change).rowcount:
        return None
    row = connection.execute(select(batches).where(batches.c.id == id)).one()
    return Held(**{name: getattr(row, name) for name in Held.__struct_fields__})


def renewed(
    connection: Connection,
    holder: str,
    until: float,
    counts: Mapping[str, Mapping[str, int]],
) -> None:
    """Hold on to all of ours, and tell what has changed of them."""
    mine = batches.c.lease_holder == holder
    connection.execute(update(batches).where(mine).values(lease_until=until))
    for id, changed in counts.items():
        connection.execute(update(batches).where(mine, batches.c.id == id).values(**changed))


def held(connection: Connection, holder: str) -> dict[str, str]:
    """The batches that are ours, with their statuses."""
    columns = batches.c.id, batches.c.status
    rows = connection.execute(select(*columns).where(batches.c.lease_holder == holder))
    return {row.id: row.status for row in rows}


def moved(
    connection: Connection, id: str, holder: str, status: str, before: str, **values: Any
) -> bool:
    """Give a batch of ours its next status; False if meanwhile it has another one, or another holder."""
    change = update(batches).where(
        batches.c.id == id, batches.c.lease_holder == holder, batches.c.status == before
    )
    return bool(connection.execute(change.values(status=status, **values)).rowcount)


def ended(
    connection: Connection,
    id: str,
    holder: str,
    made: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
) -> bool:
    """It is over, and its output is there; False if it isn't ours any more."""
    change = update(batches).where(batches.c.id == id, batches.c.lease_holder == holder)
    done = connection.execute(change.values(lease_holder="", lease_until=0.0, **values)).rowcount
    if done and made:
        connection.execute(insert(files), [dict(each) for each in made])
    return bool(done)


def given_back(connection: Connection, id: str, holder: str) -> None:
    """Somebody else may go on with it."""
    mine = batches.c.id == id, batches.c.lease_holder == holder
    connection.execute(update(batches).where(*mine).values(lease_holder="", lease_until=0.0))


def open_ids(connection: Connection) -> set[str]:
    """The batches that are not over."""
    return set(connection.execute(select(batches.c.id).where(batches.c.status.in_(OPEN))).scalars())


def object_of(row: Row[Any]) -> BatchObject:
    """The batch as it is told."""
    ended: dict[str, Any] = {f"{row.status}_at": int(row.ended)} if row.ended is not None else {}
    return BatchObject(
        id=row.id,
        endpoint=row.endpoint,
        errors=msgspec.convert(row.errors, BatchErrors | None),
        input_file_id=row.input_file,
        status=row.status,
        output_file_id=row.output_file,
        error_file_id=row.error_file,
        created_at=int(row.created),
        in_progress_at=_at(row.started),
        expires_at=int(row.expires),
        finalizing_at=_at(row.finalizing),
        cancelling_at=_at(row.cancelling),
        request_counts=Counts(total=row.total, completed=row.completed, failed=row.failed),
        metadata=row.about,
        **ended,
    )


def _at(time: float | None) -> int | None:
    return None if time is None else int(time)
