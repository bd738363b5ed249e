"""``polyvox budget``: what is left of budgets and limits."""

from typing import Any

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered

__all__ = ["NAMES", "BudgetOptions", "command"]

NAMES = ("key", "organisation", "team", "end_user")
"""By what the administrator finds the limits of others."""


class BudgetOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox budget`` was told on its command line."""

    filters: tuple[str, ...]
    everybody: bool


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    return [f"{name}=" for name in NAMES if name.startswith(incomplete)]


@click.command("budget", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only",
    "filters",
    metavar="NAME=VALUE",
    multiple=True,
    shell_complete=_complete,
    help="As administrator: of this key, organisation, or team or end_user in it. May be repeated.",
)
@click.option(
    "--all", "everybody", is_flag=True, help="As administrator: everybody's, and the file's."
)
@gateway_options
@gathered(BudgetOptions)
def command(options: BudgetOptions) -> int:
    """Show what is left of each budget and limit that holds for your key, the widest first.

    \b
      POLYVOX_GATEWAY_KEY=pv-... polyvox budget
      polyvox budget --only key=ci
      polyvox budget --only organisation=acme --only team=core
      polyvox budget --all
    """
    import asyncio

    from polyvox.cli import gateway_usage

    return asyncio.run(gateway_usage.show_budget(options))
