"""Errors on the wire: ``{"error": "text"}``, as an answer of its own or as the last line of a stream.

Source: "Errors" in Ollama's API documentation.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.errors import snippet, status_error, with_hint
from polyvox.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    NotFoundError,
    PolyvoxError,
)


class _Body(msgspec.Struct):
    error: Any = None


_STATUS: dict[str, int] = {
    "bad_request": 400,
    "context_window_exceeded": 400,
    "content_filter": 400,
    "authentication": 401,
    "missing_key": 401,
    "budget_exceeded": 402,
    "permission_denied": 403,
    "unknown_price": 403,
    "not_found": 404,
    "rate_limit": 429,
    "aborted": 499,
    "network": 502,
    "protocol": 502,
    "overloaded": 503,
    "timeout": 504,
}
_TOO_LONG = "prompt too long"  # by these words clients know it from other bad requests
_NO_MODEL = re.compile(r"model ['\"]([^'\"]+)['\"] not found")


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> PolyvoxError:
    """The error of an answer with this status and body."""
    try:
        said = jsontext.decode(body, _Body).error
    except (msgspec.DecodeError, RecursionError):
        said = None
    return _advised(status_error(status, headers, _text(said) if said else snippet(body)))


def line_error(said: Any) -> PolyvoxError:
    """The error that stands in the place of an answer, or in the middle of one."""
    return _advised(status_error(200, {}, _text(said)))


def _text(said: Any) -> str:
    """What it says; proxies put an object there, as OpenAI does."""
    match said:
        case str(text) | {"message": str(text)}:
            return text
        case _:
            return jsontext.encode(said).decode()


def _advised(error: PolyvoxError) -> PolyvoxError:
    if error.hint == "":  # the text says it
        return error
    missing = _NO_MODEL.search(error.text)
    if missing and isinstance(error, NotFoundError):
        error.hint = f"Get it with 'ollama pull {missing[1]}'."
    elif isinstance(error, AuthenticationError):
        error.hint = "Sign in with 'ollama signin', or set OLLAMA_API_KEY."
    return error


def encode_error(error: PolyvoxError) -> tuple[int, bytes]:
    """Status and body of an error answer; the body is also the last line of a failed stream."""
    text = with_hint(error)
    if isinstance(error, ContextWindowExceededError) and _TOO_LONG not in text.lower():
        text = f"{_TOO_LONG}: {text}"
    return _STATUS.get(error.kind, 500), jsontext.encode({"error": text})
