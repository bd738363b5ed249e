"""Where calls are written down when nobody says where."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from polyvox.ledger.log import CallLog
from polyvox.ledger.sqlite import SqliteSink
from polyvox.providers import load_providers
from polyvox.secret import Secret

__all__ = ["default_log", "default_path"]


def default_path(environ: Mapping[str, str] | None = None) -> Path | None:
    """The file named by POLYVOX_LOG, else ``polyvox/calls.db`` among the user's data; None for "off"."""
    environ = os.environ if environ is None else environ
    named = environ.get("POLYVOX_LOG", "")
    if named.lower() == "off":
        return None
    if named:
        return Path(named).expanduser()
    return _data_folder(environ) / "polyvox" / "calls.db"


def default_log(environ: Mapping[str, str] | None = None) -> CallLog:
    """The log in the default place, which ``polyvox log`` shows; POLYVOX_LOG=off is one without sinks.

    The providers' keys that the environment has are masked wherever they stand.
    """
    environ = os.environ if environ is None else environ
    path = default_path(environ)
    if path is None:
        return CallLog()
    rows = load_providers().values()
    keys = {environ.get(name, "") for row in rows for name in row.key_env} - {""}
    return CallLog(SqliteSink(path), redact=[Secret(key) for key in sorted(keys)])


def _data_folder(environ: Mapping[str, str]) -> Path:
    if folder := environ.get("XDG_DATA_HOME"):
        return Path(folder)
    if os.name == "nt":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path.home() / ".local" / "share"
