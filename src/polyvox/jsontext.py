"""JSON as it really comes: msgspec first, and what it can't take by a slower way.

Providers and models send lone UTF-16 surrogates (half an emoji cut by a token limit), which are no
Unicode text and can't be encoded again. They become U+FFFD, on the way in and on the way out.
"""

import json
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")

_ANYTHING = msgspec.json.Decoder()


def encode(value: Any) -> bytes:
    """Compact JSON, always the same bytes for the same value (dict order is kept)."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_mend(msgspec.to_builtins(value)))


def decode(data: bytes | str, type: type[_T] | Any = Any) -> _T:
    """The value, of the type asked for; integers of any size stay exact.

    Raises ``msgspec.DecodeError`` when it is no JSON, ``msgspec.ValidationError`` (a subclass) when
    it is another shape than ``type``.
    """
    return decode_with(_ANYTHING if type is Any else msgspec.json.Decoder(type), data)


def decode_with(decoder: msgspec.json.Decoder[_T], data: bytes | str) -> _T:
    """As ``decode``, with a decoder made beforehand: the way for whatever is read often."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise msgspec.DecodeError("the JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        mended = _mended_text(data)
        if mended is None:
            raise msgspec.DecodeError(str(error)) from None
        return decoder.decode(mended)


def _mended_text(data: bytes | str) -> bytes | None:
    """The same JSON without what msgspec can't read but a lenient reader can, or None."""
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    try:
        return msgspec.json.encode(_mend(json.loads(text, parse_constant=_refuse)))
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _mend(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_mend(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {_mend(key): _mend(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value
