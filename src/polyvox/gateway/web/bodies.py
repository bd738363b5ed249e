"""Bodies of requests: read up to a limit, and turned into values."""

from typing import Any, TypeVar

import msgspec

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.suggestions import hint_for

__all__ = ["read_value", "too_long"]

_T = TypeVar("_T")


def read_value(body: bytes, kind: type[_T]) -> _T:
    """The value in a JSON body. Raises ``BadRequestError`` that names the field and the fix."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise BadRequestError(
            f"the body is not right: {error}", hint=_nearest(error, kind)
        ) from None
    except ConfigurationError as error:  # what a budget or a limit says of itself
        raise BadRequestError(f"the body is not right: {error.text}", hint=error.hint) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from None


def too_long(most: int) -> BadRequestError:
    """The error of a body over the limit."""
    return BadRequestError(
        f"the body is longer than {most:,} bytes",
        hint="Send less, or raise max_body_bytes in the gateway's configuration.",
        status=413,
    )


def _nearest(error: msgspec.ValidationError, kind: Any) -> str | None:
    text = str(error)
    if "unknown field" not in text:
        return None
    unknown = text.partition("`")[2].partition("`")[0]
    known = getattr(kind, "__struct_encode_fields__", ())
    return hint_for(unknown, known) if unknown and known and "`$.`" not in text else None
