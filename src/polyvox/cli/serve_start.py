"""What ``polyvox serve`` does: look whether all is right, then serve until told to stop."""

import asyncio
import logging
import os
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from polyvox.cli.serve import ServeOptions
from polyvox.cli.serve_views import Started, announce
from polyvox.cli.terminal import is_terminal
from polyvox.config import Config
from polyvox.config.finding import find_config
from polyvox.errors import PolyvoxError
from polyvox.gateway.serving.checks import check_config, check_packages, check_public
from polyvox.ledger.place import default_path
from polyvox.secret import Secret

__all__ = ["start", "tell_error"]

_SAID = ("host", "port", "workers", "server")


def start(options: ServeOptions) -> int:
    """Serve until a signal comes. Raises ``ConfigurationError`` for all that is not right."""
    check_packages()
    from polyvox.gateway.serving.data_folder import DataFolder
    from polyvox.gateway.serving.launch import Launch

    launch = Launch(
        file=options.config or find_config(),
        said=_said(options),
        data=Path(),
        log=_log_form(options.log),
    )
    config = launch.read()
    section = config.gateway
    check_config(config)
    folder = DataFolder(options.data or section.data or _data())
    try:
        return _serve(options, launch, config, folder)
    finally:
        folder.close()


def _serve(options: ServeOptions, launch: Any, config: Config, folder: Any) -> int:
    from msgspec.structs import replace

    from polyvox.gateway.serving.data_folder import database_in
    from polyvox.gateway.serving.listening import bind
    from polyvox.gateway.serving.serve import serve
    from polyvox.gateway.serving.worker import Serving

    section = config.gateway
    check_public(config, section.host, has_made_key=folder.admin_digest is not None)
    named = section.database
    database = _database(named.reveal() if named else database_in(folder.path))
    bound = bind(section.host, section.port, section.workers)
    made, key_from = _admin_key(config, folder)
    launch = replace(
        launch,
        data=folder.path,
        admin_digest=b"" if section.admin_key else folder.admin_digest,
    )
    started = Started(
        url=bound.url,
        data=str(folder.path),
        database=database,
        models=_reachable(config),
        admin_key=made,
        admin_key_from=key_from,
        admin_key_lost=None if made or section.admin_key else folder.another_admin_key,
        workers=section.workers,
        server=section.server,
        drain_seconds=section.drain_seconds,
    )
    serving = Serving(server=section.server, drain_seconds=section.drain_seconds)
    tell = partial(announce, started, as_json=options.as_json, ready_file=options.ready_file)
    told = False

    def on_ready() -> None:
        nonlocal told
        tell()
        told = True

    try:
        return serve(partial(make_app, launch), bound, serving, on_ready)
    finally:
        if made and not told:
            folder.forget_admin_key()  # nobody has seen it: the next start makes another one


def tell_error(error: PolyvoxError) -> None:
    """A line of the log that says why it can't be started, for who reads nothing else."""
    from polyvox.gateway.operations.log_lines import LogLines

    with LogLines("json") as lines:
        lines.write("error", of="cli.serve", kind=error.kind, text=error.text, hint=error.hint)


def make_app(launch: Any, worker: Any) -> Any:
    """The gateway's application, made in the process that serves it; here it is the program."""
    logging.getLogger("polyvox").setLevel(logging.INFO)
    return import_module("polyvox.gateway.gateway").application_of(launch, worker)


def _admin_key(config: Config, folder: Any) -> tuple[str | None, str]:
    """The administrator's key, if it is made now, and where it is from."""
    if config.gateway.admin_key is not None:
        return None, "the configuration"
    if folder.admin_digest is not None:
        return None, "an earlier start, which printed it"
    return folder.make_admin_key(), "made now"


def _database(url: str) -> str:
    """Where the database is, to be shown. Raises ``ConfigurationError`` for a URL that is none."""
    from polyvox.gateway.database.engine import Database

    return Database(url).place


def _reachable(config: Config) -> list[str]:
    from polyvox.cli.serve_models import reachable

    return asyncio.run(reachable(config))


def _said(options: ServeOptions) -> dict[str, Any]:
    """What the command line says of [gateway]."""
    said = {name: said for name in _SAID if (said := getattr(options, name)) is not None}
    return said | ({"database": Secret(options.database)} if options.database else {})


def _data() -> Path:
    """Beside the call log, wherever the user's data are."""
    calls = default_path({**os.environ, "POLYVOX_LOG": ""})
    assert calls is not None
    return calls.parent / "gateway"


def _log_form(wanted: str) -> Any:
    if wanted != "auto":
        return wanted
    return "plain" if is_terminal(sys.stderr) else "json"
