"""Errors in the format's own words, in both directions.

From "Troubleshooting" and "Rate limits" in the Gemini API documentation, and "Errors" in the Google
Cloud API design guide (AIP-193): a ``google.rpc.Status`` with details such as ``RetryInfo``,
``ErrorInfo`` and ``QuotaFailure``.
"""

import re
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from polyvox import jsontext
from polyvox.dialects.errors import snippet, status_error, with_hint
from polyvox.dialects.gemini.wire import Json
from polyvox.errors import (
    AuthenticationError,
    ContextWindowExceededError,
    PolyvoxError,
    RateLimitError,
)

__all__ = ["error_body", "read_error", "told_error"]

_TYPES = "type.googleapis.com/google.rpc."

_WORDS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "INVALID_ARGUMENT"),
    "context_window_exceeded": (400, "INVALID_ARGUMENT"),
    "content_filter": (400, "FAILED_PRECONDITION"),
    "authentication": (401, "UNAUTHENTICATED"),
    "missing_key": (401, "UNAUTHENTICATED"),
    "permission_denied": (403, "PERMISSION_DENIED"),
    "unknown_price": (403, "PERMISSION_DENIED"),
    "budget_exceeded": (402, "RESOURCE_EXHAUSTED"),
    "not_found": (404, "NOT_FOUND"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "aborted": (499, "CANCELLED"),
    "overloaded": (503, "UNAVAILABLE"),
    "network": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
}
_OTHER = (500, "INTERNAL")
_STATUSES = {word: status for status, word in (*_WORDS.values(), _OTHER)}

_TOO_LONG = "exceeds the maximum number of tokens allowed"  # clients know it by these words
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> PolyvoxError:
    """The error that an answer with this status means. Header names are lower-case."""
    try:
        value = cast(Any, jsontext.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return status_error(status, headers, snippet(body))
    if isinstance(value, list) and value:  # the form that a stream without alt=sse has
        value = cast(list[Any], value)[0]
    said = cast(Json, value).get("error") if isinstance(value, dict) else None
    if said is None:
        return status_error(status, headers, snippet(body))
    return told_error(said, status, headers)


def told_error(
    said: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> PolyvoxError:
    """The error that an ``error`` object tells; inside a stream its own code stands for the status."""
    fields = cast(Json, said if isinstance(said, dict) else {"message": str(said)})
    word, code = fields.get("status"), fields.get("code")
    if status < 300:
        known = _STATUSES.get(str(word), status)
        status = code if isinstance(code, int) and 300 <= code < 600 else known
    text = fields.get("message")
    text = text if isinstance(text, str) and text else f"the provider failed with {word or code}"
    error = status_error(status, headers or {}, text, code=word if isinstance(word, str) else None)
    return _detailed(error, _details(fields))


def _details(fields: Json) -> dict[str, Json]:
    """The details by the last word of their type."""
    given = fields.get("details")
    listed = cast(list[Any], given) if isinstance(given, list) else []
    details = [cast(Json, each) for each in listed if isinstance(each, dict)]
    return {str(each.get("@type", "")).rpartition(".")[2]: each for each in details}


def _detailed(error: PolyvoxError, details: dict[str, Json]) -> PolyvoxError:
    """The error with what its details say beyond its status."""
    reason = details.get("ErrorInfo", {}).get("reason")
    if reason == "API_KEY_INVALID" and not isinstance(error, AuthenticationError):
        error = _as(AuthenticationError, error)
        error.hint = "Check the key given for this provider."
    if reason:
        error.provider_code = str(reason)
    wait = _SECONDS.fullmatch(str(details.get("RetryInfo", {}).get("retryDelay", "")))
    if wait and isinstance(error, RateLimitError):
        # "Exceeded your current quota" is said of a minute's quota too; then waiting does help.
        error.retryable = not _is_daily(details.get("QuotaFailure", {}))
        error.hint = None if error.retryable else error.hint
    if wait:
        error.retry_after = float(wait[1])
    return error


def _is_daily(failure: Json) -> bool:
    return "PerDay" in jsontext.encode(failure.get("violations", [])).decode()


def _as(cls: type[PolyvoxError], error: PolyvoxError) -> PolyvoxError:
    other = cls(error.text, status=error.status, provider_code=error.provider_code)
    other.request_id, other.retry_after = error.request_id, error.retry_after
    return other


def error_body(error: PolyvoxError) -> tuple[int, Json]:
    """Status and body of an error answer; a stream's error frame has the same body."""
    status, word = _WORDS.get(error.kind, _OTHER)
    text = with_hint(error)
    if isinstance(error, ContextWindowExceededError) and _TOO_LONG not in text.lower():
        text = f"The input token count {_TOO_LONG}: {text}"
    said: Json = {"code": status, "message": text, "status": word}
    details: list[Json] = []
    if isinstance(error, RateLimitError) and error.retry_after is not None:
        details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{error.retry_after:g}s"})
    if isinstance(error, AuthenticationError):
        info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        details.append({"@type": f"{_TYPES}ErrorInfo", **info})
    if details:
        said["details"] = details
    return status, {"error": said}
