"""``polyvox usage``: what was used through a gateway, and what it cost."""

from typing import Any

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered

__all__ = ["NAMES", "WINDOWS", "UsageOptions", "command"]

NAMES = (
    *("model", "key", "team", "organisation", "end_user", "session", "context"),
    *("prompt", "kind", "dialect", "status", "provider", "response_model"),
)
"""What usage can be asked by, beside times and tags."""

WINDOWS = ("hour", "day", "week", "month", "total")


class UsageOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox usage`` was told on its command line."""

    by: tuple[str, ...]
    since: str | None
    until: str | None
    zone: str
    organisation: bool
    filters: tuple[str, ...]
    as_csv: bool


def _complete_by(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    return [name for name in (*NAMES, "tag:", *WINDOWS) if name.startswith(incomplete)]


def _complete_filter(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    return [f"{name}=" for name in NAMES if name.startswith(incomplete)]


@click.command("usage", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--by",
    multiple=True,
    metavar="model|key|team|day|...",
    default=("model",),
    show_default=True,
    shell_complete=_complete_by,
    help="What makes a row. May be repeated. Also: organisation, end_user, session, context, prompt,"
    " kind, dialect, status, provider, response_model (the one that answered), tag:NAME, hour, week,"
    " month, total.",
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
    shell_complete=_complete_filter,
    help="Only of this model, key, team, or whatever else makes a row. May be repeated.",
)
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV: a line of names, a line for each row."
)
@gateway_options
@gathered(UsageOptions)
def command(options: UsageOptions) -> int:
    """Show what was used through a gateway, and what it cost.

    A key sees what it used itself, the administrator's all. Where nothing was used, it ends with 1.

    \b
      polyvox usage --since 7d
      polyvox usage --by team --by model --by month --csv
      polyvox usage --by key --only model=openai/gpt-5-mini --json
    """
    import asyncio

    from polyvox.cli import gateway_usage

    return asyncio.run(gateway_usage.show_usage(options))
