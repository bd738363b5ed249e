"""What ``polyvox organisations``, ``teams`` and ``users`` do: ask the gateway, and show what it says."""

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.gateway_keys import warn_of_models
from polyvox.cli.gateway_limits import Limits, limits_said
from polyvox.cli.gateway_times import local_time
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_facts, print_table
from polyvox.cli.tenant_commands import AllOptions, SaidOptions, Tenants, WhichOptions
from polyvox.cli.terminal import note

__all__ = ["change", "create", "delete", "show", "show_list"]

_COLUMNS = (
    Column("name", whole=True, style="bold"),
    Column("title", spare=True),
    Column("models", least=10, spare=True),
    Column("limits", least=10),
    Column("state", whole=True, styles={"blocked": "red"}),
)


class _Tenant(Limits, kw_only=True):
    """What is shown of one."""

    name: str
    organisation: str = ""
    title: str = ""
    models: tuple[str, ...] = ()
    created: float = 0.0

    @property
    def full_name(self) -> str:
        return f"{self.organisation}/{self.name}" if self.organisation else self.name

    @property
    def state(self) -> str:
        return "blocked" if self.blocked else "good"


async def show_list(kind: Tenants, options: AllOptions) -> int:
    """List all of them, of one organisation if they are within any."""
    async with Gateway(options) as gateway:
        found = await gateway.all(kind.path.format(segment(options.organisation)))
    if options.as_json:
        click.echo(msgspec.json.encode(found).decode())
        return 0 if found else FAILED
    if not found:
        note(f"There is none. 'polyvox {kind.all} create' makes one.")
        return FAILED
    print_table(_COLUMNS, [_cells(_read(each)) for each in found])
    return 0


async def show(kind: Tenants, options: WhichOptions) -> int:
    """Show one of them."""
    async with Gateway(options) as gateway:
        found = await gateway.get(_path(kind, options.which), msgspec.Raw)
    return _print(found, as_json=options.as_json)


async def create(kind: Tenants, options: SaidOptions) -> int:
    """Make one."""
    organisation, name = _named(kind, options.which)
    body = {"name": name, **_said(options, Limits())}
    async with Gateway(options) as gateway:
        path = kind.path.format(segment(organisation))
        made = await gateway.post(path, msgspec.Raw, body)
        await warn_of_models(gateway, options.models)
    return _print(made, as_json=options.as_json)


async def change(kind: Tenants, options: SaidOptions) -> int:
    """Change what is said of one, and nothing else."""
    path = _path(kind, options.which)
    async with Gateway(options) as gateway:
        body = _said(options, await gateway.get(path, Limits))
        if not body:
            raise InputError(
                "nothing is said to change", f"'polyvox {kind.all} change --help' lists it."
            )
        changed = await gateway.patch(path, msgspec.Raw, body)
        await warn_of_models(gateway, options.models)
    return _print(changed, as_json=options.as_json)


async def delete(kind: Tenants, options: WhichOptions) -> int:
    """Delete one."""
    async with Gateway(options) as gateway:
        await gateway.delete(_path(kind, options.which))
    note(f"{options.which} is deleted.")
    return 0


def _said(options: SaidOptions, now: Limits) -> dict[str, Any]:
    said: dict[str, Any] = {} if options.title is None else {"title": options.title}
    if options.models:
        said["models"] = options.models
    return said | limits_said(options, now)


def _named(kind: Tenants, which: str) -> tuple[str, str]:
    """The organisation, if it is one in it, and the name. Raises ``InputError``."""
    organisation, _, name = which.partition("/") if kind.within else ("", "", which)
    if not name or (kind.within and not organisation):
        raise InputError(f"{which!r} names none of the {kind.all}", f"Say {kind.metavar}.")
    return organisation, name


def _path(kind: Tenants, which: str) -> str:
    organisation, name = _named(kind, which)
    return f"{kind.path.format(segment(organisation))}/{segment(name)}"


def _read(raw: msgspec.Raw) -> _Tenant:
    return msgspec.json.decode(raw, type=_Tenant)


def _cells(one: _Tenant) -> list[str]:
    return [one.full_name, one.title, ", ".join(one.models), one.limits_told, one.state]


def _print(raw: msgspec.Raw, *, as_json: bool) -> int:
    if as_json:
        click.echo(bytes(raw).decode())
    else:
        print_facts(_facts(_read(raw)))
    return 0


def _facts(one: _Tenant) -> Iterator[tuple[str, str]]:
    yield "name", one.full_name
    if one.title:
        yield "title", one.title
    yield "state", one.state
    if one.models:
        yield "models", ", ".join(one.models)
    yield "limits", one.limits_told or "none of its own"
    yield "created", local_time(one.created)
