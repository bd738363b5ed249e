"""The body of one answer on its way to the socket: counted, and cut where the knobs say so."""

import asyncio
import socket
import struct
import zlib
from typing import TYPE_CHECKING

from aiohttp import web

from polyvox.testing.knobs import Knobs
from polyvox.testing.record import Record, SentAnswer

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

_GZIP = 31  # zlib's window size and container in one number


class CutError(Exception):
    """The connection was ended on purpose."""


class Wire:
    """Sends one answer, and keeps its record."""

    def __init__(self, http: web.Request, knobs: Knobs, record: Record, answer: SentAnswer) -> None:
        self.response = web.StreamResponse()
        self._http = http
        self._knobs = knobs
        self._record = record
        self._answer = answer
        self._writer: AbstractStreamWriter | None = None
        self._left = 1 << 62 if knobs.cut_after is None else knobs.cut_after
        zipped = knobs.content_encoding == "gzip"
        self._zip = zlib.compressobj(wbits=_GZIP) if zipped else None

    async def send_head(self, status: int, headers: dict[str, str], length: int | None) -> None:
        """Send status and headers; ``length`` is that of the body, None for one of unknown length."""
        await asyncio.sleep(self._knobs.delay_headers)
        self.response.set_status(status)
        self.response.headers.update(headers)
        if self._zip is not None:
            self.response.headers["content-encoding"] = "gzip"
        elif length is not None:
            self.response.content_length = length
        transport = self._http.transport
        if transport is None:
            raise ConnectionResetError("the client has left")
        # Nothing may wait in our own buffer: what counts as sent was taken by the operating system.
        transport.set_write_buffer_limits(high=0)
        self._answer.status = status
        self._writer = await self.response.prepare(self._http)

    async def send(self, chunk: bytes) -> None:
        """Send a piece of the body. Raises ``CutError`` where the knobs cut it."""
        if self._zip is not None:
            chunk = self._zip.compress(chunk) + self._zip.flush(zlib.Z_SYNC_FLUSH)
        await self._send(chunk)

    async def finish(self) -> None:
        """Send the end of the body."""
        if self._zip is not None:
            await self._send(self._zip.flush())
        if self._left == 0:
            await self._cut()
        self._record.sent(self._answer)
        await self.response.write_eof()

    async def _send(self, chunk: bytes) -> None:
        allowed = chunk[: self._left]
        size = self._knobs.write_size or max(1, len(allowed))
        for at in range(0, len(allowed), size):
            await self._write(allowed[at : at + size])
        self._left -= len(allowed)
        if len(allowed) < len(chunk):
            await self._cut()

    async def _write(self, piece: bytes) -> None:
        assert self._writer is not None
        # Recorded beforehand: a client in another thread may look at the record as soon as it reads.
        self._answer.chunks.append(piece)
        try:
            await self._writer.write(piece)
            await self._writer.drain()
        except BaseException:
            self._answer.chunks.pop()
            raise
        self._record.bytes_sent += len(piece)

    async def _cut(self) -> None:
        if self._knobs.cut_mode == "stall":
            await asyncio.Event().wait()  # until the client leaves, which cancels this
        self._record.hang_up(self._answer, "server")
        transport = self._http.transport
        if transport is not None:
            if self._knobs.cut_mode == "rst":
                linger = struct.pack("ii", 1, 0)
                raw: socket.socket = transport.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.close()
        raise CutError
