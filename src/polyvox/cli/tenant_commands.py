"""What ``polyvox organisations``, ``polyvox teams`` and ``polyvox users`` have in common: all of it."""

from collections.abc import Callable, Coroutine
from typing import Any

import click
import msgspec

from polyvox.cli.gateway_options import (
    GatewayOptions,
    LimitOptions,
    gateway_options,
    limit_options,
)
from polyvox.cli.options import gathered

__all__ = ["AllOptions", "SaidOptions", "Tenants", "WhichOptions", "tenant_commands"]

_HELP = {"help_option_names": ["-h", "--help"]}


class Tenants(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three kinds. ``within`` organisations they are named "organisation/name"."""

    all: str
    path: str
    about: str
    within: bool = True
    has_models: bool = True

    @property
    def metavar(self) -> str:
        """How the help names one of them."""
        return "ORGANISATION/NAME" if self.within else "NAME"


class AllOptions(GatewayOptions, kw_only=True):
    """Everything ``list`` was told on its command line."""

    organisation: str = ""


class WhichOptions(GatewayOptions, kw_only=True):
    """Which one is meant."""

    which: str


class SaidOptions(LimitOptions, kw_only=True):
    """Everything ``create`` or ``change`` was told. What is None or empty was not said."""

    which: str
    title: str | None = None
    models: tuple[str, ...] = ()


def tenant_commands(kind: Tenants) -> click.Group:
    """The commands of a kind."""
    group = click.Group(kind.all, help=_about(kind), context_settings=_HELP)
    which = click.argument("which", metavar=kind.metavar)
    listed = [click.argument("organisation")] if kind.within else []
    said: list[Callable[..., Any]] = [which, limit_options]
    if kind.has_models:
        said += [
            click.option("--title", metavar="TEXT", help="What it is called for people."),
            click.option(
                "--model",
                "models",
                metavar="GLOB",
                multiple=True,
                help="What its keys may ask at most. May be repeated.",
            ),
        ]

    def command(
        name: str, about: str, options: type[GatewayOptions], with_: list[Callable[..., Any]]
    ) -> None:
        @gathered(options)
        def run(options: Any) -> int:
            import asyncio

            from polyvox.cli import gateway_tenants

            doing: Callable[..., Coroutine[Any, Any, int]] = getattr(gateway_tenants, name)
            return asyncio.run(doing(kind, options))

        decorated: Callable[..., object] = run
        for option in reversed([*with_, gateway_options]):
            decorated = option(decorated)
        group.command(name.removeprefix("show_"), help=about, context_settings=_HELP)(decorated)

    command("show_list", f"List {kind.all}. Ends with 1 if there are none.", AllOptions, listed)
    command("show", "Show what is said of one of them.", WhichOptions, [which])
    command("create", "Make one.", SaidOptions, said)
    command(
        "change",
        "Change what is said, and nothing else. A limit is known by its period.",
        SaidOptions,
        said,
    )
    command(
        "delete", "Delete one that has no keys, teams or users any more.", WhichOptions, [which]
    )
    return group


def _about(kind: Tenants) -> str:
    name = "acme/ada" if not kind.has_models else "acme/core" if kind.within else "acme"
    return f"""{kind.about}

    They ask a gateway that runs ('polyvox serve'), with the administrator's key.

    \b
      export POLYVOX_GATEWAY_KEY=...
      polyvox {kind.all} create {name} --budget '$10/day'
      polyvox {kind.all} change {name} --budget '$20/day' --requests 60/minute
      polyvox {kind.all} change {name} --block
    """
