"""Errors as OpenAI and its likes tell them, in all its formats: the many shapes read, its own written.

Sources: "Error codes" in OpenAI's API documentation; "Errors and Debugging" in OpenRouter's, whose
``metadata.raw`` holds what the provider behind it said.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects.errors import snippet, status_error, telling, with_hint
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ContentFilterError,
    ContextWindowExceededError,
    InvalidAnswerError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    UnknownPriceError,
)

_WRITTEN: tuple[tuple[type[PolyvoxError], int, str, str | None], ...] = (
    (ContextWindowExceededError, 400, "invalid_request_error", "context_length_exceeded"),
    (BadRequestError, 400, "invalid_request_error", None),
    (ContentFilterError, 400, "invalid_request_error", "content_filter"),
    (AuthenticationError, 401, "authentication_error", "invalid_api_key"),
    (UnknownPriceError, 403, "permission_error", "unknown_price"),
    (BudgetExceededError, 402, "billing_error", "budget_exceeded"),
    (PermissionDeniedError, 403, "permission_error", None),
    (NotFoundError, 404, "not_found_error", "model_not_found"),
    (RequestTimeoutError, 504, "timeout_error", "timeout"),
    (RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
    (AbortedError, 499, "aborted_error", "aborted"),
    (NetworkError, 502, "server_error", "upstream_unreachable"),
    (ProtocolError, 502, "server_error", "upstream_protocol_error"),
    (InvalidAnswerError, 502, "server_error", "invalid_answer"),
    (OverloadedError, 503, "overloaded_error", "overloaded"),
    (PolyvoxError, 500, "server_error", None),
)
"""Status, type and code of each class; the first that fits holds."""


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> PolyvoxError:
    """The error of an answer with this status and body."""
    try:
        value: Any = jsontext.decode(body)  # pyright: ignore[reportUnknownVariableType]
    except (msgspec.DecodeError, RecursionError):
        return status_error(status, headers, snippet(body))
    if isinstance(value, list) and value:  # Gemini wraps it in a list
        value = value[0]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict) and value.get("error"):  # pyright: ignore[reportUnknownMemberType]
        value = value["error"]  # pyright: ignore[reportUnknownVariableType]
    text, code = read_error(value)  # pyright: ignore[reportUnknownArgumentType]
    return status_error(status, headers, text or snippet(body), code=code)


def read_error(value: Any) -> tuple[str, str | None]:
    """The text and the code of an error object, in any of its shapes; "" and None if it has none.

    >>> read_error({"message": "Slow down.", "type": "rate_limit_error", "code": None})
    ('Slow down.', 'rate_limit_error')
    >>> read_error("no such model")
    ('no such model', None)
    """
    if not isinstance(value, dict):
        return (value if isinstance(value, str) else ""), None
    fields: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
    said = next((fields[key] for key in ("message", "detail", "error") if fields.get(key)), "")
    text = said if isinstance(said, str) else jsontext.encode(said).decode()
    match fields.get("metadata"):
        case {"raw": str(raw)} if raw and raw not in text:
            text = f"{text}: {snippet(raw.encode(errors='replace'), 1000)}"
        case _:
            pass
    words = [fields.get(key) for key in ("code", "type", "status")]
    return text, telling([str(word) for word in words if isinstance(word, str | int) and word])


def encode_error(error: PolyvoxError, *, of_model: bool = True) -> tuple[int, bytes]:
    """Status and body of an error answer; the body is also that of an error frame in a stream.

    ``of_model``: whether what is not found would be a model; the code says so.
    """
    status, kind, code = next(row[1:] for row in _WRITTEN if isinstance(error, row[0]))
    if isinstance(error, NotFoundError) and not of_model:
        code = None
    if isinstance(error, RateLimitError) and not error.retryable:
        kind = code = "insufficient_quota"
    text = with_hint(error)
    fields = {"message": text, "type": kind, "param": None, "code": code}
    return status, jsontext.encode({"error": fields})
