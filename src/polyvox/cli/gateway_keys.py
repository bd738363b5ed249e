"""What ``polyvox keys`` does: ask the gateway, and show keys."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import click
import msgspec

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.gateway_asking import Gateway, segment
from polyvox.cli.gateway_times import limit_said, local_time, seconds_from_now, span_said
from polyvox.cli.keys import CreateOptions, ListOptions, OneOptions, RotateOptions
from polyvox.cli.options import InputError
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless, is_terminal, note, styled
from polyvox.errors import NotFoundError

__all__ = ["create", "revoke", "rotate", "show", "show_list"]

_PATH = "/admin/keys"
_PAGE = 1_000
_COLUMNS = (
    Column("key", whole=True, style="bold"),
    Column("name"),
    Column("organisation", spare=True),
    Column("team", spare=True),
    Column("models", least=10),
    Column("limits", least=10, spare=True),
    Column("expires", whole=True, spare=True),
    Column("state", whole=True, styles={"revoked": "red", "expired": "yellow"}),
)


class _Key(msgspec.Struct, kw_only=True):
    """What is shown of a key."""

    id: str
    name: str = ""
    organisation: str = ""
    team: str = ""
    models: list[str] = []
    routes: list[str] = []
    addresses: list[str] = []
    manager: bool = False
    expires: float | None = None
    revoked: float | None = None
    mark: str = ""
    created: float = 0.0
    budgets: dict[str, dict[str, Any]] = {}
    limits: dict[str, dict[str, Any]] = {}
    shadow: bool = False

    @property
    def state(self) -> str:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= time.time() else "good"

    @property
    def limits_told(self) -> str:
        """The limits in short: "$10 per day, 60 requests per minute"."""
        told = [
            f"{_dollars(each['limit'])} {_per(each, 'total')}" for each in self.budgets.values()
        ]
        for each in self.limits.values():
            told += [
                f"{each[unit]:,} {unit} {_per(each, 'minute')}"
                for unit in ("requests", "tokens")
                if each.get(unit)
            ]
        return ", ".join(told) + (" (shadow)" if told and self.shadow else "")


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    next: str | None = None


class _Made(msgspec.Struct):
    secret: str
    key: _Key


async def show_list(options: ListOptions) -> int:
    """List the keys that are meant."""
    query = {"organisation": options.organisation, "team": options.team}
    async with Gateway(options) as gateway:
        found = await _all(gateway, query)
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
    body: dict[str, Any] = {
        "name": options.name,
        "organisation": options.organisation,
        "team": options.team,
        "shadow": options.shadow,
        "manager": options.manager,
        "budgets": dict(_budgets(options)),
        "limits": _limits(options),
        "addresses": options.addresses,
    }
    said = {"models": options.models, "routes": options.routes}
    body |= {field: globs for field, globs in said.items() if globs}
    if options.expires:
        body["expires"] = seconds_from_now(options.expires)
    async with Gateway(options) as gateway:
        await _check_name(gateway, options)
        made = await gateway.post(_PATH, msgspec.Raw, body)
    return _print_made(made, as_json=options.as_json)


async def show(options: OneOptions) -> int:
    """Show one key."""
    async with Gateway(options) as gateway:
        found = await _one(gateway, options.which)
    if options.as_json:
        click.echo(bytes(found).decode())
        return 0
    for name, value in _facts(_read(found)):
        shown = harmless(value) if is_terminal(sys.stdout) else value
        click.echo(styled(f"{name:<13}", sys.stdout, dim=True) + shown)
    return 0


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


async def _all(gateway: Gateway, query: dict[str, str | None]) -> list[msgspec.Raw]:
    found: list[msgspec.Raw] = []
    after: str | None = None
    while True:
        page = await gateway.get(_PATH, _Page, {**query, "limit": _PAGE, "after": after})
        found += page.data
        if page.next is None:
            return found
        after = page.next


async def _check_name(gateway: Gateway, options: CreateOptions) -> None:
    """Raises ``InputError`` where a good key has this name: neither could be called by it any more."""
    if not options.name:
        return
    found = map(_read, await _all(gateway, {"organisation": options.organisation}))
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
    found = [(_read(each), each) for each in await _all(gateway, {})]
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
    return key.name == which or key.mark == which or which.startswith(f"{key.mark}-")


def _short(which: str) -> str:
    """What may be repeated of a key: its beginning."""
    return which[:11] if which.startswith("pv-") else which


def _read(raw: msgspec.Raw) -> _Key:
    return msgspec.json.decode(raw, type=_Key)


def _print_made(raw: msgspec.Raw, *, as_json: bool) -> int:
    made = msgspec.json.decode(raw, type=_Made)
    if as_json:
        click.echo(bytes(raw).decode())
        return 0
    name = f" {made.key.name!r}" if made.key.name else ""
    note(f"The key {made.key.id}{name}, which can't be shown again:")
    click.echo(made.secret)
    return 0


def _cells(key: _Key) -> list[str]:
    models = ", ".join(key.models)
    expires = local_time(key.expires, "never")
    name, home = key.name, (key.organisation, key.team)
    return [key.mark, name, *home, models, key.limits_told, expires, key.state]


def _facts(key: _Key) -> Iterator[tuple[str, str]]:
    yield "id", key.id
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


def _dollars(limit: object) -> str:
    text = str(limit)
    return text if text.startswith("$") else f"${text}"


def _per(section: dict[str, Any], otherwise: str) -> str:
    per = section.get("per", otherwise)
    if isinstance(per, str):
        return "in total" if per == "total" else f"per {per}"
    return f"in {per:g} seconds"


def _budgets(options: CreateOptions) -> Iterator[tuple[str, dict[str, Any]]]:
    from polyvox.limits.meters import Per

    for said in options.budgets:
        amount, per = limit_said(said, "total")
        _check_per("--budget", said, per, get_args(Per))
        yield per, {"limit": amount, "per": per}


def _limits(options: CreateOptions) -> dict[str, dict[str, Any]]:
    """The limits by their periods, which are also their names."""
    from polyvox.limits.rate_limit import PERIODS

    limits: dict[str, dict[str, Any]] = {}
    for unit, given in (("requests", options.requests), ("tokens", options.tokens)):
        for said in given:
            amount, per = limit_said(said, "minute")
            _check_per(f"--{unit}", said, per, PERIODS)
            if not amount.isdecimal():
                raise InputError(f"--{unit} {said!r} is no number per time", "Such as 60/minute.")
            limits.setdefault(per, {"per": per})[unit] = int(amount)
    return limits


def _check_per(option: str, said: str, per: str, known: Iterable[str]) -> None:
    if per not in known:
        raise InputError(
            f"{option} {said!r}: there is no {per!r}", f"Known are {', '.join(known)}."
        )
