"""Types as JSON schemas, and JSON values as values of those types.

msgspec does both for structs, dataclasses, TypedDicts, enums and plain types; for pydantic's types
pydantic does, which is imported only when one of them is given.
"""

import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any, TypeAlias, cast, get_args

import msgspec

from polyvox import jsontext
from polyvox.dialects.schema import Schema

__all__ = ["Convert", "Misfit", "is_pydantic", "schema_and_convert", "schemas_of"]

Convert: TypeAlias = Callable[[Any], Any]
"""Makes a value of a type out of a JSON value. Raises ``Misfit``."""

_PLACE = re.compile(r"(.*) - at (?:`key` in )?`(.*)`", re.DOTALL)
_WHOLE = 2**53


class Misfit(Exception):  # noqa: N818 - never leaves our code
    """No value can be read: ``path`` is where it breaks, or None when the text is no JSON."""

    def __init__(self, text: str, path: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.path = path


def schema_and_convert(wanted: Any) -> tuple[Schema, Convert]:
    """The schema of one type, and its reader. Raises ``TypeError`` and the like for a type without one."""
    if is_pydantic(wanted):
        return _settled(_adapter(wanted).json_schema()), _by_pydantic(wanted)
    try:
        schema = msgspec.json.schema(wanted, schema_hook=_own_schema)
        return _settled(schema), _by_msgspec(wanted)
    except TypeError:
        with suppress(TypeError, RuntimeError):  # a dataclass may hold a model of pydantic's
            if "pydantic" in sys.modules and _holds_dataclass(wanted):
                return _settled(_adapter(wanted).json_schema()), _by_pydantic(wanted)
        raise


def schemas_of(wanted: Iterable[Any]) -> tuple[list[Schema], Schema]:
    """The schemas of several types, and the definitions that they share.

    Raises ``TypeError`` when two different types want the same name among the definitions.
    """
    schemas: list[Schema] = []
    shared: Schema = {}
    for each in wanted:
        schema = dict(schema_and_convert(each)[0])
        for name, definition in cast("Schema", schema.pop("$defs", {})).items():
            if shared.setdefault(name, definition) != definition:
                raise TypeError(f"two different types are called {name}")
        schemas.append(schema)
    return schemas, shared


def is_pydantic(wanted: Any) -> bool:
    """Whether this is a type of pydantic's, made of one, or annotated for it (``Field``)."""
    if hasattr(wanted, "__get_pydantic_core_schema__") or hasattr(
        wanted, "__pydantic_core_schema__"
    ):
        return True
    if type(wanted).__module__.partition(".")[0] in ("pydantic", "annotated_types"):
        return True
    return any(is_pydantic(part) for part in get_args(wanted))


def _holds_dataclass(wanted: Any) -> bool:
    return is_dataclass(wanted) or any(map(_holds_dataclass, get_args(wanted)))


def _by_msgspec(wanted: Any) -> Convert:
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(wanted, dec_hook=_own_value)

    def read(value: Any) -> Any:
        found = jsontext.decode_with(decoder, jsontext.encode(value))
        _complete(found)
        return found

    def convert(value: Any) -> Any:
        try:
            return read(value)
        except msgspec.ValidationError as error:
            if "got `float`" in str(error):  # 3.0 is a whole number in JSON
                with suppress(msgspec.ValidationError):
                    return read(_whole(value))
            found = _PLACE.fullmatch(str(error))
            raise Misfit(*(found.groups() if found else (str(error), "$"))) from error

    return convert


def _settled(schema: Any) -> Any:
    """The schema, the same in every process: a default that is a set has no order of its own."""
    if isinstance(schema, list):
        return [_settled(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    settled = {name: _settled(each) for name, each in cast("Schema", schema).items()}
    if settled.get("uniqueItems") is True and isinstance(settled.get("default"), list):
        settled["default"].sort(key=jsontext.encode)
    return settled


def _own_schema(wanted: type) -> Schema:
    """The schema of a type that msgspec does not know."""
    if wanted in (Path, PurePath):
        return {"type": "string", "format": "path"}
    raise NotImplementedError  # so msgspec wants to be told that nobody knows


def _own_value(wanted: type, value: Any) -> Any:
    """The value of such a type."""
    return wanted(value)


def _complete(value: Any) -> None:
    """Give the dataclasses inside the defaults that msgspec leaves to their classes: ``vars`` has all."""
    if isinstance(value, dict):
        for each in cast("dict[Any, Any]", value).values():
            _complete(each)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in cast("Iterable[Any]", value):
            _complete(each)
    elif isinstance(value, msgspec.Struct) or is_dataclass(value):
        for name in _fields(value):
            below = getattr(value, name)
            if is_dataclass(value) and hasattr(value, "__dict__"):
                vars(value).setdefault(name, below)
            _complete(below)


def _fields(value: Any) -> tuple[str, ...]:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    return tuple(each.name for each in fields(value))


def _whole(value: Any) -> Any:
    """The value with floats that are whole numbers as such."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    if isinstance(value, list):
        return [_whole(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: _whole(each) for name, each in cast("dict[str, Any]", value).items()}
    return value


def _by_pydantic(wanted: Any) -> Convert:
    from pydantic import ValidationError

    adapter = _adapter(wanted)

    def convert(value: Any) -> Any:
        try:
            return adapter.validate_json(jsontext.encode(value))
        except ValidationError as error:
            first = error.errors()[0]
            raise Misfit(first["msg"], "$" + "".join(map(_step, first["loc"]))) from error

    return convert


def _adapter(wanted: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(wanted)


def _step(place: int | str) -> str:
    return f"[{place}]" if isinstance(place, int) else f".{place}"
