"""``polyvox keys``: the keys of a running gateway."""

from collections.abc import Callable, Coroutine
from typing import Any

import click

from polyvox.cli.gateway_options import (
    GatewayOptions,
    LimitOptions,
    gateway_options,
    limit_options,
)
from polyvox.cli.options import gathered

__all__ = [
    "ChangeOptions",
    "CreateOptions",
    "ListOptions",
    "OneOptions",
    "RightsOptions",
    "RotateOptions",
    "command",
]

_HELP = {"help_option_names": ["-h", "--help"]}


class ListOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox keys list`` was told on its command line."""

    organisation: str | None
    team: str | None


class RightsOptions(LimitOptions, kw_only=True):
    """What was said of a key's rights. What is None or empty was not said."""

    name: str | None
    organisation: str | None = None
    team: str | None
    models: tuple[str, ...]
    routes: tuple[str, ...]
    addresses: tuple[str, ...]
    expires: str | None
    manager: bool | None


class CreateOptions(RightsOptions, kw_only=True):
    """Everything ``polyvox keys create`` was told on its command line."""

    from_env: str | None
    from_stdin: bool
    sha256: str


class OneOptions(GatewayOptions, kw_only=True):
    """Which key is meant."""

    which: str


class ChangeOptions(RightsOptions, kw_only=True):
    """Everything ``polyvox keys change`` was told on its command line."""

    which: str


class RotateOptions(OneOptions, kw_only=True):
    """Everything ``polyvox keys rotate`` was told on its command line."""

    overlap: str


def _run(doing: Coroutine[Any, Any, int]) -> int:
    import asyncio

    return asyncio.run(doing)


_which = click.argument("which", metavar="KEY")
_RIGHTS = (
    click.option("--team", metavar="NAME", help="Which part of the organisation has it."),
    click.option(
        "--model", "models", metavar="GLOB", multiple=True, help="What it may ask. May be repeated."
    ),
    click.option(
        "--route",
        "routes",
        metavar="GLOB",
        multiple=True,
        help="What it may be used for: chat, embeddings, ... May be repeated.",
    ),
    click.option(
        "--address",
        "addresses",
        metavar="NETWORK",
        multiple=True,
        help="From where: 10.0.0.0/8, or any. May be repeated.",
    ),
    click.option("--expires", metavar="TIME", help="When it ends: 12h, 90d, 2027-01-31, never."),
    limit_options,
    click.option(
        "--manager/--no-manager",
        default=None,
        help="Let it see what all of its organisation use.",
    ),
    gateway_options,
)


def _rights(command: Callable[..., object]) -> Callable[..., object]:
    for option in reversed(_RIGHTS):
        command = option(command)
    return command


@click.group("keys", context_settings=_HELP)
def command() -> None:
    """Make, find, change, replace and revoke the keys of a gateway.

    They ask a gateway that runs ('polyvox serve'), with the administrator's key. A KEY is named by
    its id, its name, or its beginning (pv-1a2b3c4d).

    \b
      export POLYVOX_GATEWAY_KEY=...
      polyvox keys create ci --model "openai/*" --budget '$10/day' --expires 90d
      polyvox keys change ci --budget '$20/day'
      polyvox keys rotate ci --overlap 1h
    """


@command.command("list", context_settings=_HELP)
@click.option("--organisation", metavar="NAME", help="Only keys of this organisation.")
@click.option("--team", metavar="NAME", help="Only keys of this team.")
@gateway_options
@gathered(ListOptions)
def list_keys(options: ListOptions) -> int:
    """List keys. Ends with 1 if there are none."""
    from polyvox.cli import gateway_keys

    return _run(gateway_keys.show_list(options))


@command.command("create", context_settings=_HELP)
@click.argument("name", default=None, required=False)
@click.option("--organisation", metavar="NAME", help="Whose it is.")
@_rights
@click.option(
    "--key-from-env",
    "from_env",
    metavar="NAME",
    help="Bring along the key in this variable, which somebody has already.",
)
@click.option("--key-from-stdin", "from_stdin", is_flag=True, help="... or the one in stdin.")
@click.option("--sha256", metavar="DIGEST", default="", help="... or the one of this SHA-256.")
@gathered(CreateOptions)
def create(options: CreateOptions) -> int:
    """Make a key. It is printed on stdout, this once; not one that is brought along."""
    from polyvox.cli import gateway_keys

    return _run(gateway_keys.create(options))


@command.command("change", context_settings=_HELP)
@_which
@click.option("--name", metavar="NAME", help="What it is to be called.")
@_rights
@gathered(ChangeOptions)
def change(options: ChangeOptions) -> int:
    """Change what is said of a key, and nothing else.

    A limit is known by its period: --budget '$20/day' is another limit for each day. Models, routes
    and addresses take the place of those that there were.
    """
    from polyvox.cli import gateway_keys

    return _run(gateway_keys.change(options))


@command.command("show", context_settings=_HELP)
@_which
@gateway_options
@gathered(OneOptions)
def show(options: OneOptions) -> int:
    """Show what a key may do."""
    from polyvox.cli import gateway_keys

    return _run(gateway_keys.show(options))


@command.command("rotate", context_settings=_HELP)
@_which
@click.option(
    "--overlap",
    metavar="TIME",
    default="1m",
    show_default=True,
    help="How long the old one works beside it: 30m, 12h, 7d; 0s if somebody else has it.",
)
@gateway_options
@gathered(RotateOptions)
def rotate(options: RotateOptions) -> int:
    """Replace a key by a new one with the same rights, which is printed on stdout, this once."""
    from polyvox.cli import gateway_keys

    return _run(gateway_keys.rotate(options))


@command.command("revoke", context_settings=_HELP)
@_which
@gateway_options
@gathered(OneOptions)
def revoke(options: OneOptions) -> int:
    """Refuse a key from now on. What it has used stays on record."""
    from polyvox.cli import gateway_keys

    return _run(gateway_keys.revoke(options))
