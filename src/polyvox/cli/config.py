"""``polyvox config``: the configuration file, checked, shown, found, begun."""

from pathlib import Path

import click

from polyvox.cli.options import debug_option

__all__ = ["command"]

_HELP = {"help_option_names": ["-h", "--help"]}
_path_argument = click.argument("path", required=False, type=click.Path(path_type=Path))


@click.group("config", context_settings=_HELP)
def command() -> None:
    """Check, show, find or begin the configuration: polyvox.toml.

    It is the file that POLYVOX_CONFIG names; else polyvox.toml, or [tool.polyvox] in
    pyproject.toml, in this folder or one above it; else XDG_CONFIG_HOME/polyvox/config.toml.
    POLYVOX_CONFIG=off looks for none.
    """


@command.command("check", context_settings=_HELP)
@_path_argument
@debug_option
def check(path: Path | None) -> int:
    """See whether the file is right, and what it turns on.

    Nobody is asked. Ends with 1 if something is wrong.
    """
    from polyvox.cli.config_views import show_check

    return show_check(path)


@command.command("show", context_settings=_HELP)
@_path_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@debug_option
def show(path: Path | None, as_json: bool) -> int:
    """Show every value that holds, and where it comes from. Secrets are masked."""
    from polyvox.cli.config_views import show_values

    return show_values(path, as_json=as_json)


@command.command("path", context_settings=_HELP)
@debug_option
def path() -> int:
    """Print which file is used. Ends with 1 if there is none."""
    from polyvox.cli.config_views import show_path

    return show_path()


@command.command("init", context_settings=_HELP)
@_path_argument
@debug_option
def init(path: Path | None) -> int:
    """Write a file to begin with, explained line by line: polyvox.toml, or at PATH.

    A file that is there is left as it is.
    """
    from polyvox.cli.config_views import write_starter

    return write_starter(path)
