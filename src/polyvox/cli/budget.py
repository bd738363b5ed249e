"""``polyvox budget``: what is left of the budgets and limits of a key."""

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered

__all__ = ["command"]


@click.command("budget", context_settings={"help_option_names": ["-h", "--help"]})
@gateway_options
@gathered(GatewayOptions)
def command(options: GatewayOptions) -> int:
    """Show what is left of each budget and limit that holds for your key, the widest first.

    \b
      POLYVOX_GATEWAY_KEY=pv-... polyvox budget
    """
    import asyncio

    from polyvox.cli import gateway_usage

    return asyncio.run(gateway_usage.show_budget(options))
