"""Errors in the format's own words, in both directions.

From the sections "Errors" of the pages "Converse" and "ConverseStream" of the Amazon Bedrock API
reference, "Common errors" there, and "Troubleshooting Amazon Bedrock API error codes" in the user
guide. An error is named in the header ``x-amzn-errortype`` or in the body; some names say more than
the status does.
"""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

from polyvox import jsontext
from polyvox.dialects.bedrock_converse.wire import Json
from polyvox.dialects.errors import snippet, status_error, with_hint
from polyvox.errors import ContextWindowExceededError, PolyvoxError

__all__ = ["encode_error", "exception_frame", "frame_error", "read_error"]

_STATUSES = {
    "validationexception": 400,
    "accessdeniedexception": 403,
    "resourcenotfoundexception": 404,
    "modeltimeoutexception": 408,
    "throttlingexception": 429,
    "internalserverexception": 500,
    "serviceunavailableexception": 503,
    # The model failed, and asking again may help; their own status, 424, is a bad request's.
    "modelerrorexception": 500,
    "modelstreamerrorexception": 500,
    # It is still being loaded.
    "modelnotreadyexception": 503,
    "servicequotaexceededexception": 429,
    # Credentials that are wrong, not ones that may not.
    "unrecognizedclientexception": 401,
    "invalidsignatureexception": 401,
    "incompletesignatureexception": 401,
    "invalidclienttokenid": 401,
    "expiredtokenexception": 401,
    "missingauthenticationtokenexception": 401,
}
"""The status that an error's name stands for."""

_WORDS: dict[str, tuple[int, str]] = {
    "bad_request": (400, "ValidationException"),
    "context_window_exceeded": (400, "ValidationException"),
    "content_filter": (400, "ValidationException"),
    "authentication": (401, "UnrecognizedClientException"),
    "missing_key": (401, "MissingAuthenticationTokenException"),
    "permission_denied": (403, "AccessDeniedException"),
    "unknown_price": (403, "AccessDeniedException"),
    "budget_exceeded": (403, "AccessDeniedException"),
    "not_found": (404, "ResourceNotFoundException"),
    "timeout": (408, "ModelTimeoutException"),
    "network": (424, "ModelErrorException"),
    "protocol": (424, "ModelErrorException"),
    "rate_limit": (429, "ThrottlingException"),
    "overloaded": (503, "ServiceUnavailableException"),
}
_OTHER = (500, "InternalServerException")

_IN_STREAM = {
    "ThrottlingException": "throttlingException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ModelErrorException": "modelStreamErrorException",
    "ModelTimeoutException": "modelStreamErrorException",
    "InternalServerException": "internalServerException",
}
"""The names that a stream has for them; for all others it has ``validationException``."""

_TOO_LONG = "input is too long"  # by these words clients know it from other bad requests
_SIGNED = "The Canonical String for this request"  # it quotes the request with its session token


def read_error(status: int, headers: Mapping[str, str], body: bytes) -> PolyvoxError:
    """The error that an answer with this status means. Header names are lower-case."""
    fields = _fields(body)
    # "ThrottlingException:http://..." or "com.amazon.coral#ThrottlingException"
    told = headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code")
    name = str(told or "").partition(":")[0].rpartition("#")[2]
    return _error(status, headers, name, fields, body)


def frame_error(name: str, body: bytes) -> PolyvoxError:
    """The error that a message of a stream tells, which has its name."""
    fields = _fields(body)
    name = str(fields.get("code") or "") if name == "error" else name
    return _error(200, {}, name, fields, body)


def encode_error(error: PolyvoxError) -> tuple[int, bytes]:
    """Status and body of an error answer."""
    status, name = _WORDS.get(error.kind, _OTHER)
    return status, jsontext.encode({"message": _told(error), "__type": name})


def exception_frame(error: PolyvoxError) -> tuple[str, Json]:
    """Name and body of the exception that ends a stream."""
    name = _WORDS.get(error.kind, _OTHER)[1]
    return _IN_STREAM.get(name, "validationException"), {"message": _told(error)}


def _told(error: PolyvoxError) -> str:
    text = with_hint(error)
    if isinstance(error, ContextWindowExceededError) and _TOO_LONG not in text.lower():
        return f"Input is too long for requested model: {text}"
    return text


def _error(
    status: int, headers: Mapping[str, str], name: str, fields: Json, body: bytes
) -> PolyvoxError:
    said: Any = fields.get("message") or fields.get("Message")
    text = said.partition(_SIGNED)[0].strip() if isinstance(said, str) else snippet(body)
    text = text or name or f"HTTP status {status}"
    error = status_error(_STATUSES.get(name.lower(), status), headers, text, code=name or None)
    error.status = status if status >= 300 else None
    return error


def _fields(body: bytes) -> Json:
    try:
        value = cast(Any, jsontext.decode(body))
    except (msgspec.DecodeError, RecursionError):
        return {}
    return cast(Json, value) if isinstance(value, dict) else {}
