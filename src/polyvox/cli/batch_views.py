"""How batches are shown."""

import sys
from collections.abc import Iterator
from typing import Any, Literal

import click
import msgspec

from polyvox.cli.batch import ListOptions, OneOptions
from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.gateway_times import local_time
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless, is_terminal, note, styled

__all__ = ["BATCHES", "OVER", "Batch", "cancel", "path_of", "show", "show_list"]

BATCHES = "/v1/batches"
OVER = ("completed", "failed", "expired", "cancelled")

_COLUMNS = (
    Column("id", whole=True, style="bold"),
    Column("status", whole=True),
    Column("done", right=True),
    Column("failed", right=True),
    Column("of", right=True),
    Column("created", whole=True, spare=True),
    Column("endpoint", spare=True),
)


class _Counts(msgspec.Struct, frozen=True):
    total: int = 0
    completed: int = 0
    failed: int = 0


class _Wrong(msgspec.Struct):
    message: str
    line: int | None = None

    @property
    def text(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


class _Errors(msgspec.Struct):
    data: list[_Wrong] = []


class Batch(msgspec.Struct, kw_only=True):
    """What is shown of a batch."""

    id: str
    status: Literal[
        "validating", "in_progress", "finalizing", "completed",
        "failed", "expired", "cancelling", "cancelled",
    ]  # fmt: skip
    endpoint: str
    created_at: int
    expires_at: int | None = None
    request_counts: _Counts = _Counts()
    errors: _Errors | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    metadata: dict[str, Any] | None = None

    @property
    def wrong(self) -> list[str]:
        """Why it was not begun, line by line."""
        return [each.text for each in self.errors.data] if self.errors else []


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]


async def show_list(options: ListOptions) -> int:
    """List them."""
    async with Gateway(options) as gateway:
        page = await gateway.get(BATCHES, _Page, {"limit": options.limit})
    if options.as_json:
        for each in page.data:
            click.echo(bytes(each).decode())
    elif page.data:
        rows = map(_cells, (msgspec.json.decode(each, type=Batch) for each in page.data))
        print_table(_COLUMNS, [*rows])
    else:
        note("There is no batch.")
    return 0 if page.data else FAILED


async def show(options: OneOptions) -> int:
    """Show one."""
    async with Gateway(options) as gateway:
        raw = await gateway.get(path_of(options.batch), msgspec.Raw)
    if options.as_json:
        click.echo(bytes(raw).decode())
        return 0
    for name, value in _facts(msgspec.json.decode(raw, type=Batch)):
        text = harmless(value) if is_terminal(sys.stdout) else value
        click.echo(styled(f"{name:<9}", sys.stdout, dim=True) + text)
    return 0


async def cancel(options: OneOptions) -> int:
    """Have it ended."""
    async with Gateway(options) as gateway:
        raw = await gateway.post(f"{path_of(options.batch)}/cancel", msgspec.Raw)
    if options.as_json:
        click.echo(bytes(raw).decode())
    else:
        note(f"{options.batch} is {msgspec.json.decode(raw, type=Batch).status}.")
    return 0


def path_of(batch: str) -> str:
    """Where a batch is asked for."""
    return f"{BATCHES}/{segment(batch)}"


def _cells(batch: Batch) -> list[str]:
    counts = batch.request_counts
    numbers = (counts.completed, counts.failed, counts.total)
    cells = [batch.id, batch.status, *(f"{number:,}" for number in numbers)]
    return [*cells, local_time(batch.created_at), batch.endpoint]


def _facts(batch: Batch) -> Iterator[tuple[str, str]]:
    counts = batch.request_counts
    yield "id", batch.id
    yield "status", batch.status
    yield "endpoint", batch.endpoint
    yield (
        "requests",
        f"{counts.completed:,} answered, {counts.failed:,} failed, of {counts.total:,}",
    )
    yield "created", local_time(batch.created_at)
    if batch.status not in OVER:
        yield "expires", local_time(batch.expires_at)
    if batch.output_file_id:
        yield "output", batch.output_file_id
    if batch.error_file_id:
        yield "errors", batch.error_file_id
    for name, value in (batch.metadata or {}).items():
        yield "about", f"{name}: {value}"
    for text in batch.wrong:
        yield "wrong", text
