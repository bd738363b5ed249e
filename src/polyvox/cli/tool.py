"""``polyvox tool``: functions as commands, and what models are told of them."""

import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import click

from polyvox.cli.exit_codes import FAILED
from polyvox.cli.options import InputError, debug_option
from polyvox.errors import ConfigurationError

__all__ = ["command"]

_HELP = {"help_option_names": ["-h", "--help"]}


class _Functions(click.Group):
    """A command for every function that there is: "module:function" is its name."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this function, which is imported now."""
        from polyvox.tools.command_line import command_of

        try:
            return command_of(_load(cmd_name), cmd_name)
        except InputError:
            if ctx.resilient_parsing:  # a shell asks how to go on: no place for errors
                return None
            raise


@click.group("tool", context_settings=_HELP)
def command() -> None:
    """Run functions as commands, and see what models are told of them.

    A function is named module:function or path/to/file.py:function. Modules of this folder are
    found too.

    \b
      polyvox tool run shop:price --item apple
      polyvox tool list shop
    """


@command.group(
    "run",
    cls=_Functions,
    context_settings=_HELP,
    subcommand_metavar="FUNCTION [ARGS]",
    short_help="Run a function: an option per parameter, or --json; JSON comes out.",
)
@debug_option
def run() -> None:
    """Run a function: an option for each parameter, or all as --json; the result is JSON.

    'polyvox tool run FUNCTION --help' lists the options. An error is JSON on stderr. Ends with 1 if
    the function failed, with 2 if the arguments don't fit.
    """


@command.command(
    "schema",
    context_settings=_HELP,
    short_help="Print what models are told of a function, as JSON.",
)
@click.argument("function")
@debug_option
def schema(function: str) -> None:
    """Print what models are told of a function: name, description, parameters."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(_load(function).definition), indent=2)
    click.echo(text)


@command.command("list", context_settings=_HELP)
@click.argument("place")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of definitions.")
@click.option("--skip-errors", is_flag=True, help="Warn of files that can't be imported.")
@debug_option
def list_tools(place: str, as_json: bool, skip_errors: bool) -> int:
    """List what @tool marks in a module, a package or a directory. Ends with 1 if nothing is."""
    import asyncio
    import warnings

    from polyvox import jsontext
    from polyvox.cli.tables import Column, print_table
    from polyvox.cli.terminal import warn
    from polyvox.tools.discovery import discover

    with warnings.catch_warnings(record=True) as told, _importing():
        warnings.simplefilter("always")
        found = discover(_place(place), on_error="skip" if skip_errors else "raise")
    for each in told:
        warn(str(each.message))
    definitions = [tool.definition for tool in asyncio.run(found.tools())]
    if as_json:
        click.echo(jsontext.encode(definitions))
    else:
        rows = [(each.name, _first_line(each.description)) for each in definitions]
        print_table((Column("tool", whole=True), Column("description")), rows)
    return 0 if definitions else FAILED


@command.command(
    "serve", context_settings=_HELP, short_help="Serve tools to other programs over MCP."
)
@click.argument("places", nargs=-1, required=True)
@click.option("--http", is_flag=True, help="Serve over HTTP; else over stdin and stdout.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8000, show_default=True, help="Its port; 0 takes a free one.")
@click.option("--name", default="polyvox", show_default=True, help="What the server is called.")
@debug_option
def serve(places: tuple[str, ...], http: bool, host: str, port: int, name: str) -> None:
    """Serve tools to other programs over MCP: functions, or what @tool marks in modules and folders.

    \b
      polyvox tool serve shop shipping:rates
      polyvox tool serve --http --port 8000 tools/
    """
    import asyncio
    import signal

    from polyvox.integrations import serve_tools
    from polyvox.tools.discovery import discover

    if not http:  # a read of stdin can't be cancelled: Ctrl-C would only end it at the next line
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    with _importing():
        tools = [_load(each) if ":" in each else discover(_place(each)) for each in places]
    try:
        serving = serve_tools(
            tools,
            name=name,
            transport="http" if http else "stdio",
            host=host,
            port=port,
            on_ready=lambda address: click.echo(f"Serving at {address}"),
        )
        asyncio.run(serving)
    except ConfigurationError as error:
        raise InputError(error.text, error.hint or "") from error


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _load(reference: str) -> Any:
    from polyvox.tools.discovery import load_tool

    with _importing():
        return load_tool(reference)


def _place(text: str) -> str | Path:
    """A path where it looks like one, or is no name of a module; else that name."""
    looks_so = "/" in text or "\\" in text or text.endswith(".py") or text in (".", "..")
    return Path(text) if looks_so else text


@contextmanager
def _importing() -> Generator[None]:
    """Modules of the current folder can be imported, as with ``python -m``.

    What they print meanwhile goes to stderr: stdout is for results, or is the wire of MCP.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with redirect_stdout(sys.stderr):
            yield
    except ConfigurationError as error:
        raise InputError(error.text, error.hint or "") from error
