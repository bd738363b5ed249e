"""Errors that come as a chunk or a whole answer, in spite of a good status."""

from typing import Any

from polyvox.dialects.errors import status_error
from polyvox.dialects.openai_chat.wire import Chunk
from polyvox.dialects.openai_errors import read_error
from polyvox.errors import PolyvoxError


def chunk_error(chunk: Chunk) -> PolyvoxError | None:
    """The error that a frame or a whole answer holds in spite of its good status, if any."""
    value: Any = chunk.error
    if (
        not value
        and chunk.choices is None
        and (chunk.object == "error" or chunk.message or chunk.detail)
    ):
        value = {
            "message": chunk.message,
            "detail": chunk.detail,
            "code": chunk.code,
            "type": chunk.type,
        }
    if not value:
        return None
    text, code = read_error(value)
    return status_error(200, {}, text or "the provider sent an error without a text", code=code)
