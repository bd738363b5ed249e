"""What holds in the end: every value of a configuration, fit to be seen, and where it comes from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from polyvox.config.loading import Loaded
from polyvox.config.positions import KeyPath
from polyvox.config.references import SECRET
from polyvox.config.schema import ProviderSection
from polyvox.dialects import Quirks
from polyvox.ledger import Redactor
from polyvox.secret import Secret

__all__ = ["MASK", "Value", "nested", "values_of"]

MASK = "***"
_FREE = {"headers", "options", "metadata"}
"""Tables whose keys are the user's or the provider's own, and may be those of secrets."""


class Value(msgspec.Struct):
    """One value: a string, a number, a truth value, or a list; secrets are masked.

    ``origin`` is where it comes from: "polyvox.toml, line 12", "... from OPENAI_API_KEY", "default".
    """

    path: KeyPath
    value: object
    origin: str


def values_of(loaded: Loaded) -> Iterator[Value]:
    """Every value that holds, with the defaults of the sections that are there."""
    if loaded.config is not None:
        yield from _Shown(loaded).values(loaded.config, ())


def nested(values: Iterator[Value]) -> dict[str, Any]:
    """The values as tables within tables."""
    tables: dict[str, Any] = {}
    for value in values:
        table = tables
        for name in value.path[:-1]:
            table = table.setdefault(str(name), {})
        table[str(value.path[-1])] = value.value
    return tables


class _Shown:
    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded
        self._redactor = Redactor()

    def values(self, value: object, path: KeyPath) -> Iterator[Value]:
        if isinstance(value, msgspec.Struct):
            # Of a provider only what was said: the rest is its row's.
            fields = (
                (name, getattr(value, name))
                for name in value.__struct_fields__
                if not isinstance(value, (ProviderSection, Quirks)) or self._is_said((*path, name))
            )
            for name, below in fields:
                yield from self.values(below, (*path, name))
        elif isinstance(value, Mapping):
            for name, below in cast("Mapping[str, object]", value).items():
                yield from self.values(below, (*path, name))
        elif value is None and path[0] == "timeouts" and self._is_said(path):
            yield Value(path, "never", self._origin(path))
        elif value is not None and value != () and (value != "" or self._is_said(path)):
            yield Value(path, self._plain(value, path), self._origin(path))

    def _plain(self, value: object, path: KeyPath) -> object:
        if isinstance(value, Secret) or (
            not isinstance(value, (int, float)) and self._is_secret(path)
        ):
            return MASK
        if isinstance(value, (str, Path)):
            if _FREE.intersection(path[:-1]) and SECRET.search(str(path[-1])):
                return MASK
            return self._redactor.text(str(value))
        if isinstance(value, msgspec.Struct):
            value = msgspec.to_builtins(value)
        if isinstance(value, Mapping):
            table = cast("Mapping[str, object]", value)
            return {name: self._plain(each, (*path, name)) for name, each in table.items()}
        if isinstance(value, (list, tuple)):
            items = cast("Sequence[object]", value)
            return [self._plain(item, (*path, place)) for place, item in enumerate(items)]
        return value

    def _is_secret(self, path: KeyPath) -> bool:
        """Whether it was made of a variable that holds a secret, to go by its name."""
        source = self._loaded.source
        names = [*self._loaded.variables.get(path, ())]
        if path in source.overridden:
            names.append(source.overridden[path].rpartition("__")[2])
        return any(map(SECRET.search, names))

    def _is_said(self, path: KeyPath) -> bool:
        source = self._loaded.source
        return (
            path in source.lines
            or source.is_overridden(path)
            or any(variable[: len(path)] == path for variable in source.overridden)
        )

    def _origin(self, path: KeyPath) -> str:
        if not self._is_said(path):
            return "default"
        variables = self._loaded.variables.get(path)
        through = f", from {', '.join(variables)}" if variables else ""
        return self._loaded.source.where(path) + through
