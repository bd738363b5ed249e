"""From a file to a configuration in which everything is right."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from polyvox.config.checking import check
from polyvox.config.finding import FILE, find_config, is_configured
from polyvox.config.positions import KeyPath
from polyvox.config.problems import Problem, error_of
from polyvox.config.reading import Reader
from polyvox.config.references import SECRET
from polyvox.config.schema import Config
from polyvox.config.source import Source, apply_overrides, read_source
from polyvox.errors import ConfigurationError
from polyvox.ledger import Redactor
from polyvox.secret import Secret

__all__ = ["Loaded", "examine", "load_config"]


class Loaded(msgspec.Struct):
    """A configuration, what is wrong with it, and where its values come from.

    ``config`` is None when it can't be made sense of. ``variables`` are the environment variables
    that a value was made of, by its path.
    """

    config: Config | None
    problems: list[Problem]
    source: Source
    variables: dict[KeyPath, list[str]] = {}

    @property
    def warnings(self) -> list[Problem]:
        """What may not be as it was meant."""
        return [problem for problem in self.problems if problem.warning]

    @property
    def errors(self) -> list[Problem]:
        """What must be put right."""
        return [problem for problem in self.problems if not problem.warning]


def load_config(
    path: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    without: Iterable[str] = (),
) -> Config:
    """The configuration of that file, or of the one that is found, ``without`` the sections of these names.

    Raises ``ConfigurationError``, which names the file, the line, the key and the nearest known one.
    """
    loaded = examine(path, environ, without=without)
    error = error_of(loaded.problems)
    if error is not None:
        raise error
    assert loaded.config is not None
    return loaded.config


def examine(
    path: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    without: Iterable[str] = (),
) -> Loaded:
    """The configuration with everything that is wrong with it, ``without`` the sections of these names.

    Raises ``ConfigurationError`` when there is none, or it is no TOML at all.
    """
    environ = os.environ if environ is None else environ
    source = _source(path, environ)
    apply_overrides(source, environ)
    for section in without:
        source.tables.pop(section, None)
    reader = Reader(source, environ)
    config = reader.read(Config)
    problems = reader.problems
    if config is not None and not problems:
        problems = check(config, source, environ)
    if problems:
        problems = _masked(problems, reader, environ)
    return Loaded(config, problems, source, reader.variables)


def _masked(problems: list[Problem], reader: Reader, environ: Mapping[str, str]) -> list[Problem]:
    """The problems without the secrets that were put where none belongs."""
    names = {name for names in reader.variables.values() for name in names}
    names |= set(reader.source.overridden.values())
    redactor = Redactor(
        Secret(environ[name]) for name in names if SECRET.search(name) and environ.get(name)
    )
    return [replace(each, text=redactor.text(each.text)) for each in problems]


def _source(path: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Source:
    if path is not None:
        return read_source(Path(path).expanduser())
    found = find_config(environ)
    if found is not None:
        return read_source(found)
    if is_configured(environ):
        return Source(None)
    raise ConfigurationError(
        f"there is no {FILE} here, in a folder above, or among the user's settings",
        hint="'polyvox config init' writes one to begin with; POLYVOX_CONFIG names one.",
    )
