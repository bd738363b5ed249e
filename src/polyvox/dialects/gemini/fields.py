"""Reading a JSON object field by field, in either case, so that an error names the field.

The API's JSON is protocol buffers': ``systemInstruction`` and ``system_instruction`` are one field.
"""

import re
from typing import Any, TypeVar, cast, overload

import msgspec

from polyvox import jsontext
from polyvox.dialects.gemini.wire import Json
from polyvox.errors import BadRequestError

__all__ = ["Fields"]

_T = TypeVar("_T")
_SNAKE = re.compile(r"_([a-z])")


class Fields:
    """An object of a request; what is taken from it is gone, and ``rest`` is what nobody took.

    ``place`` is where it stands, such as "contents[2].parts[0]". Names are camelCase, whatever the
    client wrote; null is the same as not there. All methods raise ``BadRequestError`` for what is
    not as it must be.
    """

    def __init__(self, value: Any, place: str = "") -> None:
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise BadRequestError(f"{place or 'the body'}: must be an object, not {kind}")
        values = cast(Json, value)
        self.rest: Json = {
            _SNAKE.sub(lambda found: found[1].upper(), key): each
            for key, each in values.items()
            if each is not None
        }
        self._place = place

    @classmethod
    def parse(cls, body: bytes) -> "Fields":
        """The fields of a body."""
        try:
            return cls(jsontext.decode(body))
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadRequestError(f"the body is no JSON: {error}") from None

    @overload
    def take(self, name: str, kind: type[_T]) -> _T: ...
    @overload
    def take(self, name: str, kind: type[_T], default: None) -> _T | None: ...
    @overload
    def take(self, name: str, kind: type[_T], default: _T) -> _T: ...

    def take(self, name: str, kind: Any, default: Any = ...) -> Any:
        """The field's value, or the default; without a default the field must be there."""
        if name not in self.rest:
            if default is ...:
                raise self.wrong(name, "is missing")
            return default
        try:
            return msgspec.convert(self.rest.pop(name), kind, strict=kind is not int)
        except msgspec.ValidationError as error:
            raise self.wrong(name, str(error)) from None

    def take_object(self, name: str) -> "Fields | None":
        """The field as an object of its own, or None."""
        value = self.rest.pop(name, None)
        return None if value is None else Fields(value, self.at(name))

    def take_list(self, name: str) -> "list[Fields]":
        """The field as a list of objects; a single one counts as a list."""
        value = self.rest.pop(name, [])
        values = cast(list[Any], value if isinstance(value, list) else [value])
        return [Fields(each, f"{self.at(name)}[{i}]") for i, each in enumerate(values)]

    def at(self, name: str) -> str:
        """The place of a field of this object."""
        return f"{self._place}.{name}" if self._place else name

    def wrong(self, name: str, problem: str) -> BadRequestError:
        """The error to raise about a field."""
        return BadRequestError(f"{self.at(name)}: {problem}")
