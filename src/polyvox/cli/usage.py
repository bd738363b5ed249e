"""``polyvox usage``: what was used through a gateway, and what it cost."""

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered

__all__ = ["UsageOptions", "command"]


class UsageOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox usage`` was told on its command line."""

    by: tuple[str, ...]
    since: str | None
    until: str | None
    zone: str
    organisation: bool
    filters: tuple[str, ...]


@click.command("usage", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--by",
    multiple=True,
    metavar="model|key|team|day|...",
    default=("model",),
    show_default=True,
    help="What makes a row; a time and another one may be given. Also: organisation, end_user,"
    " provider, session, context, prompt, status, tag:NAME, hour, week, month, total.",
)
@click.option("--since", metavar="TIME", help="Only calls since then: 12h, 7d, 2026-01-31.")
@click.option("--until", metavar="TIME", help="Only calls before then.")
@click.option(
    "--zone",
    metavar="NAME",
    default="UTC",
    show_default=True,
    help="Whose days, weeks and months: Europe/Berlin.",
)
@click.option(
    "--organisation", is_flag=True, help="What all of the organisation used; for its managers."
)
@click.option(
    "--only",
    "filters",
    metavar="NAME=VALUE",
    multiple=True,
    help="Only of this model, key, team, organisation, end_user. May be repeated.",
)
@gateway_options
@gathered(UsageOptions)
def command(options: UsageOptions) -> int:
    """Show what was used through a gateway, and what it cost.

    A key sees what it used itself, the administrator's all. Where nothing was used, it ends with 1.

    \b
      polyvox usage --since 7d
      polyvox usage --by day --by team
      polyvox usage --by key --only model=openai/gpt-5-mini --json
    """
    import asyncio

    from polyvox.cli import gateway_usage

    return asyncio.run(gateway_usage.show_usage(options))
