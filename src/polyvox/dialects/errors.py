"""What an error answer means, whatever the dialect: its status, its code, its words, its headers.

The words are data, in ``error_patterns.toml`` beside this file. HTTP statuses follow RFC 9110;
529 is Anthropic's "overloaded" ("Errors" in its API documentation), 498 Groq's "flex capacity
exceeded" ("API Error Codes").
"""

import re
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import unescape
from pathlib import Path

import msgspec

from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ContentFilterError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnknownPriceError,
)

__all__ = [
    "ADVISED",
    "request_id",
    "retry_after",
    "snippet",
    "status_error",
    "telling",
    "with_hint",
]

ADVISED = "x-polyvox-error"
"""The header of a gateway of ours where an error's own words say what to do; ours would be of a provider.
It has the kind of the error."""

_OURS = {cls.kind: cls for cls in (BudgetExceededError, UnknownPriceError)}
"""What only a gateway of ours says: of a provider, statuses and codes mean something else."""

_STATUS: dict[int, type[PolyvoxError]] = {
    401: AuthenticationError,
    402: RateLimitError,
    403: PermissionDeniedError,
    404: NotFoundError,
    408: RequestTimeoutError,
    409: ServerError,  # two requests in each other's way: the next try may win
    429: RateLimitError,
    498: OverloadedError,
    503: OverloadedError,
    504: RequestTimeoutError,
    529: OverloadedError,
}

_HUNDREDS: dict[int, type[PolyvoxError]] = {3: NotFoundError, 4: BadRequestError}

_CODED: tuple[type[PolyvoxError], ...] = (
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
)
_KINDS = {cls.kind: cls for cls in _CODED} | {"out_of_quota": RateLimitError}

_HINTS: dict[type[PolyvoxError], str] = {
    AuthenticationError: "Check the key given for this provider.",
    NotFoundError: "Check the model's name and the base URL.",
    ContextWindowExceededError: "Shorten the conversation, or ask for fewer max_tokens.",
}
_QUOTA_HINT = "Waiting does not help: check the plan and the balance with the provider."

_REQUEST_ID_HEADERS = (
    "x-request-id",
    "request-id",
    "apim-request-id",
    "x-ms-request-id",
    "x-amzn-requestid",
)


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    codes: frozenset[str]
    phrases: tuple[str, ...]


