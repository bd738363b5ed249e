"""What ``polyvox keys`` does: ask the gateway, and show keys."""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.gateway_limits import Limits, limits_said
from polyvox.cli.gateway_times import local_time, seconds_from_now, span_said
from polyvox.cli.keys import (
    ChangeOptions,
    CreateOptions,
    ListOptions,
    OneOptions,
    RightsOptions,
    RotateOptions,
)
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_facts, print_table
from polyvox.cli.terminal import note, warn
from polyvox.errors import NotFoundError

__all__ = ["change", "create", "revoke", "rotate", "show", "show_list", "warn_of_models"]

_PATH = "/admin/keys"
_GLOB = re.compile(r"[*?[]")
_COLUMNS = (
    Column("key", whole=True, style="bold"),
    Column("name"),
    Column("organisation", spare=True),
    Column("team", spare=True),
    Column("models", least=10),
    Column("limits", least=10, spare=True),
    Column("expires", whole=True, spare=True),
    Column("state", whole=True, styles={"revoked": "red", "blocked": "red", "expired": "yellow"}),
)


class _Key(Limits, kw_only=True):
    """What is shown of a key."""

    id: str
    name: str = ""
    organisation: str = ""
    team: str = ""
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    manager: bool = False
    expires: float | None = None
    revoked: float | None = None
    mark: str = ""
    created: float = 0.0

    @property
    def state(self) -> str:
        if self.revoked is not None:
            return "revoked"
        if self.expires is not None and self.expires <= time.time():
            return "expired"
        return "blocked" if self.blocked else "good"


class _Made(msgspec.Struct):
    secret: str
    key: _Key


async def show_list(options: ListOptions) -> int:
    """List the keys that are meant."""
    query = {"organisation": options.organisation, "team": options.team}
    async with Gateway(options) as gateway:
        found = await gateway.all(_PATH, query)
    if options.as_json:
        click.echo(msgspec.json.encode(found).decode())
        return 0 if found else FAILED
    rows = [_cells(_read(each)) for each in found]
    if not rows:
        note("There is no such key. 'polyvox keys create' makes one.")
        return FAILED
    print_table(_COLUMNS, rows)
    return 0


async def create(options: CreateOptions) -> int:
    """Make a key, and print it."""
    body = _said(options, Limits()) | _brought(options)
    async with Gateway(options) as gateway:
        await _check_name(gateway, options)
        made = await gateway.post(_PATH, msgspec.Raw, body)
        await warn_of_models(gateway, options.models)
    return _print_made(made, as_json=options.as_json)


async def change(options: ChangeOptions) -> int:
    """Change what is said of a key, and nothing else."""
    async with Gateway(options) as gateway:
        key = _read(await _one(gateway, options.which))
        body = _said(options, key)
        if not body:
            raise InputError("nothing is said to change", "'polyvox keys change --help' lists it.")
        changed = await gateway.patch(f"{_PATH}/{segment(key.id)}", msgspec.Raw, body)
        await warn_of_models(gateway, options.models)
    return _print_key(changed, as_json=options.as_json)


async def show(options: OneOptions) -> int:
    """Show one key."""
    async with Gateway(options) as gateway:
        found = await _one(gateway, options.which)
    return _print_key(found, as_json=options.as_json)


async def rotate(options: RotateOptions) -> int:
    """Replace a key, and print the new one."""
    overlap = span_said(options.overlap)
    async with Gateway(options) as gateway:
        id = _read(await _one(gateway, options.which)).id
        path = f"{_PATH}/{segment(id)}/rotate"
        made = await gateway.post(path, msgspec.Raw, {"overlap_seconds": overlap})
    if not options.as_json:
        until = local_time(time.time() + overlap)
        note(f"The old one works until {until}." if overlap else "The old one works no more.")
    return _print_made(made, as_json=options.as_json)


async def revoke(options: OneOptions) -> int:
    """Refuse a key from now on."""
    async with Gateway(options) as gateway:
        key = _read(await _one(gateway, options.which))
        revoked = await gateway.post(f"{_PATH}/{segment(key.id)}/revoke", msgspec.Raw)
    if options.as_json:
        click.echo(bytes(revoked).decode())
    else:
        note(f"{key.id} {key.name!r} is revoked." if key.name else f"{key.id} is revoked.")
    return 0


def _brought(options: CreateOptions) -> dict[str, str]:
    """The key that somebody has already, if one is brought along."""
    ways = (options.from_env is not None, options.from_stdin, bool(options.sha256))
    if sum(ways) > 1:
        raise InputError("a key is brought along in one way", "Give one of the options.")
    if options.sha256:
        return {"sha256": options.sha256}
    if options.from_env is not None:
        key = os.environ.get(options.from_env, "").strip()
    elif options.from_stdin:
        key = sys.stdin.readline().strip()
    else:
        return {}
    if not key:
        raise InputError(f"there is no key in {options.from_env or 'stdin'}", "")
    return {"key": key}


