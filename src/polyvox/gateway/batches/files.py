"""Files: what is in them stands in a folder, by their ids; whose they are, in the database.

A row is written when its contents are whole, and goes before them; what a crash leaves of contents
without a row is swept away later.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import ValidationError, convert
from sqlalchemy import Connection, Row, delete, func, insert, select
from starlette.requests import Request

from polyvox.errors import BadRequestError, NotFoundError, OverloadedError
from polyvox.gateway.batches.bounds import BOUNDS, DAY, Bounds
from polyvox.gateway.batches.folders import make_writable
from polyvox.gateway.batches.owners import belongs, owned
from polyvox.gateway.batches.receiving import Upload, received
from polyvox.gateway.batches.shapes import (
    OPEN,
    FileObject,
    FileQuery,
    Kept,
    Listed,
    Purpose,
    listed,
)
from polyvox.gateway.batches.tables import batches, files
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.ids import new_id

__all__ = ["Files"]


class Files:
    """The files of everybody.

    Args:
        database: where their rows are.
        folder: where their contents are; replicas share it.
        bounds: how much there may be.
        clock: the time in seconds since the epoch.

    Raises ``ConfigurationError`` where the folder can't be written.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        bounds: Bounds = BOUNDS,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._folder = folder
        self._bounds = bounds
        self._clock = clock
        make_writable(folder)

    def path(self, id: str) -> Path:
        """Where the contents of the file of this id stand; the id is one of ours."""
        return self._folder / id

    async def receive(self, access: Access, request: Request) -> FileObject:
        """A new file. Raises ``BadRequestError``: of status 413 if there is no room for it."""
        used = await self._database.run(
            lambda connection: _used(connection, access), read_only=True
        )
        most = min(self._bounds.file_bytes, self._bounds.organisation_bytes - used)
        id = new_id("file", self._clock)
        async with received(request, self.path(id), most) as upload:
            keep = _checked(upload, self._bounds.keep)
            values = self.values(id, access.organisation, access.key, upload.size, keep) | {
                "filename": upload.filename or id
            }

            def work(connection: Connection) -> Row[Any]:
                if _used(connection, access) + upload.size > self._bounds.organisation_bytes:
                    raise BadRequestError("another file has taken the room", status=413)
                connection.execute(insert(files).values(values))
                return _found(connection, access, id)

            return _object(await self._database.run(work))

    def values(
        self,
        id: str,
        organisation: str,
        key: str,
        size: int,
        keep: float,
        purpose: Purpose = "batch",
    ) -> dict[str, Any]:
        """The row of a new file whose contents are there."""
        now = self._clock()
        return {
            "id": id,
            "organisation": organisation,
            "key": key,
            "filename": f"{id}.jsonl",
            "purpose": purpose,
            "bytes": size,
            "created": now,
            "expires": now + keep,
        }

    async def page(self, access: Access, query: FileQuery) -> Listed[FileObject]:
        """Some of the files that this key may see."""
        down = query.order == "desc"
        wanted = select(files).where(owned(files, access), files.c.expires > self._clock())
        if query.purpose is not None:
            wanted = wanted.where(files.c.purpose == query.purpose)
        if query.after is not None:
            wanted = wanted.where(files.c.id < query.after if down else files.c.id > query.after)
        wanted = wanted.order_by(files.c.id.desc() if down else files.c.id.asc())
        rows = await self._database.run(
            lambda connection: connection.execute(wanted.limit(query.limit + 1)).all(),
            read_only=True,
        )
        return listed([_object(row) for row in rows], query.limit)

    async def get(self, access: Access, id: str) -> FileObject:
        """One file. Raises ``NotFoundError``, also for one of somebody else."""
        row = await self._database.run(
            lambda connection: _found(connection, access, id), read_only=True
        )
        if row.expires <= self._clock():
            raise _missing(id)
        return _object(row)

    async def contents(self, access: Access, id: str) -> Path:
        """Where its contents are. Raises as ``get``, and ``OverloadedError`` where they are elsewhere."""
        await self.get(access, id)
        path = self.path(id)
        if not path.is_file():
            raise OverloadedError(
                f"the contents of {id!r} are not on this replica",
                hint="Replicas share the folder that [gateway] files names.",
                status=503,
                retry_after=1.0,
            )
        return path

    async def delete(self, access: Access, id: str) -> None:
        """Delete it. Raises ``BadRequestError`` of status 409 for the input of a batch that is not over."""

        def work(connection: Connection) -> None:
            _found(connection, access, id)
            busy = select(batches.c.id).where(
                batches.c.input_file == id, batches.c.status.in_(OPEN)
            )
            batch = connection.execute(busy.limit(1)).scalar()
            if batch is not None:
                raise BadRequestError(
                    f"the batch {batch} still needs this file",
                    hint="Cancel it first, or wait until it is over.",
                    status=409,
                )
            connection.execute(delete(files).where(files.c.id == id))

        await self._database.run(work)
        self.path(id).unlink(missing_ok=True)

    async def sweep(self) -> None:
        """Delete what has expired, and what crashes have left behind."""
        now = self._clock()
        needed = select(batches.c.input_file).where(batches.c.status.in_(OPEN))
        old = files.c.expires <= now, files.c.id.not_in(needed)

        def work(connection: Connection) -> tuple[list[str], set[str]]:
            gone = connection.execute(select(files.c.id).where(*old)).scalars().all()
            connection.execute(delete(files).where(*old))
            return [*gone], set(connection.execute(select(files.c.id)).scalars())

        gone, known = await self._database.run(work)
        for id in gone:
            self.path(id).unlink(missing_ok=True)
        await asyncio.to_thread(self._unlink_all_but, known, time.time() - DAY)

    def _unlink_all_but(self, known: set[str], before: float) -> None:
        for path in self._folder.glob("file_*"):  # what is called otherwise is not ours
            try:
                if path.name not in known and path.stat().st_mtime < before:
                    path.unlink()
            except FileNotFoundError:
                pass  # another replica was faster


def _checked(upload: Upload, otherwise: float) -> float:
    """For how long the file is to be kept. Raises ``BadRequestError`` for a form that is not right."""
    if upload.filename is None:
        raise BadRequestError("the form has no file", hint="Send it as the part 'file'.")
    purpose = upload.fields.get("purpose")
    if purpose != "batch":
        raise BadRequestError(
            f"purpose is {purpose!r}; this gateway keeps files for batches only",
            hint="Say purpose=batch.",
        )
    said = {
        name: upload.fields[f"expires_after[{name}]"]
        for name in ("anchor", "seconds")
        if f"expires_after[{name}]" in upload.fields
    }
    if not said:
        return otherwise
    try:
        return convert(said, Kept, strict=False).seconds
    except ValidationError as error:
        raise BadRequestError(f"expires_after: {error}") from None


def _used(connection: Connection, access: Access) -> int:
    mine = belongs(files, access.organisation, access.key)
    used = connection.execute(select(func.coalesce(func.sum(files.c.bytes), 0)).where(mine))
    return int(used.scalar_one())


def _found(connection: Connection, access: Access, id: str) -> Row[Any]:
    statement = select(files).where(files.c.id == id, owned(files, access))
    row = connection.execute(statement).first()
    if row is None:
        raise _missing(id)
    return row


def _missing(id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no file {id!r}", hint="GET /v1/files lists those that there are.", status=404
    )


def _object(row: Row[Any]) -> FileObject:
    return FileObject(
        id=row.id,
        bytes=row.bytes,
        created_at=int(row.created),
        expires_at=int(row.expires),
        filename=row.filename,
        purpose=row.purpose,
    )