class _Patterns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``error_patterns.toml``."""

    special: dict[str, _Words]
    codes: dict[str, frozenset[str]]


@cache
def _patterns() -> _Patterns:
    text = Path(__file__).with_name("error_patterns.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _Patterns)


def status_error(
    status: int, headers: Mapping[str, str], text: str, *, code: str | None = None
) -> PolyvoxError:
    """The error of an answer with this status, whose body says ``text`` and ``code``.

    Below 300 (an error sent in the middle of a good answer) the code alone decides; a code that is
    itself a status, as OpenRouter sends, counts as one. ``headers`` have lower-case names; they
    give the request id, the time to wait, and OpenAI's own word on whether to ask again. Where the
    text says what to do, the hint is "".

    >>> status_error(429, {"retry-after": "2"}, "slow down").retry_after
    2.0
    """
    if status < 300 and code and code.isdecimal():
        status = int(code)
    special = _special_kind(status, text.lower(), (code or "").lower())
    cls = _OURS.get(headers.get(ADVISED, ""))
    if cls is None:
        cls = _KINDS[special] if special else _class_of(status, (code or "").lower())
    error = cls(text or f"HTTP status {status}")
    error.status = status if status >= 300 else None
    error.provider_code = code
    error.request_id = request_id(headers)
    error.retry_after = retry_after(headers)
    out_of_quota = special == "out_of_quota" or status == 402
    error.hint = _QUOTA_HINT if out_of_quota else _HINTS.get(cls)
    if ADVISED in headers:
        error.hint = ""
    if out_of_quota:
        error.retryable = False
    elif headers.get("x-should-retry") in ("true", "false"):
        error.retryable = headers["x-should-retry"] == "true"
    return error


def telling(codes: Sequence[str]) -> str | None:
    """Of the codes of one error the one that says more than its status does, else the first.

    >>> telling(["429", "insufficient_quota"])
    'insufficient_quota'
    """
    special = [words.codes for words in _patterns().special.values()]
    said = (code for code in codes if any(code.lower() in known for known in special))
    return next(said, codes[0] if codes else None)


def _special_kind(status: int, text: str, code: str) -> str | None:
    special = _patterns().special
    for kind, words in special.items():
        if code in words.codes:
            return kind
    if status >= 500:
        return None
    for kind, words in special.items():
        if any(phrase in text for phrase in words.phrases):
            return kind
    return None


def _class_of(status: int, code: str) -> type[PolyvoxError]:
    if status >= 300:  # redirects are not followed: they would carry the key elsewhere
        return _STATUS.get(status) or _HUNDREDS.get(status // 100, ServerError)
    for kind, codes in _patterns().codes.items():
        if code in codes:
            return _KINDS[kind]
    return ServerError


def request_id(headers: Mapping[str, str]) -> str | None:
    """The provider's id of the request, from whichever header it uses."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds that the provider asks to wait, or None; header names are lower-case.

    Reads ``retry-after-ms`` (OpenAI, Azure) and ``retry-after`` in seconds or as an HTTP date; without
    them, when the limits that are used up ("remaining" is 0) are full again, as OpenAI and those after
    it tell it ("Rate limits in headers") and Anthropic ("Rate limits", "Response headers"). A date is
    held against the answer's own ``date``, so that a wrong clock here does no harm; else against
    ``now`` (seconds since the epoch).

    >>> retry_after({"retry-after-ms": "1500"})
    1.5
    >>> retry_after({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m0.5s"})
    60.5
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return seconds
    sent = _http_date(headers.get("date")) or (time.time() if now is None else now)
    moment = _http_date(value)
    if moment is not None:
        return max(0.0, moment - sent)
    return max(_waits_for_limits(headers, sent), default=None)


def _waits_for_limits(headers: Mapping[str, str], sent: float) -> Iterator[float]:
    """The seconds until each limit that is used up is full again."""
    for name, value in headers.items():
        if value.strip() != "0":
            continue
        if name.startswith("x-ratelimit-remaining-"):
            wait = _duration(headers.get(name.replace("remaining", "reset", 1), ""))
        elif name.startswith("anthropic-ratelimit-") and name.endswith("-remaining"):
            moment = _timestamp(headers.get(name.removesuffix("remaining") + "reset", ""))
            wait = None if moment is None else max(0.0, moment - sent)
        else:
            continue
        if wait is not None:
            yield wait


def with_hint(error: PolyvoxError) -> str:
    """What happened and what to do about it, for a format that has one text for both.

    >>> with_hint(PolyvoxError("the script is over", hint="Write more turns."))
    'the script is over. Write more turns.'
    """
    if not error.hint:
        return error.text
    stop = "" if error.text.endswith((".", "!", "?", ":")) else "."
    return f"{error.text}{stop} {error.hint}"


def _number(text: str | None) -> float | None:
    """A non-negative number written in digits; floats such as "nan" are none."""
    if text and re.fullmatch(r"\s*\d{1,12}(\.\d{1,9})?\s*", text, re.ASCII):
        return float(text)
    return None


_UNITS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600, "d": 86400}
_PIECE = r"(\d{1,6}(?:\.\d{1,9})?)(ms|[smhd]|$)"


def _duration(text: str) -> float | None:
    """Seconds, written as such or as Go writes them: "6m0s", "20ms"."""
    if not re.fullmatch(f"(?:{_PIECE})+", text, re.ASCII):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PIECE, text))


def _timestamp(text: str) -> float | None:
    """A moment as RFC 3339 writes it, in seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _http_date(text: str | None) -> float | None:
    from email.utils import parsedate_to_datetime  # only needed here, and not cheap to import

    try:
        moment = parsedate_to_datetime(text or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


_INVISIBLE = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title\s*>", re.DOTALL | re.IGNORECASE)


def snippet(body: bytes, limit: int = 200) -> str:
    """A short readable excerpt of a body that is not what it should be; of HTML, its words.

    >>> snippet(b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
    '502 Bad Gateway: nginx'
    """
    text = body[:16384].decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        words = unescape(re.sub(r"<[^>]*>?", " ", _INVISIBLE.sub(" ", text)))
        text = f"{title[1]}: {words}" if title and title[1].strip() not in words else words
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
