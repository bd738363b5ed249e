"""What ``polyvox templates`` does: ask the gateway, and show templates."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
import msgspec

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.gateway_options import GatewayOptions
from polyvox.cli.gateway_times import local_time
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_table
from polyvox.cli.templates import (
    DiffOptions,
    ListOptions,
    OneOptions,
    PullOptions,
    PushOptions,
    RenderOptions,
    TagOptions,
    TemplateOptions,
)
from polyvox.cli.terminal import harmless, is_terminal, note, styled
from polyvox.errors import PolyvoxError

__all__ = ["diff", "names", "pull", "push", "render", "show", "show_list", "tag"]

_PATH = "/v1/prompts"
_COLUMNS = (
    Column("name", style="bold", least=12),
    Column("organisation", spare=True),
    Column("component", spare=True),
    Column("newest", right=True),
    Column("tags", least=12),
    Column("updated", whole=True, spare=True),
    Column("description", least=16, spare=True),
)
_VERSIONS = (
    Column("version", right=True),
    Column("tags"),
    Column("created", whole=True),
    Column("by", spare=True),
    Column("note", least=16),
)


class _Prompt(msgspec.Struct, kw_only=True):
    """What is shown of a template."""

    name: str
    organisation: str = ""
    component: str = ""
    description: str = ""
    newest: int = 0
    tags: dict[str, int] = {}
    updated: float = 0.0


class _Version(msgspec.Struct, kw_only=True):
    name: str
    number: int
    tags: list[str] = []
    note: str = ""
    author: str = ""
    created: float = 0.0


class _Part(msgspec.Struct):
    role: str
    text: str


class _Rendered(msgspec.Struct):
    version: int
    messages: list[_Part]


class _Comparison(msgspec.Struct):
    before: int
    after: int
    template: str
    rendering: str | None = None


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    next: str | None = None


async def names(given: Mapping[str, Any]) -> list[str]:
    """The names of all templates; none where no gateway answers."""
    options = GatewayOptions(**{name: given[name] for name in ("url", "key") if given.get(name)})
    try:
        async with Gateway(options) as gateway:
            found = await _all(gateway, {"organisation": given.get("organisation")})
    except (PolyvoxError, click.ClickException):
        return []
    return [msgspec.json.decode(each, type=_Prompt).name for each in found]


async def show_list(options: ListOptions) -> int:
    """List the templates that are meant."""
    query = {"organisation": options.organisation, "component": options.component}
    async with Gateway(options) as gateway:
        found = await _all(gateway, query)
    if options.as_json:
        for each in found:
            click.echo(bytes(each).decode())
        return 0 if found else FAILED
    rows = [_cells(msgspec.json.decode(each, type=_Prompt)) for each in found]
    if not rows:
        note("There is no template. 'polyvox templates push FILE' makes one.")
        return FAILED
    print_table(_COLUMNS, rows)
    return 0


async def show(options: OneOptions) -> int:
    """Show its versions, and the text of the one that is meant."""
    name, version = _named(options.template)
    async with Gateway(options) as gateway:
        one = await gateway.get(
            _path(name, "versions", version or "newest"), msgspec.Raw, _whose(options)
        )
        if options.as_json:
            click.echo(bytes(one).decode())
            return 0
        all_of_it = await gateway.get(_path(name, "versions"), _Page, _whose(options))
        text = await _file(gateway, options, name, version, "markdown")
    versions = [msgspec.json.decode(each, type=_Version) for each in all_of_it.data]
    print_table(
        _VERSIONS,
        [
            [
                str(each.number),
                ", ".join(each.tags),
                local_time(each.created),
                each.author,
                each.note,
            ]
            for each in versions
        ],
    )
    click.echo()
    click.echo(_clean(text), nl=False)
    return 0


async def push(options: PushOptions) -> int:
    """Make each file a new version."""
    texts = [_text(file) for file in options.files]
    async with Gateway(options) as gateway:
        for file, text in zip(options.files, texts, strict=True):
            body = {"text": text, "note": options.note, "tags": options.tags}
            try:
                raw = await gateway.post(_query(_PATH, options), msgspec.Raw, body)
            except PolyvoxError as error:
                error.text = f"{file}: {error.text}"
                raise
            if options.as_json:
                click.echo(bytes(raw).decode())
                continue
            done = msgspec.json.decode(raw, type=_Version)
            click.echo(f"{done.name}@{done.number}")
    return 0


async def pull(options: PullOptions) -> int:
    """Print or write the file."""
    name, version = _named(options.template)
    async with Gateway(options) as gateway:
        text = await _file(gateway, options, name, version, options.form)
    if options.output is None:
        click.echo(text, nl=False)
        return 0
    try:
        options.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {options.output}: {error.strerror}") from None
    return 0


async def render(options: RenderOptions) -> int:
    """Show what a version becomes."""
    name, version = _named(options.template)
    body = {"version": version, "variables": dict(_given(options.variables))}
    async with Gateway(options) as gateway:
        path = _query(_path(name, "render"), options)
        raw = await gateway.post(path, msgspec.Raw, body)
    if options.as_json:
        click.echo(bytes(raw).decode())
        return 0
    for place, part in enumerate(msgspec.json.decode(raw, type=_Rendered).messages):
        if place:
            click.echo()
        click.echo(styled(f"[{part.role}]", sys.stdout, colour="cyan"))
        click.echo(_clean(part.text))
    return 0


async def diff(options: DiffOptions) -> int:
    """Show what is different; the code says whether something is."""
    variables = dict(_given(options.variables)) if options.variables else None
    body = {"before": options.before, "after": options.after, "variables": variables}
    async with Gateway(options) as gateway:
        path = _query(_path(options.template, "compare"), options)
        raw = await gateway.post(path, msgspec.Raw, body)
    done = msgspec.json.decode(raw, type=_Comparison)
    if options.as_json:
        click.echo(bytes(raw).decode())
    else:
        for difference in filter(None, (done.template, done.rendering)):
            _print_difference(difference)
    if not done.template:
        note(f"Versions {done.before} and {done.after} say the same.")
    return FAILED if done.template else 0


async def tag(options: TagOptions) -> int:
    """Let a tag mean a version, or take it away."""
    name, version = _named(options.template)
    path = _query(_path(name, "tags", options.tag), options)
    async with Gateway(options) as gateway:
        if options.remove:
            await gateway.delete(path)
            note(f"{name} has no tag {options.tag!r} any more.")
            return 0
        raw = await gateway.put(path, msgspec.Raw, {"version": version})
    if options.as_json:
        click.echo(bytes(raw).decode())
    else:
        number = msgspec.json.decode(raw, type=_Prompt).tags[options.tag]
        note(f"{name}@{options.tag} is version {number}.")
    return 0


async def _all(gateway: Gateway, query: Mapping[str, object | None]) -> list[msgspec.Raw]:
    found: list[msgspec.Raw] = []
    after: str | None = None
    while True:
        page = await gateway.get(_PATH, _Page, {**query, "limit": 1_000, "after": after})
        found += page.data
        if page.next is None:
            return found
        after = page.next


async def _file(
    gateway: Gateway, options: TemplateOptions, name: str, version: str | None, form: str
) -> str:
    path = _query(_path(name, "file"), options, version=version, form=form)
    return (await gateway.sent("GET", path)).decode()


def _named(said: str) -> tuple[str, str | None]:
    """The name, and the version behind an at sign."""
    name, _, version = said.partition("@")
    return name, version or None


def _path(*parts: str) -> str:
    return "/".join([_PATH, *map(segment, parts)])


def _whose(options: TemplateOptions) -> dict[str, str | None]:
    return {"organisation": options.organisation}


def _query(path: str, options: TemplateOptions, **more: str | None) -> str:
    said = {name: value for name, value in (_whose(options) | more).items() if value is not None}
    return f"{path}?{urlencode(said)}" if said else path


def _cells(prompt: _Prompt) -> list[str]:
    tags = ", ".join(f"{tag} {number}" for tag, number in prompt.tags.items())
    home = [prompt.name, prompt.organisation, prompt.component]
    return [*home, str(prompt.newest), tags, local_time(prompt.updated), prompt.description]


def _given(variables: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The variables: NAME=VALUE is a text, NAME:=VALUE is JSON."""
    for said in variables:
        name, sign, value = said.partition("=")
        if not sign or not name.rstrip(":"):
            raise InputError(f"--var {said!r} is no variable", "Such as --var name=Ada.")
        if not name.endswith(":"):
            yield name, value
            continue
        try:
            yield name.removesuffix(":"), msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise InputError(f"--var {said!r} is no JSON: {error}") from None


def _text(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode()
    except OSError as error:
        raise InputError(f"can't read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no text in UTF-8") from None


def _print_difference(text: str) -> None:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in text.splitlines():
        click.echo(styled(_clean(line), sys.stdout, colour=colours.get(line[:1])))


def _clean(text: str) -> str:
    return harmless(text) if is_terminal(sys.stdout) else text
