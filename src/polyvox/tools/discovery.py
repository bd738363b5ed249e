"""Finding tools in code: in a module, in a package and all below it, in a directory, by reference."""

import hashlib
import importlib
import importlib.util
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

from polyvox.errors import (
    ConfigurationError,
    in_words,
)
from polyvox.suggestions import hint_for
from polyvox.tools.tool import Tool, as_tool
from polyvox.tools.toolset import FunctionToolset

__all__ = ["discover", "load_module", "load_object", "load_tool"]


def discover(
    place: ModuleType | str | Path, *, on_error: Literal["raise", "skip"] = "raise"
) -> FunctionToolset:
    """All that ``@tool`` marks in a module, in a package with its modules, or in a directory.

    Args:
        place: a module, the name of one or of a package, or the path of a directory or a file.
        on_error: what becomes of a file that can't be imported: "raise" a ``ConfigurationError`` that
            names it, or "skip" it with a warning.

    Modules whose names begin with "_" are left out.
    """
    module = place if isinstance(place, ModuleType) else load_module(place)
    found: dict[int, Tool] = {}  # by identity: packages offer again what their modules define
    for each in _modules(module, skip=on_error == "skip"):
        found |= {id(value): value for value in vars(each).values() if isinstance(value, Tool)}
    name = module.__name__ if isinstance(place, ModuleType) else str(place)
    return FunctionToolset(*found.values(), name=name)


def load_tool(reference: str) -> Tool:
    """The tool, or the function as one, that "module:name" or "path/to/file.py:name" refers to.

    Raises ``ConfigurationError`` if there is none.
    """
    return as_tool(cast("Tool", load_object(reference, "function")))


def load_object(reference: str, kind: str) -> object:
    """What "module:name" or "path/to/file.py:name" refers to; ``kind`` is what it should be, in a word.

    Raises ``ConfigurationError`` if there is none.
    """
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise ConfigurationError(
            f"{reference!r} refers to no {kind}",
            hint=f"Write module:{kind} or file.py:{kind}.",
        )
    module = load_module(Path(place) if place.endswith(".py") else place)
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [each for each in vars(module) if not each.startswith("_")]
            raise ConfigurationError(f"{place} has no {name!r}", hint=hint_for(part, known, ""))
        found = getattr(found, part)
    return found


def load_module(place: str | Path) -> ModuleType:
    """The module or package of that name, or that the file or directory holds, imported.

    Raises ``ConfigurationError`` if there is none, or it can't be imported.
    """
    if isinstance(place, Path):
        return _from_path(place.resolve())
    spec = _spec(place)
    if spec is None:
        raise ConfigurationError(
            f"there is no module {place!r}", hint="A directory or a file is given as a path."
        )
    return _imported(place, spec.origin or place)


def _spec(name: str) -> ModuleSpec | None:
    """Where this module comes from, if it is there. The packages that it is in are imported."""
    above = name.rpartition(".")[0]
    if above:
        spec = _spec(above)
        if spec is None:
            return None
        _imported(above, spec.origin or above)
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # what is above it is no package
        return None


def _modules(module: ModuleType, *, skip: bool) -> Iterator[ModuleType]:
    """The module, and all below it if it is a package."""
    yield module
    for info in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{module.__name__}."):
        if info.name.rpartition(".")[2].startswith("_"):
            continue
        spec = info.module_finder.find_spec(info.name, None)
        try:
            below = _imported(info.name, (spec and spec.origin) or info.name)
        except ConfigurationError as error:
            if not skip:
                raise
            warnings.warn(f"{error.text}; its tools are left out", RuntimeWarning, stacklevel=3)
            continue
        yield from _modules(below, skip=skip)


def _imported(name: str, file: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        about = in_words(error)
        raise ConfigurationError(f"{file} can't be imported: {about}") from error


def _from_path(path: Path) -> ModuleType:
    """A file as a module; a directory as a package, so that its files may import one another."""
    name = f"polyvox_discovered_{hashlib.blake2s(bytes(path), digest_size=6).hexdigest()}"
    if path.is_dir():
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package
        return package
    spec = importlib.util.spec_from_file_location(name, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise ConfigurationError(
            f"there are no tools at {path}", hint="Give a directory, or a file that ends with .py."
        )
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        about = in_words(error)
        raise ConfigurationError(f"{path} can't be imported: {about}") from error
    return module
