"""``polyvox serve``: the gateway, one service that components share."""

from pathlib import Path
from typing import Literal

import click
import msgspec

from polyvox.cli.exit_codes import exit_code
from polyvox.cli.options import config_option, debug_option, gathered
from polyvox.errors import PolyvoxError

__all__ = ["ServeOptions", "command"]


class ServeOptions(msgspec.Struct, kw_only=True):
    """Everything ``polyvox serve`` was told on its command line; None: what the configuration says."""

    config: Path | None
    host: str | None
    port: int | None
    workers: int | None
    server: Literal["uvicorn", "granian"] | None
    data: Path | None
    database: str | None
    log: Literal["auto", "json", "plain", "off"]
    as_json: bool
    ready_file: Path | None


@click.command("serve", context_settings={"help_option_names": ["-h", "--help"]})
@config_option
@click.option("--host", metavar="ADDRESS", help="Where to listen; else 127.0.0.1.")
@click.option("--port", type=click.IntRange(0, 65535), help="0 finds a free one; else 8700.")
@click.option("--workers", type=click.IntRange(1), help="How many processes; else 1.")
@click.option(
    "--server", type=click.Choice(["uvicorn", "granian"]), help="Who takes the requests in."
)
@click.option(
    "--data",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Where its journal and its database are; else among the user's data.",
)
@click.option(
    "--database",
    metavar="URL",
    help="postgresql://... or sqlite:///FILE; else a file in the data folder. Say it in the"
    " environment if it has a password: POLYVOX_GATEWAY__DATABASE.",
)
@click.option(
    "--log",
    type=click.Choice(["auto", "json", "plain", "off"]),
    default="auto",
    help="The log on stderr; auto: plain on a terminal, else JSON.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object once it serves.")
@click.option(
    "--ready-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write the address there once it serves.",
)
@debug_option
@gathered(ServeOptions)
def command(options: ServeOptions) -> int:
    """Serve every model behind one address: any dialect in, any provider behind it.

    Without a configuration it listens on this machine alone, keeps its data among yours, and offers
    what is reachable. The administrator's key is printed once, at the first start.

    Ctrl-C or SIGTERM stops it: calls that are under way go on for a while. A second one ends it at
    once. SIGHUP reads the configuration anew.

    \b
      polyvox serve
      polyvox serve --config polyvox.toml --workers 4
    """
    from polyvox.cli.serve_start import start, tell_error

    try:
        return start(options)
    except PolyvoxError as error:
        if options.log != "json":
            raise
        tell_error(error)
        return exit_code(error)
