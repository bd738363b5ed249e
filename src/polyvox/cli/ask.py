"""``polyvox ask``: one question, one answer."""

from pathlib import Path

import click

from polyvox.cli import exit_codes
from polyvox.cli.attachments import gather_prompt
from polyvox.cli.options import debug_option, gathered, log_option, model_option, quiet_option
from polyvox.cli.request_options import RequestOptions, request_options

__all__ = ["AskOptions", "command"]


class AskOptions(RequestOptions, kw_only=True):
    """Everything ``polyvox ask`` was told on its command line."""

    prompt: tuple[str, ...]
    files: tuple[Path, ...]
    as_json: bool
    events: bool
    stream: bool
    usage: bool | None
    trace: bool
    log: bool
    quiet: bool


@click.command(
    "ask",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nExit codes:\n{exit_codes.table()}",
)
@click.argument("prompt", nargs=-1)
@model_option
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, allow_dash=True),
    help="Put in a text file, or attach a picture or PDF. May be repeated; '-' is stdin.",
)
@request_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, also for an error.")
@click.option("--events", is_flag=True, help="Print every event of the stream as a line of JSON.")
@click.option("--stream/--no-stream", default=True, help="Print as it arrives, or at the end.")
@click.option(
    "--usage/--no-usage",
    default=None,
    help="Say on stderr what was used and what it cost. Default: on a terminal.",
)
@click.option(
    "--trace", is_flag=True, help="Say on stderr who was asked, when, and what it took: a tree."
)
@log_option
@quiet_option
@debug_option
@gathered(AskOptions)
def command(options: AskOptions) -> int:
    """Ask a model once.

    The prompt is the arguments, then the files, then what comes on stdin.

    \b
      polyvox ask "Why is the sky blue?"
      git diff | polyvox ask "Write a commit message for this."
      polyvox ask -f cat.png "What is in this picture?"
      polyvox ask --json -m simulated/echo hello
    """
    import asyncio

    if options.as_json and options.events:
        raise click.UsageError("--json and --events exclude each other")
    prompt = gather_prompt(options.prompt, options.files)
    from polyvox.cli.ask_once import ask_once

    return asyncio.run(ask_once(options, prompt))
