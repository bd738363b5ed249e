"""Errors in the format's own words, in both directions.

From the page "Errors" of Anthropic's API documentation. What a word means is data that all dialects
share: see ``polyvox.dialects.errors``.
"""

from collections.abc import Mapping

import msgspec

from polyvox import jsontext
from polyvox.dialects.anthropic_messages.wire import ErrorFrame, Json
from polyvox.dialects.errors import snippet, status_error, with_hint
from polyvox.errors import ContextWindowExceededError, PolyvoxError

__all__ = ["encode_error", "frame_error", "read_error"]

_WORDS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "invalid_request_error"),
    "context_window_exceeded": (400, "invalid_request_error"),
    "content_filter": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "missing_key": (401, "authentication_error"),
    "budget_exceeded": (402, "billing_error"),
    "permission_denied": (403, "permission_error"),
    "unknown_price": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "rate_limit": (429, "rate_limit_error"),
    "network": (502, "api_error"),
    "protocol": (502, "api_error"),
    "timeout": (504, "timeout_error"),
    "overloaded": (529, "overloaded_error"),
}
_OTHER = (500, "api_error")

_TOO_LONG = "prompt is too long"  # by these words clients know it from other bad requests


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> PolyvoxError:
    """The error that an answer with this status means. Header names are lower-case."""
    try:
        frame = jsontext.decode(body, ErrorFrame)
    except (msgspec.DecodeError, RecursionError):
        return status_error(status, headers, snippet(body))
    return _error(status, headers, frame)


def frame_error(frame: ErrorFrame) -> PolyvoxError:
    """The error that came in the place of an answer, or in the middle of one."""
    return _error(200, {}, frame)


def encode_error(error: PolyvoxError) -> tuple[int, bytes]:
    """Status and body of an error answer; a stream's error event has the same body."""
    status, word = _WORDS.get(error.kind, _OTHER)
    text = with_hint(error)
    if isinstance(error, ContextWindowExceededError) and _TOO_LONG not in text.lower():
        text = f"{_TOO_LONG}: {text}"
    said: Json = {"type": word, "message": text}
    body: Json = {"type": "error", "error": said, "request_id": error.request_id}
    return status, jsontext.encode(body)


def _error(status: int, headers: Mapping[str, str], frame: ErrorFrame) -> PolyvoxError:
    said = frame.error
    text = said.message or said.type or "the provider failed"
    error = status_error(status, headers, text, code=said.type or None)
    error.request_id = frame.request_id or error.request_id
    return error
