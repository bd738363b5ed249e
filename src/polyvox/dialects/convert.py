"""Values of a request, read, and converted to the type that they should have."""

from typing import Any, TypeVar

import msgspec

from polyvox import jsontext
from polyvox.errors import BadRequestError

__all__ = ["convert", "read_object"]

_T = TypeVar("_T")

_OBJECT: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(dict[str, Any])


def read_object(body: bytes) -> dict[str, Any]:
    """The fields of a body. Raises ``BadRequestError`` for one that is no JSON object."""
    try:
        return jsontext.decode_with(_OBJECT, body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON object: {error}") from None


def convert(value: Any, type: type[_T], path: str = "") -> _T:
    """The value as this type. Raises ``BadRequestError``, which names the field below ``path``."""
    try:
        return msgspec.convert(value, type)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        where = f"{path}{place.rstrip('`')}".lstrip(".")
        raise BadRequestError(f"{where or 'the body'}: {what}") from None
