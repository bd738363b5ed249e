"""A batch from its file of requests to its file of answers."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import click
import msgspec

from polyvox.cli.batch import ENDPOINTS, DownloadOptions, RunOptions, Writing
from polyvox.cli.batch_views import BATCHES, OVER, Batch, path_of
from polyvox.cli.exit_codes import FAILED, INTERRUPTED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.options import InputError
from polyvox.cli.terminal import is_terminal, note, progress, warn
from polyvox.dialects.openai_errors import decode_error
from polyvox.errors import BadRequestError
from polyvox.gateway.batches.shapes import line_such_as
from polyvox.http import HttpRequest, HttpResponse, Timeouts
from polyvox.model import Call
from polyvox.transport import exchange, read_all

__all__ = ["come_back", "run"]

_TIMEOUTS = Timeouts(connect=10.0, first_byte=3_600.0, idle=300.0)
_MOST_BYTES = 1 << 20
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_BAR = 24


class _Made(msgspec.Struct):
    id: str


class _Line(msgspec.Struct):
    url: str


class _Files(Gateway):
    """A gateway with what long files want."""

    async def __aenter__(self) -> "_Files":
        await super().__aenter__()
        return self

    async def upload(self, path: Path) -> str:
        """The id of a new file."""
        boundary = token_hex(16)
        data = await asyncio.to_thread(_contents, path)
        name = path.name.replace("\\", "_").replace('"', "_")
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        )
        body = b"".join((head.encode(), data, f"\r\n--{boundary}--\r\n".encode()))
        kind = f"multipart/form-data; boundary={boundary}"
        async with self._long("POST", "/v1/files", kind, body) as response:
            answer = await read_all(response.body, _MOST_BYTES)
        return msgspec.json.decode(answer, type=_Made).id

    async def download(self, id: str, to: BinaryIO) -> None:
        """Write what is in a file, as it comes."""
        async with self._long("GET", f"/v1/files/{segment(id)}/content") as response:
            async for piece in response.body:
                to.write(piece)
        to.flush()

    @asynccontextmanager
    async def _long(
        self, method: Any, path: str, kind: str = "", body: bytes = b""
    ) -> AsyncGenerator[HttpResponse]:
        headers = {"authorization": f"Bearer {self._key.reveal()}"}
        if kind:
            headers["content-type"] = kind
        request = HttpRequest(method, self._url + path, headers, body)
        async with exchange(self._transport, request, timeouts=_TIMEOUTS, call=Call()) as response:
            if response.status >= 300:
                data = await read_all(response.body, _MOST_BYTES)
                error = decode_error(response.status, response.headers, data)
                error.hint = None
                raise error
            yield response


def run(options: RunOptions) -> int:
    """Upload, wait, write."""
    watching = _Watching(options)
    return _left_running(watching, watching.run(options))


def come_back(options: DownloadOptions) -> int:
    """Wait, write."""
    watching = _Watching(options, options.batch)
    return _left_running(watching, watching.end())


class _Watching:
    """Somebody who waits for a batch; ``id`` is known from when it is there."""

    def __init__(self, options: Writing, id: str = "") -> None:
        self._options = options
        self.id = id

    async def run(self, options: RunOptions) -> int:
        endpoint = ENDPOINTS[options.endpoint] if options.endpoint else _endpoint(options.requests)
        async with _Files(options) as gateway:
            file = await gateway.upload(options.requests)
            wanted = {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"}
            raw = await gateway.post(BATCHES, msgspec.Raw, wanted)
        self.id = msgspec.json.decode(raw, type=Batch).id
        if options.detach:
            click.echo(bytes(raw).decode() if options.as_json else self.id)
            return 0
        return await self.end()

    async def end(self) -> int:
        """Wait until it is over, and write what came of it."""
        async with _Files(self._options) as gateway:
            raw, batch = await self._over(gateway)
            if batch.status == "failed":
                raise BadRequestError("\n".join([f"{batch.id} was not begun", *batch.wrong]))
            await self._write(gateway, batch)
        if self._options.as_json:
            click.echo(bytes(raw).decode())
        counts = batch.request_counts
        left = counts.total - counts.completed
        told = f"{counts.completed:,} of {counts.total:,} requests are answered"
        (warn if left else note)(f"{batch.status}: {told}.")
        return FAILED if left else 0

    async def _over(self, gateway: Gateway) -> tuple[msgspec.Raw, Batch]:
        shown, pause = is_terminal(sys.stderr), _FIRST_PAUSE
        try:
            while True:
                raw = await gateway.get(path_of(self.id), msgspec.Raw)
                batch = msgspec.json.decode(raw, type=Batch)
                if batch.status in OVER:
                    return raw, batch
                if shown:
                    progress(_bar(batch))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            if shown:
                progress("")

    async def _write(self, gateway: "_Files", batch: Batch) -> None:
        output, errors = self._options.output, self._options.errors
        if batch.output_file_id and (output is not None or not self._options.as_json):
            await _fetch(gateway, batch.output_file_id, output)
        if errors is None and output is not None:
            errors = output.with_name(f"{output.name}.errors")
        if batch.error_file_id and errors is not None:
            await _fetch(gateway, batch.error_file_id, errors)
            note(f"What failed stands in {errors}.")


async def _fetch(gateway: _Files, id: str, path: Path | None) -> None:
    try:
        with nullcontext(sys.stdout.buffer) if path is None else path.open("wb") as file:
            await gateway.download(id, file)
    except OSError as error:
        if path is None:
            raise
        raise InputError(f"can't write {path}: {error.strerror}") from None


def _left_running(watching: _Watching, work: Coroutine[Any, Any, int]) -> int:
    """Who stops waiting stops nothing else."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        if watching.id:
            note("The batch goes on without you. Come back to it with:")
            note(f"  polyvox batch download {watching.id}")
        else:
            note("Nothing was begun.")
        return INTERRUPTED


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None


def _endpoint(path: Path) -> str:
    """What the first request is for."""
    lines = enumerate(BytesIO(_contents(path)), 1)
    number, line = next((each for each in lines if each[1].strip()), (0, b""))
    hint = f"Each line is one, such as {line_such_as(ENDPOINTS['chat'])}"
    if not line:
        raise InputError(f"{path} has no requests", hint)
    try:
        url = msgspec.json.decode(line, type=_Line).url
    except msgspec.DecodeError as error:
        raise InputError(f"line {number} of {path} is no request: {error}", hint) from None
    if url not in ENDPOINTS.values():
        raise InputError(
            f"line {number} of {path} has a url that batches are not for",
            f"It is one of {', '.join(ENDPOINTS.values())}.",
        )
    return url


def _bar(batch: Batch) -> str:
    counts = batch.request_counts
    done = counts.completed + counts.failed
    full = _BAR * done // counts.total if counts.total else 0
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    bar = "█" * full + "░" * (_BAR - full)
    return f"{bar} {done:,} of {counts.total:,}{failed}  {batch.status}"
