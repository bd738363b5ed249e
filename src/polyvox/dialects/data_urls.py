"""Data URLs: bytes written into the JSON of a request, with their media type (RFC 2397)."""

import re
from base64 import b64decode, b64encode

from polyvox.errors import BadRequestError

__all__ = ["read_data_url", "write_data_url"]

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,(.*)", re.DOTALL)


def write_data_url(media_type: str, data: bytes) -> str:
    """The URL that holds these bytes.

    >>> write_data_url("text/plain", b"hi")
    'data:text/plain;base64,aGk='
    """
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def read_data_url(url: str, path: str) -> tuple[str, bytes]:
    """The media type ("" if it names none) and the bytes.

    Raises ``BadRequestError``, which names ``path``, if it is no such URL or not in base64.
    """
    match = _DATA_URL.fullmatch(url)
    try:
        if match:
            return match[1], b64decode(match[2], validate=True)
    except ValueError:
        pass
    raise BadRequestError(f"{path}: is no data URL in base64")
