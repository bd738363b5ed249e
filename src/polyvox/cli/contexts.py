"""``polyvox contexts``: the conversations that a running gateway keeps."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from polyvox.cli.gateway_options import GatewayOptions, gateway_options
from polyvox.cli.options import complete_model, gathered, output_option

__all__ = [
    "CompactOptions",
    "DeleteOptions",
    "ExportOptions",
    "ForkOptions",
    "ImportOptions",
    "ListOptions",
    "OneOptions",
    "SearchOptions",
    "command",
]

_T = TypeVar("_T")
_HELP = {"help_option_names": ["-h", "--help"]}


class ListOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox contexts list`` was told on its command line."""

    organisation: str | None
    limit: int


class SearchOptions(ListOptions, kw_only=True):
    """Everything ``polyvox contexts search`` was told on its command line."""

    words: tuple[str, ...]


class OneOptions(GatewayOptions, kw_only=True):
    """Which context is meant."""

    context: str


class ForkOptions(OneOptions, kw_only=True):
    """Everything ``polyvox contexts fork`` was told on its command line."""

    name: str
    messages: int | None


class CompactOptions(OneOptions, kw_only=True):
    """Everything ``polyvox contexts compact`` was told on its command line."""

    model: str
    keep_tokens: int | None


class ExportOptions(OneOptions, kw_only=True):
    """Everything ``polyvox contexts export`` was told on its command line."""

    form: str
    output: Path | None


class ImportOptions(GatewayOptions, kw_only=True):
    """Everything ``polyvox contexts import`` was told on its command line."""

    file: Path
    name: str


class DeleteOptions(GatewayOptions, kw_only=True):
    """Which contexts are to be deleted."""

    contexts: tuple[str, ...]


def _run(doing: Coroutine[Any, Any, _T]) -> _T:
    import asyncio

    return asyncio.run(doing)


def complete_context(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The names of the contexts used last that begin so; none where no gateway answers."""
    from polyvox.cli.gateway_contexts import names

    return [name for name in _run(names(ctx.params)) if name.startswith(incomplete)]


_context = click.argument("context", shell_complete=complete_context)
_organisation = click.option(
    "--organisation", metavar="NAME", help="Only those of this one, with the administrator's key."
)
_limit = click.option("-n", "--limit", type=click.IntRange(1, 1_000), default=20, show_default=True)


@click.group("contexts", context_settings=_HELP)
def command() -> None:
    """Find, read, fork, shorten and delete conversations that a gateway keeps.

    They ask a gateway that runs ('polyvox serve'). A CONTEXT is named by its name or its id.

    \b
      export POLYVOX_GATEWAY_KEY=...
      polyvox contexts search oslo
      polyvox contexts show trip
      polyvox contexts fork trip --messages 4 --name "other trip"
    """


@command.command("list", context_settings=_HELP)
@_organisation
@_limit
@gateway_options
@gathered(ListOptions)
def list_contexts(options: ListOptions) -> int:
    """List conversations, the one used last first. Ends with 1 if there are none."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.show_list(options))


@command.command("search", context_settings=_HELP)
@click.argument("words", nargs=-1, required=True)
@_organisation
@_limit
@gateway_options
@gathered(SearchOptions)
def search(options: SearchOptions) -> int:
    """List the messages in which all these words stand, the newest first."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.search(options))


@command.command("show", context_settings=_HELP)
@_context
@gateway_options
@gathered(OneOptions)
def show(options: OneOptions) -> int:
    """Show a conversation, with all that was said."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.show(options))


@command.command("fork", context_settings=_HELP)
@_context
@click.option("--messages", type=click.IntRange(min=0), help="Only so many of the first messages.")
@click.option("--name", metavar="NAME", default="", help="What to call the copy.")
@gateway_options
@gathered(ForkOptions)
def fork(options: ForkOptions) -> int:
    """Copy a conversation, or its beginning. The copy's id is printed."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.fork(options))


@command.command("compact", context_settings=_HELP)
@_context
@click.option(
    "-m",
    "--model",
    metavar="PROVIDER/MODEL",
    required=True,
    shell_complete=complete_model,
    help="Who writes the summary.",
)
@click.option(
    "--keep",
    "keep_tokens",
    metavar="TOKENS",
    type=click.IntRange(min=1),
    help="How much of the newest turns stays as it is. Default: a quarter.",
)
@gateway_options
@gathered(CompactOptions)
def compact(options: CompactOptions) -> int:
    """Have the older part summarised. Models get the summary then; nothing is deleted."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.compact(options))


@command.command("export", context_settings=_HELP)
@_context
@click.option(
    "--format",
    "form",
    type=click.Choice(["polyvox", "openai"]),
    default="polyvox",
    show_default=True,
    help="Whole messages, or as OpenAI's clients send them.",
)
@output_option
@gateway_options
@gathered(ExportOptions)
def export(options: ExportOptions) -> int:
    """Print a conversation as lines of JSON, one message each."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.export(options))


@command.command("import", context_settings=_HELP)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--name", metavar="NAME", default="", help="What to call it.")
@gateway_options
@gathered(ImportOptions)
def import_file(options: ImportOptions) -> int:
    """Begin a conversation with the lines of an export; "-" reads stdin. Its id is printed."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.import_file(options))


@command.command("delete", context_settings=_HELP)
@click.argument(
    "contexts", metavar="CONTEXT...", nargs=-1, required=True, shell_complete=complete_context
)
@gateway_options
@gathered(DeleteOptions)
def delete(options: DeleteOptions) -> int:
    """Delete conversations with all that was said."""
    from polyvox.cli import gateway_contexts

    return _run(gateway_contexts.delete(options))
