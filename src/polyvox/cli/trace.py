"""``polyvox trace``: what calls were made of."""

from functools import partial
from pathlib import Path

import click
import msgspec

from polyvox.cli.log import FindOptions, complete_id, filters, found_code, limit_option
from polyvox.cli.options import debug_option, gathered, output_option

__all__ = ["ShowOptions", "command"]

_HELP = {"help_option_names": ["-h", "--help"]}


class ShowOptions(msgspec.Struct, kw_only=True):
    """Everything ``polyvox trace show`` was told on its command line."""

    id: str
    as_json: bool
    as_html: bool
    output: Path | None


@click.group("trace", context_settings=_HELP)
def command() -> None:
    """See what calls were made of: who was asked, when, for how much.

    Mixtures of agents and councils tell their parts; of other calls the attempts are shown. Both are read
    out of the call log, see 'polyvox log'. An ID may be cut short, or be 'last'.

    \b
      polyvox ask -m composite/profile/demo-council "What is 17 * 23?" --trace
      polyvox trace show last
      polyvox trace show 3fa9 -o trace.html
      polyvox trace list --since 7d
    """


@command.command("show", context_settings=_HELP)
@click.argument("id", default="last", shell_complete=complete_id)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html",
    "as_html",
    is_flag=True,
    help="Print a page that needs no other file; so does -o with a name that ends with .html.",
)
@output_option
@debug_option
@gathered(ShowOptions)
def show(options: ShowOptions) -> int:
    """Show the parts of one call as a tree.

    Each line counts what is below it, too. SECONDS is how long a part took, START when it began.
    """
    named = options.output is not None and options.output.suffix.lower() in (".html", ".htm")
    options.as_html = options.as_html or (named and not options.as_json)
    if options.as_json and options.as_html:
        raise click.UsageError("--json and --html exclude each other")
    from polyvox.cli.trace_views import show_trace

    return found_code(show_trace(options))


@command.command("list", context_settings=_HELP)
@filters
@limit_option(20)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
@gathered(partial(FindOptions, traced=True))
def list_calls(options: FindOptions) -> int:
    """List the calls that were made of several, the newest first."""
    from polyvox.cli.log_views import show_list

    return found_code(show_list(options))
