"""Reading a JSON object field by field, so that an error names the field and nothing gets lost."""

from typing import Any, Self, TypeAlias, TypeVar, cast, overload

import msgspec

from polyvox import jsontext
from polyvox.errors import BadRequestError

__all__ = ["Fields"]

_T = TypeVar("_T")
Json: TypeAlias = dict[str, Any]


class Fields:
    """An object of a request; what is taken from it is gone, and ``rest`` is what nobody took.

    ``place`` is where it stands, such as "messages[2].content[0]". Null is the same as not there.
    All methods raise ``BadRequestError`` for what is not as it must be.
    """

    integers_as_text = False
    """Whether an integer may be written as a string."""
    one_for_list = False
    """Whether a single object may stand for a list of one."""

    def __init__(self, value: Any, place: str = "") -> None:
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise BadRequestError(f"{place or 'the body'}: must be an object, not {kind}")
        values = cast(Json, value)
        self.rest: Json = {
            self.named(key): each for key, each in values.items() if each is not None
        }
        self._place = place

    @staticmethod
    def named(key: str) -> str:
        """The name that a key of the object stands for."""
        return key

    @classmethod
    def parse(cls, body: bytes) -> Self:
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
            lax = self.integers_as_text and kind is int
            return msgspec.convert(self.rest.pop(name), kind, strict=not lax)
        except msgspec.ValidationError as error:
            raise self.wrong(name, str(error)) from None

    def take_any(self, name: str) -> Any:
        """The field's value as it is, or None."""
        return self.rest.pop(name, None)

    def take_object(self, name: str) -> Self | None:
        """The field as an object of its own, or None."""
        value = self.take_any(name)
        return None if value is None else type(self)(value, self.at(name))

    def take_list(self, name: str) -> list[Self]:
        """The field as a list of objects; empty when it is not there."""
        if self.one_for_list and not isinstance(self.rest.get(name, []), list):
            self.rest[name] = [self.rest[name]]
        values = self.take(name, list[Any], [])
        return [type(self)(value, f"{self.at(name)}[{i}]") for i, value in enumerate(values)]

    def at(self, name: str) -> str:
        """The place of a field of this object."""
        return f"{self._place}.{name}" if self._place else name

    def wrong(self, name: str, problem: str) -> BadRequestError:
        """The error to raise about a field."""
        return BadRequestError(f"{self.at(name)}: {problem}")
