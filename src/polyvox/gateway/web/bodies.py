"""Bodies of requests: read up to a limit, and turned into values."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.gateway.web.patterns import in_words
from polyvox.suggestions import hint_for

__all__ = ["nearest_field", "read_value", "too_long", "value_of"]

_T = TypeVar("_T")

_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at `\$(.*)`)?")
_STEP = re.compile(r"\.(\w+)|\[[^]]*\]")


def read_value(body: bytes, kind: type[_T]) -> _T:
    """The value in a JSON body. Raises ``BadRequestError`` that names the field and the fix."""
    with _told(kind):
        return msgspec.json.decode(body or b"{}", type=kind)


def value_of(said: Any, kind: type[_T]) -> _T:
    """The value that plain JSON values mean. Raises as ``read_value`` does."""
    with _told(kind):
        return msgspec.convert(said, kind)


@contextmanager
def _told(kind: Any) -> Generator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        raise BadRequestError(
            f"the body is not right: {in_words(str(error))}", hint=nearest_field(error, kind)
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


def nearest_field(error: Exception, kind: Any) -> str | None:
    """Which field of this struct was probably meant, if the error is that there is none of that name."""
    unknown = _UNKNOWN.search(str(error))
    if unknown is None:
        return None
    fields = _fields(inspect.type_info(kind), _STEP.findall(unknown[2] or ""))
    return hint_for(unknown[1], fields) if fields else None


def _fields(kind: inspect.Type, path: list[str]) -> list[str]:
    """The fields at the end of the path, of which a step is a field, or "" for what a list or dict holds."""
    match kind:
        case inspect.UnionType(types=kinds):
            return [name for each in kinds for name in _fields(each, path)]
        case inspect.StructType(fields=fields) if path:
            below = [field.type for field in fields if field.encode_name == path[0]]
            return [name for each in below for name in _fields(each, path[1:])]
        case inspect.StructType(fields=fields):
            return [field.encode_name for field in fields]
        case inspect.DictType(value_type=below) | inspect.ListType(item_type=below) if path:
            return _fields(below, path[1:])
        case _:
            return []
