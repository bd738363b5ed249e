"""From tables to values of the schema, with everything that is wrong told at once."""

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from math import inf, isnan
from typing import Any, TypeVar, cast

import msgspec
from msgspec import inspect

from polyvox.config.positions import KeyPath
from polyvox.config.problems import Problem
from polyvox.config.references import expand
from polyvox.config.schema import NOT_SAID, ProviderSection
from polyvox.config.source import Source
from polyvox.dialects import Quirks
from polyvox.errors import ConfigurationError
from polyvox.providers import Provider, load_providers
from polyvox.routing import COOLDOWNS, Cooldown
from polyvox.secret import Secret
from polyvox.suggestions import did_you_mean

__all__ = ["Reader", "dotted"]

_T = TypeVar("_T")

_NOTHING = object()
"""Stands for a value that is wrong, or that a reference left empty: as if its key were not there."""

_PLAIN: dict[type[inspect.Type], type[object]] = {
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.BoolType: bool,
}
_TAKES: dict[type[inspect.Type], type[object]] = {
    inspect.StructType: dict,
    inspect.DictType: dict,
    inspect.StrType: str,
    inspect.CustomType: str,
}
_DEEPEST = 64
_FOR_EVER = "never"
"""Says of a timeout that it never comes: TOML has no word for nothing."""

_FOLDERS = frozenset({("gateway", "data"), ("gateway", "files")})
"""Paths that name a folder; all others name a file."""

