"""LiteLLM's exceptions, as our errors.

LiteLLM sorts every failure into classes named after OpenAI's ("Exception Mapping" in its
documentation). They are a good word for what a provider answered, a poor one for what went wrong on
the way: a refused connection, broken JSON and a missing package are all "APIConnectionError" or
"InternalServerError", so for those the chain of causes decides.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from polyvox import jsontext
from polyvox.dialects import get_dialect
from polyvox.dialects.errors import request_id
from polyvox.errors import (
    BudgetExceededError,
    ConfigurationError,
    MissingKeyError,
    NetworkError,
    PolyvoxError,
    ProtocolError,
    RequestTimeoutError,
)
from polyvox.secret import Secret

_PREFIX = re.compile(r"\A(?:(?:litellm\.)?\w*(?:Error|Exception|Timeout)(?:: | - |\. ))+")
_SUFFIX = re.compile(
    r"(?:\.? (?:Handle with `litellm\.|Original exception: )|\s+This looks like a bug in LiteLLM).*\Z",
    re.DOTALL,
)
_OBJECT = re.compile(r" ssl:<[^>]*>")
_JSON = re.compile(r"\A(?:b')?(\{.*\})'?\Z", re.DOTALL)
_NO_KEY = re.compile(
    r"missing credentials|missing .{0,40}api key|api_key client option", re.IGNORECASE
)
_CARRIERS = frozenset({"httpx", "httpcore", "aiohttp", "requests", "urllib3"})
_CODES = {
    "ContextWindowExceededError": "context_length_exceeded",
    "ContentPolicyViolationError": "content_filter",
}
_CARRIER = "exception of an HTTP client"
_FAULTS: tuple[tuple[set[str], Callable[[str], PolyvoxError]], ...] = (
    (
        {"ConnectTimeout", "ConnectionTimeoutError"},
        lambda text: RequestTimeoutError("no connection could be made in time", phase="connect"),
    ),
    (
        {"Timeout", "TimeoutException", "TimeoutError"},
        lambda text: RequestTimeoutError(f"LiteLLM gave up waiting: {text}", phase="idle"),
    ),
    ({_CARRIER}, NetworkError),
    (
        {"JSONDecodeError"},
        lambda text: ProtocolError(f"the provider sent what is no JSON: {text}"),
    ),
    (
        {"ImportError"},
        lambda text: ConfigurationError(f"LiteLLM needs a package that is not there: {text}"),
    ),
    ({"BudgetExceededError"}, BudgetExceededError),
)
"""Names of exceptions among the causes, and what they mean; the first that fits holds."""
_KEY_HINT = (
    "LiteLLM reads keys from its own environment variables, such as OPENAI_API_KEY; or pass"
    ' options={"litellm": {"api_key": ...}}.'
)


@contextmanager
def translated() -> Generator[None]:
    """Around every call of LiteLLM: what it raises becomes ours."""
    try:
        yield
    except PolyvoxError:
        raise
    except Exception as failure:
        raise translate(failure) from failure


def mask_key(error: PolyvoxError, options: Mapping[str, Mapping[str, Any]]) -> None:
    """Some providers repeat the key they refuse; through us it must not get into a log."""
    key = options.get("litellm", {}).get("api_key")
    if isinstance(key, str) and key:
        error.text = Secret(key).masked_in(error.text)
        error.args = (error.text,)


def translate(failure: Exception) -> PolyvoxError:
    """The error that an exception out of LiteLLM means. It is no error of ours already."""
    failure = getattr(failure, "original_exception", None) or failure
    headers = _headers(failure)
    error = _answered(failure, headers) if headers else _on_the_way(failure)
    error.request_id = request_id(headers)
    error.__cause__ = failure
    return error


def _answered(failure: Exception, headers: Mapping[str, str]) -> PolyvoxError:
    """A provider said no. The innermost status is its own; LiteLLM's class may stand for several."""
    told = [getattr(cause, "status_code", None) for cause in _causes(failure)]
    status = [code for code in told if isinstance(code, int) and code >= 400]
    return _said(failure, status[-1] if status else 500, headers)


def _on_the_way(failure: Exception) -> PolyvoxError:
    """Nobody answered with a bad status: the fault is before that, or in the middle of an answer."""
    causes = list(_causes(failure))
    names = {cls.__name__ for cause in causes for cls in type(cause).__mro__}
    if any(_is_carriers(cause) for cause in causes):
        names.add(_CARRIER)
    text = _text(failure)
    for signs, make in _FAULTS:
        if names & signs:
            return make(text)
    if _NO_KEY.search(text):
        return MissingKeyError(text, hint=_KEY_HINT)
    status = getattr(failure, "status_code", None)
    if not isinstance(status, int):
        return PolyvoxError(f"LiteLLM failed with {type(failure).__name__}: {text}")
    error = _said(failure, status, {})
    error.status = None  # LiteLLM's own notion: no provider answered with it
    return error


def _said(failure: Exception, status: int, headers: Mapping[str, str]) -> PolyvoxError:
    """What the status and LiteLLM's words mean, read as an OpenAI-like answer would be."""
    text = _text(failure)
    said = {"message": text, **_error_object(failure, text)}
    code = _CODES.get(type(failure).__name__)
    if code:
        said["code"] = code
    return get_dialect("openai-chat").decode_error(
        status, headers, jsontext.encode({"error": said})
    )


def _error_object(failure: Exception, text: str) -> dict[str, Any]:
    """The error of the provider's body: LiteLLM keeps it apart, or has put it into its text."""
    body: dict[str, Any] | Any = getattr(failure, "body", None)
    found = _JSON.match(text)
    if not body and found:
        with suppress(msgspec.DecodeError):
            body = jsontext.decode(found[1])
    fields: Any = body.get("error", body) if isinstance(body, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return _told(fields) if isinstance(fields, dict) else {}  # pyright: ignore[reportUnknownArgumentType]


def _told(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _text(failure: Exception) -> str:
    """The provider's words without LiteLLM's own around them."""
    said = str(getattr(failure, "message", None) or failure)
    said = _OBJECT.sub("", _SUFFIX.sub("", _PREFIX.sub("", said)))
    return said.strip() or type(failure).__name__


def _headers(failure: Exception) -> dict[str, str]:
    """The headers of the answer that the failure is about, by lower-case name; {} if there was none."""
    response = getattr(failure, "response", None)
    for headers in (
        getattr(failure, "litellm_response_headers", None),
        getattr(response, "headers", None),
    ):
        if headers:
            return {str(name).lower(): str(value) for name, value in headers.items()}
    return {}


def _causes(failure: BaseException) -> Iterator[BaseException]:
    """The failure and what it came from, outermost first."""
    seen: set[int] = set()
    link: BaseException | None = failure
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _is_carriers(cause: BaseException) -> bool:
    root = type(cause).__module__.partition(".")[0]
    return isinstance(cause, OSError) or root in _CARRIERS
