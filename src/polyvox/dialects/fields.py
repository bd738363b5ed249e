"""Reading a JSON object field by field, so that an error names the field and nothing gets lost."""

from typing import Any, Self, TypeAlias, TypeVar, cast, overload

import msgspec

from polyvox import jsontext
from polyvox.errors import BadRequestError

__all__ = ["Fields", "texts_in"]

_T = TypeVar("_T")
Json: TypeAlias = dict[str, Any]


class Fields:
    """An object of a request; what is taken from it is gone, and ``rest`` is what nobody took.

    ``place`` is where it stands, such as "messages[2].content[0]", or the object that it stands in,
    with the name there, and its number in a list. Null is the same as not there.
    All methods raise ``BadRequestError`` for what is not as it must be.
    """

    integers_as_text = False
    """Whether an integer may be written as a string."""
    one_for_list = False
    """Whether a single object may stand for a list of one."""

    def __init__(self, value: Any, place: "str | tuple[Fields, str, int | None]" = "") -> None:
        self._place = place  # told in words only where something is wrong
        fields: Json = value
        if not isinstance(value, dict):
            kind = type(value).__name__
            raise BadRequestError(f"{self._where() or 'the body'}: must be an object, not {kind}")
        self.rest = fields.copy()
        if None in fields.values():
            self.rest = {name: each for name, each in fields.items() if each is not None}

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
        value: Any = self.rest.pop(name, None)
        if type(value) is kind:
            return value
        if value is None:
            if default is ...:
                raise self.wrong(name, "is missing")
            return default
        if isinstance(value, dict) and kind == Json:
            return cast(Any, value)
        try:
            lax = self.integers_as_text and kind is int
            return msgspec.convert(value, kind, strict=not lax)
        except msgspec.ValidationError as error:
            raise self.wrong(name, str(error)) from None

    def take_any(self, name: str) -> Any:
        """The field's value as it is, or None."""
        return self.rest.pop(name, None)

    def take_object(self, name: str) -> Self | None:
        """The field as an object of its own, or None."""
        value = self.rest.pop(name, None)
        return None if value is None else type(self)(value, (self, name, None))

    def take_list(self, name: str) -> list[Self]:
        """The field as a list of objects; empty when it is not there."""
        values: Any = self.rest.get(name)
        if values is None:
            return []
        if type(values) is not list:  # taking it as a list says what is wrong
            values = [values] if self.one_for_list else self.take(name, list[Any])
        del self.rest[name]
        return self.each(name, cast(list[Any], values))

    def each(self, name: str, values: list[Any]) -> list[Self]:
        """These values of the field as objects."""
        make = type(self)
        return [make(value, (self, name, index)) for index, value in enumerate(values)]

    def at(self, name: str) -> str:
        """The place of a field of this object."""
        where = self._where()
        return f"{where}.{name}" if where else name

    def _where(self) -> str:
        if isinstance(self._place, str):
            return self._place
        owner, name, index = self._place
        return owner.at(name) if index is None else f"{owner.at(name)}[{index}]"

    def wrong(self, name: str, problem: str) -> BadRequestError:
        """The error to raise about a field."""
        return BadRequestError(f"{self.at(name)}: {problem}")


def texts_in(value: Any, beside: Json) -> list[str] | None:
    """The texts in a list of objects that each hold a ``text`` and what stands ``beside`` it; else None.

    >>> texts_in([{"type": "text", "text": "Hi"}], {"type": "text"})
    ['Hi']
    """
    if not isinstance(value, list):
        return None
    texts: list[str] = []
    for each in cast(list[Any], value):
        if not isinstance(each, dict):
            return None
        fields = cast(Json, each)
        text = fields.get("text")
        if type(text) is not str or len(fields) != 1 + len(beside):
            return None
        if not beside.items() <= fields.items():
            return None
        texts.append(text)
    return texts
