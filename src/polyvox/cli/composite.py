"""``polyvox composite``: which composites there are, and what one will do before it is asked."""

from pathlib import Path

import click
import msgspec

from polyvox.cli.options import complete_model, config_option, debug_option, gathered

__all__ = ["ExplainOptions", "command"]

_HELP = {"help_option_names": ["-h", "--help"]}
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class ExplainOptions(msgspec.Struct, kw_only=True):
    """Everything ``polyvox composite explain`` was told on its command line."""

    name: str
    prompt: str | None
    max_tokens: int | None
    config: Path | None
    as_json: bool


@click.group("composite", context_settings=_HELP)
def command() -> None:
    """Several models that make one answer: mixtures of agents and councils.

    They are asked like any other model:

    \b
      polyvox ask -m composite/profile/demo-council "What is 17 * 23?" --trace
      polyvox ask -m composite/moa/openai/gpt-5-mini "Why is the sky blue?"
    """


@command.command("list", context_settings=_HELP)
@config_option
@_json_option
@debug_option
def list_composites(config: Path | None, as_json: bool) -> int:
    """List profiles and presets with their calls and stages."""
    from polyvox.cli.composite_views import show_list

    show_list(config, as_json=as_json)
    return 0


@command.command("explain", context_settings=_HELP)
@click.argument("name", shell_complete=complete_model)
@click.option("--prompt", metavar="TEXT", help="Say what asking this may cost at most.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="... with such a limit per answer.")
@config_option
@_json_option
@debug_option
@gathered(ExplainOptions)
def explain(options: ExplainOptions) -> int:
    """Say who will be asked, in which order, and what is streamed. Nobody is asked.

    \b
      polyvox composite explain composite/profile/demo-council
      polyvox composite explain composite/moa/openai/gpt-5-mini --prompt "Why is the sky blue?"
    """
    from polyvox.cli.composite_views import show_plan

    return show_plan(options)
