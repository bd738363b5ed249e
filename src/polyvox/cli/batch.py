"""``polyvox batch``: files of requests, which a running gateway works off."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click

from polyvox.cli import exit_codes
from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import gathered, output_option

__all__ = [
    "ENDPOINTS",
    "DownloadOptions",
    "ListOptions",
    "OneOptions",
    "RunOptions",
    "command",
]

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

ENDPOINTS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "embeddings": "/v1/embeddings",
    "messages": "/v1/messages",
}


class ListOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox batch list`` was told on its command line."""

    limit: int


class OneOptions(GatewayOptions, kw_only=True):
    """Which batch is meant."""

    batch: str


class Writing(GatewayOptions, kw_only=True):
    """Where answers and errors are written."""

    output: Path | None
    errors: Path | None


class DownloadOptions(Writing, kw_only=True):
    """Everything ``polyvox batch download`` was told on its command line."""

    batch: str


class RunOptions(Writing, kw_only=True):
    """Everything ``polyvox batch run`` was told on its command line."""

    requests: Path
    endpoint: str | None
    detach: bool


def _writing(command: Callable[..., object]) -> Callable[..., object]:
    command = click.option(
        "--errors",
        metavar="FILE",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write the lines of what failed there. Default: beside the output, as OUTPUT.errors.",
    )(command)
    return output_option(command)


def _run(doing: Coroutine[Any, Any, int]) -> int:
    import asyncio

    return asyncio.run(doing)


@click.group("batch", context_settings=_HELP, epilog=f"\b\nExit codes:\n{exit_codes.table()}")
def command() -> None:
    """Have a file of requests answered by a gateway, in the background.

    It asks a gateway that runs ('polyvox serve'). The file has a request per line, as for OpenAI's
    batches: {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}

    \b
      export POLYVOX_GATEWAY_KEY=...
      polyvox batch run requests.jsonl -o answers.jsonl
      polyvox batch run requests.jsonl --detach
      polyvox batch download batch_0193c1a2b3c4d5e6f7a8b9c0 -o answers.jsonl
    """


@command.command("run", context_settings=_HELP)
@click.argument(
    "requests", type=click.Path(path_type=Path, dir_okay=False), metavar="REQUESTS.jsonl"
)
@_writing
@click.option(
    "--endpoint",
    type=click.Choice([*ENDPOINTS]),
    help="What all requests are for. Default: what the first one says.",
)
@click.option("--detach", is_flag=True, help="Don't wait: print the batch's id.")
@gateway_options
@gathered(RunOptions)
def run(options: RunOptions) -> int:
    """Upload requests, wait until they are answered, and write the answers.

    Ctrl-C leaves the batch running; 'polyvox batch download' comes back to it. Ends with 1 if a
    request failed.
    """
    from polyvox.cli import batch_run

    return batch_run.run(options)


@command.command("download", context_settings=_HELP)
@click.argument("batch")
@_writing
@gateway_options
@gathered(DownloadOptions)
def download(options: DownloadOptions) -> int:
    """Wait until a batch is over, and write its answers."""
    from polyvox.cli import batch_run

    return batch_run.come_back(options)


@command.command("list", context_settings=_HELP)
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@gateway_options
@gathered(ListOptions)
def list_batches(options: ListOptions) -> int:
    """List batches, the newest first. Ends with 1 if there are none."""
    from polyvox.cli import batch_views

    return _run(batch_views.show_list(options))


@command.command("show", context_settings=_HELP)
@click.argument("batch")
@gateway_options
@gathered(OneOptions)
def show(options: OneOptions) -> int:
    """Show how far a batch is, or what was wrong with it."""
    from polyvox.cli import batch_views

    return _run(batch_views.show(options))


@command.command("cancel", context_settings=_HELP)
@click.argument("batch")
@gateway_options
@gathered(OneOptions)
def cancel(options: OneOptions) -> int:
    """End a batch. What is answered is kept."""
    from polyvox.cli import batch_views

    return _run(batch_views.cancel(options))
