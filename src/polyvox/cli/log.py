"""``polyvox log``: what was asked, what came of it and what it cost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.options import (
    complete_model,
    config_option,
    debug_option,
    gathered,
    output_option,
)

__all__ = [
    "ExportOptions",
    "FindOptions",
    "ReplayOptions",
    "StatsOptions",
    "command",
    "complete_id",
    "filters",
    "found_code",
    "limit_option",
]

_HELP = {"help_option_names": ["-h", "--help"]}


class FindOptions(msgspec.Struct, kw_only=True):
    """Which calls are meant, and how they are shown."""

    model: str | None = None
    tenant: str | None = None
    session: str | None = None
    tags: tuple[str, ...] = ()
    since: str | None = None
    errors: bool = False
    limit: int | None = None
    traced: bool = False
    as_json: bool = False
    words: tuple[str, ...] = ()


class StatsOptions(FindOptions, kw_only=True):
    """Everything ``polyvox log stats`` was told on its command line."""

    by: str


class ExportOptions(FindOptions, kw_only=True):
    """Everything ``polyvox log export`` was told on its command line."""

    form: str
    output: Path | None


class ReplayOptions(msgspec.Struct, kw_only=True):
    """Everything ``polyvox log replay`` was told on its command line."""

    id: str
    model: str | None
    as_json: bool
    log: bool
    config: Path | None


class _ListByDefault(click.Group):
    """Without the name of a command below it, ``list`` is meant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with ``list`` put in front of options that are not the group's own."""
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not ctx.resilient_parsing and (
            not args or (args[0].startswith("-") and args[0] not in own)
        ):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _complete_session(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from polyvox.cli.log_views import recent

    found = dict.fromkeys(record.session for record in recent() if record.session)
    return [session for session in found if session.startswith(incomplete)]


def complete_id(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    """The ids of the last calls that begin so."""
    from polyvox.cli.log_views import recent

    found = dict.fromkeys(["last", *(record.id for record in recent())])
    return [id for id in found if id.startswith(incomplete)]


def _complete_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    words = ("model", "day", "tenant", "session", "kind", "tag:")
    return [word for word in words if word.startswith(incomplete)]


_FILTERS = (
    click.option(
        "-m",
        "--model",
        metavar="NAME",
        shell_complete=complete_model,
        help="Only calls of models whose names hold this.",
    ),
    click.option("--tenant", metavar="NAME", help="Only calls for this tenant."),
    click.option(
        "--session",
        metavar="NAME",
        shell_complete=_complete_session,
        help="Only calls of this session.",
    ),
    click.option(
        "--tag",
        "tags",
        metavar="KEY[=VALUE]",
        multiple=True,
        help="Only calls with this tag. May be repeated.",
    ),
    click.option(
        "--since",
        metavar="TIME",
        help="Only calls since then: 30m, 12h, 7d, 2026-01-31, 2026-01-31T09:00.",
    ),
    click.option("--errors", is_flag=True, help="Only calls that failed or were stopped."),
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_id_argument = click.argument("id", shell_complete=complete_id)


def filters(command: Callable[..., object]) -> Callable[..., object]:
    """Adds the options that say which calls are meant."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def limit_option(default: int) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Adds ``-n/--limit``."""
    return click.option(
        "-n", "--limit", type=click.IntRange(min=1), default=default, show_default=True
    )


@click.group("log", cls=_ListByDefault, context_settings=_HELP)
def command() -> None:
    """Look back at calls.

    'polyvox ask', 'chat' and 'embed' write down what they ask, in a file that only you may read;
    programs do with polyvox.ledger. Without a command, the last calls are listed. An ID may be cut
    short, or be 'last'. Where there is nothing to show, it ends with 1.

    \b
      polyvox log --errors --since 7d
      polyvox log show last
      polyvox log stats --by day
      polyvox log replay last --model openai/gpt-5-mini
    """


@command.command("list", context_settings=_HELP)
@filters
@limit_option(20)
@_json_option
@debug_option
@gathered(FindOptions)
def list_calls(options: FindOptions) -> int:
    """List calls, the newest first."""
    from polyvox.cli import log_views

    return found_code(log_views.show_list(options))


@command.command("show", context_settings=_HELP)
@_id_argument
@_json_option
@debug_option
def show(id: str, as_json: bool) -> int:
    """Show one call: all that was said, used and paid."""
    from polyvox.cli import log_views

    return found_code(log_views.show_call(id, as_json=as_json))


@command.command("search", context_settings=_HELP)
@click.argument("words", nargs=-1, required=True)
@filters
@limit_option(20)
@_json_option
@debug_option
@gathered(FindOptions)
def search(options: FindOptions) -> int:
    """List the calls in which all these words stand."""
    from polyvox.cli import log_views

    return found_code(log_views.show_list(options))


@command.command("stats", context_settings=_HELP)
@click.option(
    "--by",
    default="model",
    metavar="model|day|tenant|session|kind|tag:KEY",
    show_default=True,
    shell_complete=_complete_group,
    help="What to add up by.",
)
@filters
@_json_option
@debug_option
@gathered(StatsOptions)
def stats(options: StatsOptions) -> int:
    """Add up calls, tokens and costs."""
    from polyvox.cli import log_views

    return found_code(log_views.show_stats(options))


@command.command("export", context_settings=_HELP)
@filters
@click.option("-n", "--limit", type=click.IntRange(min=1), help="Only so many, the newest.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "messages"]),
    default="jsonl",
    show_default=True,
    help="Whole records, or only the conversations.",
)
@output_option
@debug_option
@gathered(ExportOptions)
def export(options: ExportOptions) -> int:
    """Print calls as lines of JSON, the oldest first."""
    from polyvox.cli import log_views

    return found_code(log_views.export(options))


@command.command("replay", context_settings=_HELP)
@_id_argument
@click.option(
    "-m",
    "--model",
    metavar="PROVIDER/MODEL",
    shell_complete=complete_model,
    help="Which model to ask. Default: the same again.",
)
@click.option("--log/--no-log", default=True, help="Write the new call down too, or not.")
@config_option
@_json_option
@debug_option
@gathered(ReplayOptions)
def replay(options: ReplayOptions) -> int:
    """Ask again, and show both answers with their costs."""
    import asyncio

    from polyvox.cli.log_replay import replay_call

    return asyncio.run(replay_call(options))


@command.command("path", context_settings=_HELP)
@debug_option
def path() -> int:
    """Print where the log is."""
    from polyvox.cli.call_log import log_path

    click.echo(log_path())
    return 0


@command.command("prune", context_settings=_HELP)
@click.option(
    "--older-than",
    metavar="TIME",
    required=True,
    help="Delete calls older than this: 30d, 2026-01-31.",
)
@debug_option
def prune(older_than: str) -> int:
    """Delete old calls."""
    from polyvox.cli import log_views

    return found_code(log_views.prune(older_than))


def found_code(found: bool) -> int:
    """How a command ends that may find nothing."""
    return 0 if found else FAILED
