"""Files and batches over HTTP, as OpenAI's clients speak."""

import time
from collections.abc import Callable

from starlette.responses import FileResponse, Response

from polyvox.gateway.batches import rows
from polyvox.gateway.batches.bounds import BOUNDS, Bounds
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.shapes import (
    BatchObject,
    BatchQuery,
    Deleted,
    FileObject,
    FileQuery,
    Listed,
    NewBatch,
)
from polyvox.gateway.database.engine import Database
from polyvox.gateway.web.endpoints import Arrived, Endpoint

__all__ = ["USE", "Batches"]

USE = "batches"
"""What a key must be good for."""

_FILE = "/v1/files/{file}"
_BATCH = "/v1/batches/{batch}"


class Batches:
    """The room over HTTP.

    Args:
        database: where batches are.
        files: the files.
        bounds: how much there may be.
        wake: hears at once of what is new, and which batch is to end; see ``Runner.wake``.
        clock: the time in seconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        files: Files,
        bounds: Bounds = BOUNDS,
        *,
        wake: Callable[[str], None] = lambda cancelled: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._files = files
        self._bounds = bounds
        self._wake = wake
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        """The endpoints of this room."""
        # fmt: off
        return [
            Endpoint(
                "POST", "/v1/files", "Upload a file of requests.", self.upload,
                use=USE, gives=FileObject, reads="multipart/form-data",
            ),
            Endpoint(
                "GET", "/v1/files", "List files.", self.list_files,
                use=USE, query=FileQuery, gives=Listed[FileObject],
            ),
            Endpoint("GET", _FILE, "Show a file.", self.get_file, use=USE, gives=FileObject),
            Endpoint("DELETE", _FILE, "Delete a file.", self.delete_file, use=USE, gives=Deleted),
            Endpoint(
                "GET", f"{_FILE}/content", "What is in a file.", self.content,
                use=USE, writes=("application/octet-stream",),
            ),
            Endpoint(
                "POST", "/v1/batches", "Have the requests in a file answered.", self.create,
                use=USE, takes=NewBatch, gives=BatchObject,
            ),
            Endpoint(
                "GET", "/v1/batches", "List batches, the newest first.", self.list,
                use=USE, query=BatchQuery, gives=Listed[BatchObject],
            ),
            Endpoint("GET", _BATCH, "Show a batch.", self.get, use=USE, gives=BatchObject),
            Endpoint(
                "POST", f"{_BATCH}/cancel", "End a batch; what is done is kept.", self.cancel,
                use=USE, gives=BatchObject,
            ),
        ]
        # fmt: on

    async def upload(self, arrived: Arrived) -> FileObject:
        """A new file."""
        return await self._files.receive(arrived.access, arrived.request)

    async def list_files(self, arrived: Arrived) -> Listed[FileObject]:
        """Some files."""
        return await self._files.page(arrived.access, arrived.query)

    async def get_file(self, arrived: Arrived) -> FileObject:
        """One file."""
        return await self._files.get(arrived.access, arrived.named("file"))

    async def delete_file(self, arrived: Arrived) -> Deleted:
        """One file less."""
        id = arrived.named("file")
        await self._files.delete(arrived.access, id)
        return Deleted(id=id)

    async def content(self, arrived: Arrived) -> Response:
        """What is in a file, as it comes from the disk."""
        path = await self._files.contents(arrived.access, arrived.named("file"))
        return FileResponse(path, media_type="application/octet-stream")

    async def create(self, arrived: Arrived) -> BatchObject:
        """A new batch."""
        access, wanted, now = arrived.access, arrived.body, self._clock()
        made = await self._database.run(
            lambda connection: rows.created(connection, access, wanted, self._bounds, now)
        )
        self._wake("")
        return made

    async def list(self, arrived: Arrived) -> Listed[BatchObject]:
        """Some batches."""
        access, query = arrived.access, arrived.query
        return await self._database.run(
            lambda connection: rows.page(connection, access, query), read_only=True
        )

    async def get(self, arrived: Arrived) -> BatchObject:
        """One batch."""
        access, id = arrived.access, arrived.named("batch")
        row = await self._database.run(
            lambda connection: rows.found(connection, access, id), read_only=True
        )
        return rows.object_of(row)

    async def cancel(self, arrived: Arrived) -> BatchObject:
        """One batch is to end."""
        access, id, now = arrived.access, arrived.named("batch"), self._clock()
        batch = await self._database.run(
            lambda connection: rows.cancelled(connection, access, id, now)
        )
        self._wake(id)
        return batch
