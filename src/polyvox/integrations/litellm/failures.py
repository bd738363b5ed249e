"""Our errors as LiteLLM's exceptions, which programs catch and by whose status its proxy answers.

Source: "Exception Mapping" in LiteLLM's documentation. Of the classes with a response only the header
"retry-after" is of use, to those who wait for it.
"""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from polyvox import errors

__all__ = ["raising"]

_PROVIDER = "composite"

_CLASSES: dict[type[errors.PolyvoxError], str] = {
    errors.ContextWindowExceededError: "ContextWindowExceededError",
    errors.BadRequestError: "BadRequestError",
    errors.ConfigurationError: "BadRequestError",
    errors.AuthenticationError: "AuthenticationError",
    errors.PermissionDeniedError: "PermissionDeniedError",
    errors.BudgetExceededError: "PermissionDeniedError",  # asking again is of no use
    errors.NotFoundError: "NotFoundError",
    errors.ContentFilterError: "ContentPolicyViolationError",
    errors.RateLimitError: "RateLimitError",
    errors.OverloadedError: "ServiceUnavailableError",
    errors.RequestTimeoutError: "Timeout",
    errors.NetworkError: "APIConnectionError",
}
"""LiteLLM's word for each of ours; a class stands before those that it is a kind of."""
_OTHERWISE = "InternalServerError"

_STATUS = {
    "PermissionDeniedError": 403,
    "RateLimitError": 429,
    "ServiceUnavailableError": 503,
}
"""Classes that are given a response."""


@contextmanager
def raising(model: str) -> Generator[None]:
    """Around all that is done for LiteLLM: what we raise becomes its own, with ours as the cause."""
    try:
        yield
    except errors.PolyvoxError as error:
        raise _translated(error, model) from error


def _translated(error: errors.PolyvoxError, model: str) -> Exception:
    litellm: Any = import_module("litellm")
    name = next((word for kind, word in _CLASSES.items() if isinstance(error, kind)), _OTHERWISE)
    about: dict[str, Any] = {"model": model, "llm_provider": _PROVIDER}
    if name in _STATUS:
        about["response"] = _response(_STATUS[name], error.retry_after)
    return getattr(litellm, name)(str(error), **about)


def _response(status: int, retry_after: float | None) -> Any:
    httpx: Any = import_module("httpx")
    headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
    return httpx.Response(status, headers=headers, request=httpx.Request("POST", "http://polyvox"))
