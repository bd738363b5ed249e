"""``polyvox doctor``: what is set up, what is reachable, what is missing, and how to put it right."""

import click

from polyvox.cli.options import debug_option

__all__ = ["command"]


@click.command("doctor", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--online",
    is_flag=True,
    help="Also ask every provider with a key for its models: free, and tells whether the key works.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def command(online: bool, as_json: bool) -> int:
    """See what is set up, what is reachable and what is missing.

    Looks at the environment, and asks the model servers of this machine. Keys are never shown.
    Ends with 0 if there is a real model to talk with, else with 3.
    """
    import asyncio

    from polyvox.cli.check_up import examine, show

    report = asyncio.run(examine(online=online))
    show(report, as_json=as_json)
    return 0 if report.usable else 3
