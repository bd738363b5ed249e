"""Errors as a caller of the gateway is to see them.

What is wrong between the gateway and a provider (a key that is refused, a name that the configuration
gets wrong, a server that is away) is not the caller's to mend, and must not look as if their key were bad.
Nor is it theirs to know at which addresses we ask. Whoever runs the gateway finds in its log what is.
"""

import logging
from collections.abc import Callable
from math import ceil
from typing import TypeAlias

from msgspec.structs import replace

from polyvox.dialects.errors import ADVISED
from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ConfigurationError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    PolyvoxError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.gateway.journal.reasons import Reasons
from polyvox.request import Request

__all__ = ["as_told", "check_options", "no_model", "refusal", "status_of"]

_LITELLM = "litellm"

Encode: TypeAlias = Callable[[PolyvoxError], tuple[int, bytes]]
"""Writes an error: status and body."""

_CONNECTIONS = (NetworkError, RequestTimeoutError)
_OURS_TO_MEND = (AuthenticationError, PermissionDeniedError)

_log = logging.getLogger(__name__)
_reasons = Reasons()


def as_told(error: PolyvoxError) -> PolyvoxError:
    """The error for the caller; one of a provider's door becomes the gateway's own failure.

    The log then has the reason, and what to do: each provider's so many times a minute. A connection
    that fails is named by the provider alone; the reason is in the request's own line of the log.
    """
    if error.provider and error.status is None and isinstance(error, _CONNECTIONS):
        return _unreached(error, error.provider)
    if _is_ours_to_mend(error):
        who = error.provider or "its configuration"
        extra = {"repeats_of": (who, error.kind)}
        _log.warning("can't ask for a caller: %s", _why(error), extra=extra)
        told = ServerError(
            f"the gateway can't ask for you: {who} refuses it ({error.kind})",
            hint="Whoever runs the gateway finds the reason in its log.",
            status=502,
        )
        told.message, told.attempts, told.retryable = error.message, error.attempts, False
        told.__cause__ = error
        return told
    return error


def _is_ours_to_mend(error: PolyvoxError) -> bool:
    if isinstance(
        error, BudgetExceededError
    ):  # of a provider that is a gateway too, not of our file
        return bool(error.provider) and error.status is not None
    return isinstance(error, ConfigurationError) or (
        bool(error.provider) and isinstance(error, _OURS_TO_MEND)
    )


def _unreached(error: NetworkError | RequestTimeoutError, who: str) -> PolyvoxError:
    """The same error, without the address."""
    if isinstance(error, NetworkError):
        told: PolyvoxError = NetworkError(f"the connection to {who} failed")
    elif error.phase == "connect":
        told = RequestTimeoutError(f"no connection to {who} in time", phase="connect")
    else:
        return error
    told.provider, told.model, told.__cause__ = error.provider, error.model, error
    told.attempts, told.retryable = error.attempts, error.retryable
    if error.message is not None:
        told.message = replace(error.message, error=told.text)
    return told


def _why(error: PolyvoxError) -> str:
    """Whom it is about, what happened and what to do, without what a provider says of it."""
    who = "/".join(part for part in (error.provider, error.model) if part)
    answer = None if error.status is None else f"{error.kind} ({error.status})"
    said = [who, answer, _reasons.of(error) or (None if answer else error.kind)]
    told = ": ".join(part for part in said if part)
    return f"{told}. {error.hint}" if error.hint else told


def refusal(error: PolyvoxError, encode: Encode) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers of the answer that tells the error, in the words of ``encode``."""
    error = as_told(error)
    written, body = encode(error)
    status = status_of(error, written)
    headers = {"content-type": "application/json"}
    if error.hint:
        headers[ADVISED] = error.kind
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, ceil(error.retry_after)))
        headers["retry-after-ms"] = str(
            ceil(error.retry_after * 1000)
        )  # the SDKs look at this first
    if (
        status >= 500 and not error.retryable
    ):  # else SDKs ask twice more after any failure of a server
        headers["x-should-retry"] = "false"
    if status == 413:
        headers["connection"] = "close"  # the rest of the body is not wanted
    return status, body, headers


def status_of(error: PolyvoxError, written: int) -> int:
    """The HTTP status: the one that the gateway gave it, else the one that the dialect writes.

    That something is too long is told by its own status, whoever says so.
    """
    ours = not error.provider or error.status == 413
    return error.status if ours and error.status is not None else written


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