_BARE_KEY = re.compile(r"[\w-]+")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_PLACE = re.compile(r" - at `\$(.*)`$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_TYPES = re.compile(r"`([^`]*)`")
_WORDS = {
    "object": "a table",
    "dict": "a table",
    "array": "a list",
    "list": "a list",
    "str": "a string",
    "Secret": "a string",
    "Path": "a string",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
}


class Reader:
    """Reads one source.

    ``problems`` are what was found wrong; ``variables`` the environment variables that a value was
    made of, by its path.
    """

    def __init__(self, source: Source, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.variables: dict[KeyPath, list[str]] = {}
        self.source = source
        self._environ = environ

    def read(self, kind: type[_T]) -> _T | None:
        """The file as a struct of this kind; None if something is wrong with the whole of it."""
        read = self._value(self.source.tables, inspect.type_info(kind), ())
        return read if isinstance(read, kind) else None

    def _value(self, value: Any, kind: inspect.Type, path: KeyPath) -> Any:
        kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
        if len(path) > _DEEPEST:
            return self._problem(path, f"{dotted(path[:4])} is nested too deeply")
        if isinstance(value, dict):
            return self._table(cast("dict[str, Any]", value), kinds, path)
        if isinstance(value, list):
            return self._list(cast("list[Any]", value), kinds, path)
        read = self._text(value, kinds, path) if isinstance(value, str) else value
        # What is sent is JSON, which has no such numbers.
        if isinstance(read, float) and (
            isnan(read) or (abs(read) == inf and path[0] == "templates")
        ):
            return self._problem(path, f"{dotted(path)} is {read}, which is no number")
        return read

    def _member(self, value: Any, kind: inspect.Type, path: KeyPath) -> Any:
        """A value of a list, or of a table whose keys are names: msgspec would not say which one."""
        kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
        takes = [_TAKES[type(each)] for each in kinds if type(each) in _TAKES]
        if len(takes) < len(kinds) or type(value) in takes:
            return self._value(value, kind, path)
        wanted, got = " or ".join(map(_word, takes)), _word(cast("type[object]", type(value)))
        return self._problem(path, f"{dotted(path)}: expected {wanted}, got {got}")

    def _table(self, table: dict[str, Any], kinds: tuple[inspect.Type, ...], path: KeyPath) -> Any:
        for kind in kinds:
            if isinstance(kind, inspect.StructType):
                return self._struct(table, kind, path)
        below = next(
            (kind.value_type for kind in kinds if isinstance(kind, inspect.DictType)), None
        )
        read = {
            key: self._member(value, below or inspect.AnyType(), (*path, key))
            for key, value in table.items()
        }
        return {key: value for key, value in read.items() if value is not _NOTHING}

    def _list(self, items: list[Any], kinds: tuple[inspect.Type, ...], path: KeyPath) -> list[Any]:
        lists = (inspect.ListType, inspect.VarTupleType)
        below = next((kind.item_type for kind in kinds if isinstance(kind, lists)), None)
        read = [
            self._member(item, below or inspect.AnyType(), (*path, place))
            for place, item in enumerate(items)
        ]
        return [item for item in read if item is not _NOTHING]

    def _struct(self, table: dict[str, Any], kind: inspect.StructType, path: KeyPath) -> Any:
        known = {field.encode_name: field.type for field in kind.fields}
        if kind.cls is ProviderSection:
            known = {name: known[name] for name in known if name not in NOT_SAID}
        before = len(self.problems)
        fields: dict[str, Any] = {}
        for key, value in table.items():
            if key not in known:
                inside = f" in {dotted(path)}" if path else ""
                text = f"unknown key {key!r}{inside}{did_you_mean(key, known)}"
                self._problem((*path, key), text)
            elif (read := self._value(value, known[key], (*path, key))) is not _NOTHING:
                fields[key] = read
        try:
            return msgspec.convert(self._completed(fields, kind.cls, path), kind.cls)
        except msgspec.ValidationError as error:
            if len(self.problems) == before:  # else it may only miss what was wrong
                self._invalid(str(error), path, fields)
        except ConfigurationError as error:
            self._told(error.text, path, fields, error.hint or "")
        return _NOTHING

    def _completed(self, fields: dict[str, Any], cls: type, path: KeyPath) -> dict[str, Any]:
        """What is left unsaid of a provider or an error that is known is as it always is."""
        if cls is Cooldown:
            return {**msgspec.to_builtins(COOLDOWNS.get(str(path[-1]), Cooldown(1))), **fields}
        if cls not in (ProviderSection, Quirks) or path[:1] != ("providers",):
            return fields
        name = str(path[1])
        known = self._providers.get(name)
        if cls is Quirks:
            return {**(msgspec.to_builtins(known.quirks) if known else {}), **fields}
        packaged: dict[str, Any] = msgspec.to_builtins(known) if known else {"title": name}
        if known and "models" in fields:
            fields = {**fields, "models": [*known.models, *fields["models"]]}
        return {**packaged, **fields, "name": name}

    @cached_property
    def _providers(self) -> dict[str, Provider]:
        return load_providers()

    def _text(self, text: str, kinds: tuple[inspect.Type, ...], path: KeyPath) -> Any:
        """A string: its references replaced, and of the type that belongs there."""
        elsewhere = self.source.is_overridden(path)
        if not elsewhere:
            expanded = expand(text, self._environ)
            if expanded.problem:
                return self._problem(
                    path, f"{dotted(path)}: {expanded.problem}", _reference_hint(expanded.variables)
                )
            text, elsewhere = expanded.text, bool(expanded.variables)
            if elsewhere:
                self.variables[path] = expanded.variables
        if elsewhere and not text:
            return _NOTHING
        if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
            return self._problem(path, f"{dotted(path)} is not UTF-8 in the environment")
        if text == _FOR_EVER and path[0] == "timeouts":
            return None
        for kind in kinds:
            if isinstance(kind, inspect.CustomType):
                return (self._secret if kind.cls is Secret else self._path)(text.strip(), path)
            if isinstance(kind, (inspect.StrType, inspect.AnyType)):
                return text
        return self._word(text, kinds, path, typed=elsewhere)

    def _word(
        self, text: str, kinds: tuple[inspect.Type, ...], path: KeyPath, *, typed: bool
    ) -> Any:
        """One of a few words, or, from the environment, a number or a truth value."""
        plain: list[type[object]] = [_PLAIN[type(kind)] for kind in kinds if type(kind) in _PLAIN]
        for kind in plain if typed else ():
            try:
                return msgspec.convert(text, kind, strict=False)
            except msgspec.ValidationError:
                continue
        words = [str(word) for kind in kinds for word in _words_of(kind)]
        if words and text not in words:
            return self._problem(path, f"{dotted(path)} is {text!r}{did_you_mean(text, words)}")
        return text

    def _secret(self, text: str, path: KeyPath) -> object:
        if text and text.isprintable():
            return Secret(text)
        what = "holds characters that can't be sent" if text else "is empty"
        return self._problem(path, f"{dotted(path)} {what}")

    def _path(self, text: str, path: KeyPath) -> object:
        file = self.source.folder / os.path.expanduser(text)
        wanted = "folder" if path in _FOLDERS else "file"
        is_other = os.path.isfile if wanted == "folder" else os.path.isdir
        if text and not is_other(file):
            return file
        return self._problem(path, f"{dotted(path)} is {text!r}: name a {wanted}")

    def _invalid(self, text: str, path: KeyPath, fields: dict[str, Any]) -> None:
        """What msgspec has found wrong, in our words."""
        missing = _MISSING.search(text)
        if missing:
            self._problem(path, f"{dotted((*path, missing[1]))} is missing")
            return
        place = _PLACE.search(text)
        if place is None and not text.startswith("Expected"):
            self._told(text, path, fields)
            return
        for name, number in _STEP.findall(place[1] if place else ""):
            path = (*path, name or int(number))
        text = _PLACE.sub("", text)
        text = _TYPES.sub(_in_words, text)
        if text.startswith("Expected"):
            text = text[:1].lower() + text[1:]
        self._problem(path, f"{dotted(path)}: {text}")

    def _told(self, text: str, path: KeyPath, fields: dict[str, Any], hint: str = "") -> None:
        """What a section itself has found wrong, at the key that it speaks of."""
        first = re.split(r"\W", text, maxsplit=1)[0]
        if any(f"{dotted((*path, first))}[" in each.text for each in self.problems):
            return  # it lacks what is wrong in the file, which has been said
        quoted = [key for key, value in fields.items() if value != "" and repr(value) in text]
        key = (
            first
            if first in fields
            else max(quoted, key=lambda key: len(repr(fields[key])), default=None)
        )
        where = self.source.where(path if key is None else (*path, key))
        self.problems.append(Problem(where, f"{dotted(path)}: {text}", hint))

    def _problem(self, path: KeyPath, text: str, hint: str = "") -> object:
        self.problems.append(Problem(self.source.where(path), text, hint))
        return _NOTHING


def dotted(path: KeyPath) -> str:
    """A path for people.

    >>> dotted(("routers", "chat", "deployments", 0))
    'routers.chat.deployments[0]'
    >>> dotted(("prices", "openai/gpt-4.1", "input"))
    'prices."openai/gpt-4.1".input'
    """
    return "".join(f"[{step}]" if isinstance(step, int) else f".{_key(step)}" for step in path)[1:]


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else msgspec.json.encode(name).decode()


def _in_words(types: re.Match[str]) -> str:
    """Types as people call them: "int | str | null" is "a whole number or a string"."""
    named = [_WORDS.get(name, name) for name in types[1].split(" | ") if name != "null"]
    return " or ".join(named)


def _word(kind: type[object]) -> str:
    return _WORDS.get(kind.__name__, kind.__name__)


def _words_of(kind: inspect.Type) -> Iterator[object]:
    if isinstance(kind, inspect.LiteralType):
        yield from kind.values


def _reference_hint(variables: list[str]) -> str:
    if not variables:
        return "Two dollar signs, $${, stand for the characters themselves."
    return f"Set it, or say what holds without it: ${{{variables[-1]}:-...}}."
