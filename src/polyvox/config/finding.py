"""Where the configuration is: a file named by the environment, or found on the way up, or the user's."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from polyvox.errors import ConfigurationError

__all__ = [
    "FILE",
    "PYPROJECT",
    "VARIABLE",
    "find_config",
    "is_configured",
    "ours_in",
    "overrides_in",
    "user_config",
]

VARIABLE = "POLYVOX_CONFIG"
FILE = "polyvox.toml"
PYPROJECT = "pyproject.toml"

_OURS = re.compile(r"^\s*\[\s*tool\s*\.\s*polyvox\b", re.MULTILINE)
_OVERRIDE = re.compile(r"POLYVOX_[A-Z0-9]+__\w+")


def find_config(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Path | None:
    """The file that ``POLYVOX_CONFIG`` names; else the nearest one; else the user's; else None.

    The nearest one is ``polyvox.toml``, or a ``pyproject.toml`` with ``[tool.polyvox]``, in the
    working directory or one above it. The user's is ``XDG_CONFIG_HOME/polyvox/config.toml``.
    ``POLYVOX_CONFIG=off`` looks for none.

    Raises ``ConfigurationError`` if the named file is not there, or one that was found belongs to
    another user of this machine, who could so read keys.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(VARIABLE, "")
    if named.lower() == "off":
        return None
    if named:
        path = Path(os.path.expanduser(named))
        if not os.path.isfile(path):
            raise ConfigurationError(f"{VARIABLE} names the file {named!r}, which is not there")
        return path
    for folder in _upwards(start):
        for path in (folder / FILE, folder / PYPROJECT):
            if os.path.isfile(path) and (path.name == FILE or _is_meant(path)):
                return _own(path)
    path = user_config(environ)
    return path if os.path.isfile(path) else None


def overrides_in(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that stand for keys of the file: ``POLYVOX_<SECTION>__<KEY>``.

    Two underscores stand between the names of keys.
    """
    return {name: value for name, value in environ.items() if _OVERRIDE.fullmatch(name)}


def is_configured(environ: Mapping[str, str] | None = None) -> bool:
    """Whether there is a configuration: a file, or variables that stand for one's keys."""
    environ = os.environ if environ is None else environ
    if environ.get(VARIABLE, "").lower() == "off":
        return False
    return find_config(environ) is not None or bool(overrides_in(environ))


def user_config(environ: Mapping[str, str]) -> Path:
    """Where the user's own configuration is, if there is one."""
    if folder := environ.get("XDG_CONFIG_HOME"):
        return Path(folder) / "polyvox" / "config.toml"
    if os.name == "nt" and (folder := environ.get("APPDATA")):
        return Path(folder) / "polyvox" / "config.toml"
    return Path(os.path.expanduser("~")) / ".config" / "polyvox" / "config.toml"


def ours_in(pyproject: dict[str, Any]) -> dict[str, Any] | None:
    """The table of a pyproject.toml that is ours, if it has one."""
    tools = pyproject.get("tool")
    ours: Any = cast("dict[str, Any]", tools).get("polyvox") if isinstance(tools, dict) else None
    return cast("dict[str, Any]", ours) if isinstance(ours, dict) else None


def _upwards(start: Path | None) -> tuple[Path, ...]:
    """The folder and those above it; none if the working directory was deleted."""
    try:
        folder = (start or Path.cwd()).absolute()
    except FileNotFoundError:
        return ()
    return (folder, *folder.parents)


def _is_meant(path: Path) -> bool:
    """Whether a pyproject.toml has a table for us; one that is no TOML may have had one."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return False
    try:
        return "polyvox" in text and ours_in(tomllib.loads(text)) is not None
    except (ValueError, RecursionError):
        return _OURS.search(text) is not None


def _own(path: Path) -> Path:
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    if user and path.stat().st_uid not in (user, 0):
        raise ConfigurationError(
            f"{path} belongs to another user, and a configuration may send keys anywhere",
            hint=f"If it is meant, set {VARIABLE}={path}.",
        )
    return path
