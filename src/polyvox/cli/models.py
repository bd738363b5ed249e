"""``polyvox models``: which models there are, what they hold and cost, and whose key is there."""

from pathlib import Path

import click
import msgspec

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.options import config_option, debug_option, gathered

__all__ = ["ModelsOptions", "command"]


class ModelsOptions(msgspec.Struct, kw_only=True):
    """Everything ``polyvox models`` was told on its command line."""

    query: tuple[str, ...]
    providers: bool
    live: str | None
    everything: bool
    usable: bool
    as_json: bool
    config: Path | None


def _complete_provider(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from polyvox.providers import load_providers

    return [name for name in load_providers() if name.startswith(incomplete)]


@click.command("models", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("query", nargs=-1)
@click.option("--providers", is_flag=True, help="List the providers instead: tiers, keys.")
@click.option(
    "--live",
    metavar="PROVIDER",
    shell_complete=_complete_provider,
    help="Ask this provider which models it serves now.",
)
@click.option("--usable", is_flag=True, help="Only models whose provider has a key or needs none.")
@config_option
@click.option("--all", "everything", is_flag=True, help="Also deprecated models.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@debug_option
@gathered(ModelsOptions)
def command(options: ModelsOptions) -> int:
    """Find models by words of their names; those of the configuration come first.

    Prices are in US dollars per million tokens. The list is that of the packaged catalog: a
    provider may serve others too, and takes their names as well. Ends with 1 if nothing is found.

    \b
      polyvox models sonnet
      polyvox models --usable
      polyvox models --live ollama
    """
    from polyvox.cli import model_list

    if options.providers:
        found = model_list.show_providers(options)
    elif options.live:
        import asyncio

        found = asyncio.run(model_list.show_live(options, options.live))
    else:
        found = model_list.show_models(options)
    return 0 if found else FAILED
