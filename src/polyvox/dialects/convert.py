"""Values of a request, converted to the type that they should have."""

from typing import Any, TypeVar

import msgspec

from polyvox.errors import BadRequestError

__all__ = ["convert"]

_T = TypeVar("_T")


def convert(value: Any, type: type[_T], path: str = "") -> _T:
    """The value as this type. Raises ``BadRequestError``, which names the field below ``path``."""
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        where = f"{path}{place.rstrip('`')}".lstrip(".")
        raise BadRequestError(f"{where or 'the body'}: {what}") from None
