"""A configuration before it has a meaning: tables, and where each value comes from."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from polyvox.config.finding import PYPROJECT, ours_in, overrides_in
from polyvox.config.positions import KeyPath, key_lines
from polyvox.errors import ConfigurationError
from polyvox.providers import load_providers

__all__ = ["Source", "apply_overrides", "read_source"]

_PREFIX = ("tool", "polyvox")
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")


class Source(msgspec.Struct):
    """What a file and the environment say.

    ``file`` is None when the environment says it all. ``lines`` has the line of every key of the
    file, ``overridden`` the environment variable of every value that is not the file's.
    """

    file: Path | None
    tables: dict[str, Any] = {}
    lines: dict[KeyPath, int] = {}
    overridden: dict[KeyPath, str] = {}

    @property
    def folder(self) -> Path:
        """The folder that relative paths begin at."""
        return self.file.absolute().parent if self.file else Path.cwd()

    @property
    def shown(self) -> str:
        """The file's name for people."""
        return shown_path(self.file) if self.file else "the environment"

    def where(self, path: KeyPath) -> str:
        """Where this key is, or the nearest one above it that is somewhere."""
        while path:
            if path in self.overridden:
                return f"the environment variable {self.overridden[path]}"
            if path in self.lines:
                return f"{self.shown}, line {self.lines[path]}"
            path = path[:-1]
        return self.shown

    def override(self, path: KeyPath, variable: str) -> None:
        """Note that this value, with all below it, is the variable's."""
        self.lines = {key: self.lines[key] for key in self.lines if key[: len(path)] != path}
        self.overridden[path] = variable

    def is_overridden(self, path: KeyPath) -> bool:
        """Whether this value, or one that it is in, is an environment variable's."""
        return any(path[:length] in self.overridden for length in range(1, len(path) + 1))


def shown_path(path: Path) -> str:
    """A path as short as it can be told: from the working directory, if it is below it."""
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except (ValueError, FileNotFoundError):  # elsewhere, or the working directory was deleted
        return str(path)


def read_source(file: Path) -> Source:
    """The tables of a file. Raises ``ConfigurationError`` for one that can't be read or is no TOML."""
    shown = shown_path(file)
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{shown} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{shown} is not UTF-8, at byte {error.start}") from None
    try:
        tables, lines = tomllib.loads(text), key_lines(text)
    except RecursionError:
        raise ConfigurationError(f"{shown} is nested too deeply") from None
    except ValueError as error:  # a TOMLDecodeError, or a number of thousands of digits
        place = _PLACE.search(str(error))
        line = f", line {place[1]}" if place and place[1] else ""
        text = _PLACE.sub("", str(error).partition("\n")[0])
        raise ConfigurationError(f"{shown}{line}: this is no TOML: {text}") from None
    if file.name == PYPROJECT:
        ours = ours_in(tables)
        if ours is None:
            raise ConfigurationError(f"{shown} has no table [tool.polyvox]")
        tables = ours
        lines = {path[2:]: line for path, line in lines.items() if path[:2] == _PREFIX}
    return Source(file, tables, lines)


def apply_overrides(source: Source, environ: Mapping[str, str]) -> None:
    """Put the values of environment variables in place of the file's, or beside them.

    Raises ``ConfigurationError`` for one that means a key below something that is no table.
    """
    for variable, text in sorted(overrides_in(environ).items()):
        _, _, name = variable.partition("_")
        table: Any = source.tables
        path: KeyPath = ()
        names = name.split("__")
        for place, part in enumerate(names):
            if not isinstance(table, dict) or not part:
                raise ConfigurationError(
                    f"the environment variable {variable} means no key: "
                    f"{'.'.join(map(str, path)) or name} is no table"
                )
            tables = cast("dict[str, Any]", table)
            meant = _keys_meant(part, path, tables)
            if len(meant) > 1:
                raise ConfigurationError(
                    f"the environment variable {variable} may mean {' or '.join(meant)}"
                )
            path = (*path, meant[0])
            if place < len(names) - 1:
                table = tables.setdefault(str(path[-1]), {})
            else:
                tables[str(path[-1])] = _value(text)
        source.override(path, variable)


def _keys_meant(part: str, path: KeyPath, table: Mapping[str, Any]) -> list[str]:
    """The keys that a variable may mean: its name has neither lower case nor hyphens."""
    known = {**table, **(load_providers() if path == ("providers",) else {})}
    plain = _plain(part)
    return [key for key in known if _plain(key) == plain] or [part.lower()]


def _plain(key: str) -> str:
    return re.sub(r"\W", "_", key).lower()


def _value(text: str) -> object:
    """A list or a table if it is written as one; else the text, to which the schema gives its type."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            return text
    return text
