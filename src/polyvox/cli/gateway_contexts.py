"""What ``polyvox contexts`` does: ask the gateway, and show conversations."""

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from polyvox.cli.contexts import (
    CompactOptions,
    DeleteOptions,
    ExportOptions,
    ForkOptions,
    ImportOptions,
    ListOptions,
    OneOptions,
    SearchOptions,
)
from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.gateway_options import GatewayOptions
from polyvox.cli.gateway_times import local_time
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless, is_terminal, note, styled
from polyvox.cli.views import tool_call_line
from polyvox.errors import PolyvoxError
from polyvox.messages import File, Image, Message, Text, Thinking, ToolCall, ToolMessage

__all__ = [
    "compact",
    "delete",
    "export",
    "fork",
    "import_file",
    "names",
    "search",
    "show",
    "show_list",
]

_PATH = "/v1/contexts"
_PAGE = 1_000
_LIST_COLUMNS = (
    Column("name", style="bold", least=12),
    Column("organisation", spare=True),
    Column("title", least=16),
    Column("messages", right=True),
    Column("used", whole=True),
    Column("id", whole=True, spare=True),
)
_FOUND_COLUMNS = (
    Column("name", style="bold", least=12),
    Column("message", right=True),
    Column("who", whole=True),
    Column("when", whole=True, spare=True),
    Column("text", least=20),
)


class _Context(msgspec.Struct, kw_only=True):
    """What is shown of a context."""

    id: str
    name: str = ""
    organisation: str = ""
    title: str = ""
    system: str = ""
    template: dict[str, Any] | None = None
    budget: dict[str, Any] | None = None
    messages: int = 0
    summary: str = ""
    summarised: int = 0
    parent: str = ""
    created: float = 0.0
    used: float = 0.0


class _Found(msgspec.Struct, kw_only=True):
    context: str
    name: str
    place: int
    role: str
    created: float
    excerpt: str


class _Kept(msgspec.Struct, kw_only=True):
    place: int
    created: float
    message: Message


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    next: str | None = None


async def names(given: Mapping[str, Any]) -> list[str]:
    """The names of the contexts used last; none where no gateway answers."""
    options = GatewayOptions(**{name: given[name] for name in ("url", "key") if given.get(name)})
    try:
        async with Gateway(options) as gateway:
            page = await gateway.get(_PATH, _Page, {"limit": 100})
    except (PolyvoxError, click.ClickException):
        return []
    return [msgspec.json.decode(each, type=_Context).name for each in page.data]


async def show_list(options: ListOptions) -> int:
    """List the contexts, the one used last first."""
    query = {"organisation": options.organisation, "limit": options.limit}
    async with Gateway(options) as gateway:
        page = await gateway.get(_PATH, _Page, query)
    if options.as_json:
        return _print_lines(page.data)
    found = [msgspec.json.decode(each, type=_Context) for each in page.data]
    rows = [
        [
            each.name,
            each.organisation,
            each.title,
            str(each.messages),
            local_time(each.used),
            each.id,
        ]
        for each in found
    ]
    return _print_rows(_LIST_COLUMNS, rows, "There is no context.")


async def search(options: SearchOptions) -> int:
    """List the messages in which the words stand."""
    said = " ".join(options.words)
    query = {"q": said, "organisation": options.organisation, "limit": options.limit}
    async with Gateway(options) as gateway:
        page = await gateway.get(f"{_PATH}/search", _Page, query)
    if options.as_json:
        return _print_lines(page.data)
    found = [msgspec.json.decode(each, type=_Found) for each in page.data]
    rows = [
        [each.name, str(each.place), each.role, local_time(each.created), each.excerpt]
        for each in found
    ]
    return _print_rows(_FOUND_COLUMNS, rows, "No message is like that.")


async def show(options: OneOptions) -> int:
    """Show one with all its messages."""
    path = _path(options.context)
    async with Gateway(options) as gateway:
        raw = await gateway.get(path, msgspec.Raw)
        kept = [each async for each in _messages(gateway, path)]
    if options.as_json:
        fields = msgspec.json.decode(raw)
        click.echo(msgspec.json.encode({"context": fields, "messages": kept}).decode())
        return 0
    for name, value in _facts(msgspec.json.decode(raw, type=_Context)):
        click.echo(styled(f"{name:<13}", sys.stdout, dim=True) + _clean(value))
    for each in kept:
        head = f"\n[{each.place}] {each.message.role}"
        click.echo(styled(head, sys.stdout, colour="cyan"))
        click.echo(_clean(_told(each.message)))
    return 0


