"""``polyvox keys``: the keys of a running gateway."""

from collections.abc import Coroutine
from typing import Any

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered

__all__ = ["CreateOptions", "ListOptions", "OneOptions", "RotateOptions", "command"]

_HELP = {"help_option_names": ["-h", "--help"]}


class ListOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox keys list`` was told on its command line."""

    organisation: str | None
    team: str | None


class CreateOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox keys create`` was told on its command line."""

    name: str
    organisation: str
    team: str
    models: tuple[str, ...]
    routes: tuple[str, ...]
    addresses: tuple[str, ...]
    expires: str | None
    budgets: tuple[str, ...]
    requests: tuple[str, ...]
    tokens: tuple[str, ...]
    shadow: bool
    manager: bool


class OneOptions(GatewayOptions, kw_only=True):
    """Which key is meant."""

    which: str


class RotateOptions(OneOptions, kw_only=True):
    """Everything ``polyvox keys rotate`` was told on its command line."""

    overlap: str


def _run(doing: Coroutine[Any, Any, int]) -> int:
    import asyncio

    return asyncio.run(doing)


_which = click.argument("which", metavar="KEY")


@click.group("keys", context_settings=_HELP)
def command() -> None:
    """Make, find, replace and revoke the keys of a gateway.

    They ask a gateway that runs ('polyvox serve'), with the administrator's key. A KEY is named by
    its id, its name, or its beginning (pv-1a2b3c4d).

    \b
      export POLYVOX_GATEWAY_KEY=...
      polyvox keys create ci --model "openai/*" --budget '$10/day' --expires 90d
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
@click.argument("name", default="")
@click.option("--organisation", metavar="NAME", default="", help="Whose it is.")
@click.option("--team", metavar="NAME", default="", help="Which part of them.")
@click.option(
    "--model", "models", metavar="GLOB", multiple=True, help="What it may ask. May be repeated."
)
@click.option(
    "--route",
    "routes",
    metavar="GLOB",
    multiple=True,
    help="What it may be used for: chat, embeddings, ... May be repeated.",
)
@click.option(
    "--address",
    "addresses",
    metavar="NETWORK",
    multiple=True,
    help="From where: 10.0.0.0/8. May be repeated.",
)
@click.option("--expires", metavar="TIME", help="When it ends: 12h, 90d, 2027-01-31.")
@click.option(
    "--budget",
    "budgets",
    metavar="AMOUNT[/PER]",
    multiple=True,
    help="'$10/day': hour, day, week, month; else in total. May be repeated.",
)
@click.option("--requests", metavar="N/PER", multiple=True, help="60/minute. May be repeated.")
@click.option("--tokens", metavar="N/PER", multiple=True, help="100000/minute. May be repeated.")
@click.option("--shadow", is_flag=True, help="Count against the limits, but block nothing.")
@click.option("--manager", is_flag=True, help="Let it see what all of its organisation use.")
@gateway_options
@gathered(CreateOptions)
def create(options: CreateOptions) -> int:
    """Make a key. It is printed on stdout, this once."""
    from polyvox.cli import gateway_keys

    return _run(gateway_keys.create(options))


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
    default="0s",
    show_default=True,
    help="How long the old one works beside it: 30m, 12h, 7d.",
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