async def warn_of_models(gateway: Gateway, models: Sequence[str]) -> None:
    """Say which of these the gateway can't ask: they may be slips of the pen, and may be made later."""
    for name in models:
        if not _GLOB.search(name):
            try:
                await gateway.get(f"/v1/models/{segment(name)}", msgspec.Raw)
            except NotFoundError as error:
                warn(f"{error.text}. {error.hint or ''}".rstrip())


def _said(options: RightsOptions, now: Limits) -> dict[str, Any]:
    """The fields that are said."""
    fields: dict[str, Any] = {
        "name": options.name,
        "organisation": options.organisation,
        "team": options.team,
        "models": options.models or None,
        "routes": options.routes or None,
        "manager": options.manager,
    }
    said = {name: value for name, value in fields.items() if value is not None}
    if options.addresses:
        said["addresses"] = [] if options.addresses == ("any",) else options.addresses
    if options.expires:
        never = options.expires == "never"
        said["expires"] = None if never else seconds_from_now(options.expires)
    return said | limits_said(options, now)


async def _check_name(gateway: Gateway, options: CreateOptions) -> None:
    """Raises ``InputError`` where a good key has this name: neither could be called by it any more."""
    if not options.name:
        return
    found = map(_read, await gateway.all(_PATH, {"organisation": options.organisation or ""}))
    for key in found:
        if key.name == options.name and key.state == "good":
            raise InputError(
                f"there is a key {options.name!r} already: {key.id}",
                f"'polyvox keys rotate {key.id}' replaces it, 'revoke' ends it; or take another name.",
            )


async def _one(gateway: Gateway, which: str) -> msgspec.Raw:
    """The key of this id, name or beginning, one that is good rather than those that were.

    Raises ``NotFoundError``, or ``InputError`` for several.
    """
    if which.startswith("key_"):
        return await gateway.get(f"{_PATH}/{segment(which)}", msgspec.Raw)
    found = [(_read(each), each) for each in await gateway.all(_PATH)]
    meant = [(key, raw) for key, raw in found if _is_meant(key, which)]
    if not meant:
        raise NotFoundError(
            f"there is no key {_short(which)!r}", hint="'polyvox keys list' lists them."
        )
    meant = [(key, raw) for key, raw in meant if key.state == "good"] or meant
    if len(meant) > 1:
        ids = ", ".join(key.id for key, _ in meant[:5])
        raise InputError(
            f"several keys are called {_short(which)!r}", f"Name one by its id: {ids}."
        )
    return meant[0][1]


def _is_meant(key: _Key, which: str) -> bool:
    """Whether it is called so; a whole key is known by its beginning."""
    is_mark = bool(key.mark) and (key.mark == which or which.startswith(f"{key.mark}-"))
    return key.name == which or is_mark


def _short(which: str) -> str:
    """What may be repeated of a key: its beginning."""
    return which[:11] if which.startswith(("pv-", "sk-")) else which


def _read(raw: msgspec.Raw) -> _Key:
    return msgspec.json.decode(raw, type=_Key)


def _print_made(raw: msgspec.Raw, *, as_json: bool) -> int:
    made = msgspec.json.decode(raw, type=_Made)
    if as_json:
        click.echo(bytes(raw).decode())
        return 0
    name = f" {made.key.name!r}" if made.key.name else ""
    if not made.secret:
        note(f"The key {made.key.id}{name} is the one that you gave.")
        return 0
    note(f"The key {made.key.id}{name}, which can't be shown again:")
    click.echo(made.secret)
    return 0


def _print_key(raw: msgspec.Raw, *, as_json: bool) -> int:
    if as_json:
        click.echo(bytes(raw).decode())
    else:
        print_facts(_facts(_read(raw)))
    return 0


def _cells(key: _Key) -> list[str]:
    models = ", ".join(key.models)
    expires = local_time(key.expires, "never")
    name, home = key.name, (key.organisation, key.team)
    return [key.mark or key.id, name, *home, models, key.limits_told, expires, key.state]


def _facts(key: _Key) -> Iterator[tuple[str, str]]:
    yield "id", key.id
    if key.mark:
        yield "begins", key.mark
    yield "state", f"revoked {local_time(key.revoked)}" if key.revoked else key.state
    for name, value in (("name", key.name), ("organisation", key.organisation), ("team", key.team)):
        if value:
            yield name, value
    yield "models", ", ".join(key.models)
    yield "routes", ", ".join(key.routes)
    yield "addresses", ", ".join(key.addresses) or "any"
    yield "limits", key.limits_told or "none of its own"
    yield "manager", "yes" if key.manager else "no"
    yield "created", local_time(key.created)
    yield "expires", local_time(key.expires, "never")
