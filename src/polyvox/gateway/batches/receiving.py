"""An upload, onto the disk as it comes: never whole in memory, and never longer than it may be.

Source of the form: RFC 7578, "Returning Values from Forms: multipart/form-data".
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from polyvox.errors import BadRequestError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["Upload", "received"]

_AT_ONCE = 1 << 20
_LONGEST_FIELD = 4096
_MOST_PARTS = 16
_AROUND = 1 << 16
"""What a form may have beside the file."""

_HEARD_OUT = 8 << 20


class Upload:
    """A form with one file: its ``fields``, and what was written to the disk."""

    def __init__(self, file: int, most: int) -> None:
        self.fields: dict[str, str] = {}
        self.filename: str | None = None
        self.size = 0
        self._file = file
        self._most = most
        self._parts = 0
        self._header = [b"", b""]
        self._disposition = b""
        self._name = ""
        self._field: bytearray | None = None
        self._unwritten = bytearray()
        self._whole = False

    async def take(self, request: Request) -> None:
        """Read the body to its end. Raises ``BadRequestError``."""
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise BadRequestError("the body is no form", hint="Send it as multipart/form-data.")
        parser = MultipartParser(options[b"boundary"], self._callbacks())
        length = request.headers.get("content-length", "")
        try:
            async with aclosing(request.stream()) as body:
                if length.isdecimal() and int(length) > self._most + _AROUND:
                    await self._refuse(body)
                await self._read(body, parser)
        except FormParserError as error:
            raise BadRequestError(f"the form is broken: {error}") from None
        except ClientDisconnect:
            raise BadRequestError("the client left before its file was whole") from None
        await self._write()

    async def _read(self, body: AsyncGenerator[bytes], parser: MultipartParser) -> None:
        async for piece in body:
            parser.write(piece)
            if self.size > self._most:
                await self._refuse(body)
            if len(self._unwritten) >= _AT_ONCE:
                await self._write()
        parser.finalize()
        if not self._whole:
            raise FormParserError("it has no end")

    async def _refuse(self, body: AsyncGenerator[bytes]) -> NoReturn:
        """Say that it is too long; who sends little more is heard out, and surely hears it."""
        rest = _HEARD_OUT
        async for piece in body:
            rest -= len(piece)
            if rest < 0:
                break
        raise _too_long(self._most)

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._in_header(0),
            "on_header_value": self._in_header(1),
            "on_header_end": self._header_ends,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_ends,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise BadRequestError(f"the form has more than {_MOST_PARTS} parts")
        self._disposition = b""

    def _in_header(self, place: int) -> Callable[[bytes, int, int], None]:
        def add(data: bytes, start: int, end: int) -> None:
            self._header[place] += data[start:end]

        return add

    def _header_ends(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() == b"content-disposition":
            self._disposition = value

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name != "file":
            self._field = bytearray()
        elif self.filename is not None:
            raise BadRequestError("the form has more than one file")
        else:
            self._field = None
            self.filename = options.get(b"filename", b"").decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self.size += end - start
            self._unwritten += data[start:end]
            return
        self._field += data[start:end]
        if len(self._field) > _LONGEST_FIELD:
            raise BadRequestError(f"the form's field {self._name!r} is too long")

    def _part_ends(self) -> None:
        if self._field is not None:
            self.fields[self._name] = self._field.decode("utf-8", "replace")

    def _end(self) -> None:
        self._whole = True

    async def _write(self) -> None:
        data, self._unwritten = self._unwritten, bytearray()
        await asyncio.to_thread(_write_all, self._file, data)


@asynccontextmanager
async def received(request: Request, path: Path, most: int) -> AsyncGenerator[Upload]:
    """The upload as a file at this path, for our eyes only; gone again if the block fails.

    Raises ``BadRequestError``: of status 413 if it is longer than ``most``.
    """
    file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        try:
            upload = Upload(file, most)
            await upload.take(request)
            await asyncio.to_thread(os.fsync, file)
        finally:
            os.close(file)
        yield upload
    except BaseException:
        os.unlink(path)
        raise


def _too_long(most: int) -> BadRequestError:
    return BadRequestError(
        f"the file is longer than {most:,} bytes, which is what there is room for",
        hint="Send it in parts, or delete files that you no longer need.",
        status=413,
    )


def _write_all(file: int, data: bytearray) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