async def fork(options: ForkOptions) -> int:
    """Copy one, and print the copy's id."""
    body = {"name": options.name, "messages": options.messages}
    async with Gateway(options) as gateway:
        raw = await gateway.post(f"{_path(options.context)}/fork", msgspec.Raw, body)
    return _print_made(raw, as_json=options.as_json)


async def compact(options: CompactOptions) -> int:
    """Have its older part summarised."""
    body = {"model": options.model, "keep_tokens": options.keep_tokens}
    async with Gateway(options) as gateway:
        raw = await gateway.post(f"{_path(options.context)}/compact", msgspec.Raw, body)
    if options.as_json:
        click.echo(bytes(raw).decode())
        return 0
    done = msgspec.json.decode(raw, type=_Context)
    if not done.summarised:
        note("It is too short for that: nothing was changed.")
        return FAILED
    note(f"The summary stands for the first {done.summarised} of {done.messages} messages:")
    click.echo(_clean(done.summary))
    return 0


async def export(options: ExportOptions) -> int:
    """Print or write its lines."""
    async with Gateway(options) as gateway:
        lines = await gateway.sent("GET", f"{_path(options.context)}/export?form={options.form}")
    if options.output is None:
        click.echo(lines, nl=False)
    else:
        _write(options.output, lines)
    return 0


async def import_file(options: ImportOptions) -> int:
    """Begin one with the lines of a file, and print its id."""
    messages = [_message(line, number) for number, line in enumerate(_lines(options.file), start=1)]
    async with Gateway(options) as gateway:
        raw = await gateway.post(_PATH, msgspec.Raw, {"name": options.name, "messages": messages})
    return _print_made(raw, as_json=options.as_json)


async def delete(options: DeleteOptions) -> int:
    """Delete these, one by one."""
    async with Gateway(options) as gateway:
        for context in options.contexts:
            await gateway.delete(_path(context))
            note(f"{context} is deleted.")
    return 0


async def _messages(gateway: Gateway, path: str) -> AsyncIterator[_Kept]:
    after: str | None = None
    while True:
        query = {"limit": _PAGE, "after": after}
        page = await gateway.get(f"{path}/messages", _Page, query)
        for each in page.data:
            yield msgspec.json.decode(each, type=_Kept)
        if page.next is None:
            return
        after = page.next


def _path(context: str) -> str:
    return f"{_PATH}/{segment(context)}"


def _facts(context: _Context) -> Iterator[tuple[str, str]]:
    yield "id", context.id
    for name in ("name", "organisation", "title", "parent", "system"):
        if value := getattr(context, name):
            yield name, value
    if context.template:
        yield "template", str(context.template.get("name"))
    if context.budget:
        per = context.budget.get("per", "total")
        yield (
            "budget",
            f"{context.budget.get('limit')} {'in total' if per == 'total' else f'per {per}'}",
        )
    yield "messages", str(context.messages)
    yield "used", local_time(context.used)
    if context.summarised:
        yield "summary", f"of the first {context.summarised} messages: {context.summary}"


def _told(message: Message) -> str:
    """What a message says, as a person reads it."""
    lines: list[str] = []
    if isinstance(message, ToolMessage):
        lines.append(
            f"{'Error' if message.is_error else 'Result'} of {message.tool_name or 'a tool'}:"
        )
    for block in message.content:
        match block:
            case Text(text=text):
                lines.append(text)
            case Thinking():
                pass
            case ToolCall():
                lines.append(tool_call_line(block))
            case Image():
                lines.append(f"[picture {block.media_type or block.url}]")
            case File():
                lines.append(f"[file {block.name or block.media_type}]")
    return "\n".join(lines)


def _clean(text: str) -> str:
    return harmless(text) if is_terminal(sys.stdout) else text


def _print_lines(found: list[msgspec.Raw]) -> int:
    for each in found:
        click.echo(bytes(each).decode())
    return 0 if found else FAILED


def _print_rows(columns: tuple[Column, ...], rows: list[list[str]], otherwise: str) -> int:
    if not rows:
        note(otherwise)
        return FAILED
    print_table(columns, rows)
    return 0


def _print_made(raw: msgspec.Raw, *, as_json: bool) -> int:
    click.echo(bytes(raw).decode() if as_json else msgspec.json.decode(raw, type=_Context).id)
    return 0


def _lines(file: Path) -> list[bytes]:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {file}: {error.strerror}") from None
    return [line for line in data.splitlines() if line.strip()]


def _message(line: bytes, number: int) -> Any:
    try:
        return msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise InputError(
            f"line {number} is no JSON: {error}", "It takes what 'polyvox contexts export' prints."
        ) from None


def _write(file: Path, data: bytes) -> None:
    try:
        file.write_bytes(data)
    except OSError as error:
        raise InputError(f"can't write {file}: {error.strerror}") from None
