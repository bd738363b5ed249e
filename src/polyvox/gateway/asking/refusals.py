"""Errors as a caller of the gateway is to see them.

What is wrong between the gateway and a provider (a key that is refused, a name that the configuration
gets wrong) is not the caller's to mend, and must not look as if their key were bad. Whoever runs the
gateway finds in its log what is.
"""

import logging
from collections.abc import Callable
from math import ceil
from typing import TypeAlias

from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    PolyvoxError,
    ServerError,
)
from polyvox.request import Request

__all__ = ["as_told", "check_options", "no_model", "refusal", "status_of"]

_LITELLM = "litellm"

Encode: TypeAlias = Callable[[PolyvoxError], tuple[int, bytes]]
"""Writes an error: status and body."""

_OURS_TO_MEND = (AuthenticationError, PermissionDeniedError, ConfigurationError)

_log = logging.getLogger(__name__)


def as_told(error: PolyvoxError) -> PolyvoxError:
    """The error for the caller; one of a provider's door becomes the gateway's own failure.

    The log then has the reason, and what to do: each provider's so many times a minute.
    """
    if isinstance(error, _OURS_TO_MEND) and (
        error.provider or isinstance(error, ConfigurationError)
    ):
        who = error.provider or "its configuration"
        why = str(error).replace("\n", ". ")
        _log.warning("can't ask for a caller: %s", why, extra={"repeats_of": (who, error.kind)})
        told = ServerError(
            f"the gateway can't ask for you: {who} refuses it ({error.kind})",
            hint="Whoever runs the gateway finds the reason in its log.",
            status=502,
        )
        told.message, told.attempts, told.retryable = error.message, error.attempts, False
        return told
    return error


def refusal(error: PolyvoxError, encode: Encode) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of the answer that tells the error, in the words of ``encode``."""
    error = as_told(error)
    written, body = encode(error)
    status = status_of(error, written)
    headers = {"content-type": "application/json"}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, ceil(error.retry_after)))
    if (
        status >= 500 and not error.retryable
    ):  # else SDKs ask twice more after any failure of a server
        headers["x-should-retry"] = "false"
    if status == 413:
        headers["connection"] = "close"  # the rest of the body is not wanted
    return status, body, headers


def status_of(error: PolyvoxError, written: int) -> int:
    """The HTTP status: the one that the gateway gave it, else the one that the dialect writes."""
    return written if error.provider or error.status is None else error.status


def no_model(name: str, hint: str | None) -> PolyvoxError:
    """The error of a name that is not offered."""
    if not name:
        return BadRequestError("the request names no model", hint='Say "model": "<name>".')
    return NotFoundError(f"the gateway has no model {name!r}", hint=hint)


def check_options(request: Request) -> None:
    """Raises ``BadRequestError`` for options that would say whom the gateway asks, and with which key.

    Those of other providers are fields of a body; LiteLLM's are its arguments, an address among them.
    """
    if _LITELLM in request.options:
        raise BadRequestError(
            f"options.{_LITELLM} can't be said in a call",
            hint="Whoever runs the gateway can say them under [templates] in its configuration.",
        )
