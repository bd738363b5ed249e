"""``polyvox calls``: the calls of a running gateway, one by one."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered

__all__ = ["ListOptions", "OneOptions", "command"]

_T = TypeVar("_T")
_HELP = {"help_option_names": ["-h", "--help"]}


class ListOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox calls list`` was told on its command line."""

    failed: bool
    under_way: bool
    since: str | None
    until: str | None
    filters: tuple[str, ...]
    limit: int


class OneOptions(GatewayOptions, kw_only=True):
    """Which call is meant."""

    call: str


def _run(doing: Coroutine[Any, Any, _T]) -> _T:
    import asyncio

    return asyncio.run(doing)


def complete_call(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The ids of the last calls that begin so; none where no gateway answers."""
    from polyvox.cli.gateway_calls import recent

    return [id for id in _run(recent(ctx.params)) if id.startswith(incomplete)]


def complete_filter(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """What calls may be found by."""
    from polyvox.cli.gateway_calls import FILTERS

    return [f"{name}=" for name in FILTERS if name.startswith(incomplete)]


@click.group("calls", context_settings=_HELP)
def command() -> None:
    """Find the calls of a gateway: those that failed, and why.

    They ask a gateway that runs ('polyvox serve'). A key sees its organisation's calls, the
    administrator's all.

    \b
      polyvox calls list --failed --since 1h
      polyvox calls show req_0193c1a2
    """


@command.command("list", context_settings=_HELP)
@click.option("--failed", is_flag=True, help="Only those that gave no whole answer.")
@click.option("--under-way", is_flag=True, help="Those that are not over yet, and no others.")
@click.option("--since", metavar="TIME", help="Only calls since then: 12h, 7d, 2026-01-31.")
@click.option("--until", metavar="TIME", help="Only calls before then.")
@click.option(
    "--only",
    "filters",
    metavar="NAME=VALUE",
    multiple=True,
    shell_complete=complete_filter,
    help="Only of this model, key, team, organisation, end_user, status, request_id. May be repeated.",
)
@click.option("-n", "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True)
@gateway_options
@gathered(ListOptions)
def list_calls(options: ListOptions) -> int:
    """List calls, the newest first. Ends with 1 if there are none."""
    from polyvox.cli import gateway_calls

    return _run(gateway_calls.show_list(options))


@command.command("show", context_settings=_HELP)
@click.argument("call", metavar="ID", shell_complete=complete_call)
@gateway_options
@gathered(OneOptions)
def show(options: OneOptions) -> int:
    """Show one call, and who was asked for it.

    The ID is the call's ('x-polyvox-call-id' of its answer), or that of its request ('x-request-id');
    of several calls of one request the newest is shown.
    """
    from polyvox.cli import gateway_calls

    return _run(gateway_calls.show(options))
