"""What may not be written down: keys, and the bytes of files."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import msgspec

from polyvox.dialects.data_urls import read_data_url
from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.secret import Secret

__all__ = ["MASK", "Redactor"]

MASK = "***"

_WORD, _LETTERS = "[A-Za-z0-9_-]", "[A-Za-z0-9]"

# How keys begin, and what follows: the shapes that providers show in their documentation.
_SHAPES = {
    "sk-": _WORD + "{16,}",  # OpenAI, Anthropic and their likes
    **dict.fromkeys(("sk_", "pk_", "rk_", "pk-"), _WORD + "{16,}"),
    **dict.fromkeys(
        ("gsk_", "hf_", "nvapi-", "xai-", "pplx-", "fw_", "r8_", "csk-"), _WORD + "{20,}"
    ),
    **dict.fromkeys(("AKIA", "ASIA"), "[A-Z0-9]{16}(?![A-Z0-9])"),  # Amazon
    "AIza": _WORD + "{30,}",  # Google
    **dict.fromkeys(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _LETTERS + "{20,}"),
    **dict.fromkeys(("github_pat_", "glpat-"), _WORD + "{20,}"),
    **dict.fromkeys(("xoxb-", "xoxp-", "xoxa-", "xoxs-"), "[A-Za-z0-9-]{10,}"),  # Slack
    "eyJ": rf"{_WORD}{{10,}}\.{_WORD}{{10,}}\.{_WORD}{{10,}}",  # JSON web tokens
}
# The look behind comes after the beginning, so that the beginning is found by a plain search.
_KEYS = [
    (begin, re.compile(f"{begin}(?<!{_WORD if begin == 'eyJ' else _LETTERS}{begin}){rest}"))
    for begin, rest in _SHAPES.items()  # a token has an open end: "eyJ-eyJ-..." is read but once
]
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*KEY-----|\Z)", re.DOTALL
)
_BEARER = re.compile(r"\b(Bearer|Basic)\s+(?=[^\s\"']*[\d=])[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=://)[^\s/:@]*:[^\s/@]+(?=@)")
_KEY_WORDS = (
    r"(?:api[-_]?key|passw(?:or)?d|passphrase|private[-_]?key|secret(?:[-_]?access)?(?:[-_]?key)?|"
    r"(?:access|auth|refresh|security|session)[-_]?token)"
)
_KEY_FIELDS = re.compile(rf".*(?:{_KEY_WORDS}|authorization)|(?:set-)?cookie", re.IGNORECASE)
_URL_KEY = re.compile(
    rf"(?<=[?&])((?:[\w-]*{_KEY_WORDS}|sig|[\w-]*signature)=)[^\s&#\"'<>]{{7,}}[\w%=~/+-]",
    re.IGNORECASE,
)

_SHORTEST = 14  # characters of the shortest text that any of these matches

# Words of our own format, which no pattern of a user's may bend, or the record could not be read.
_OURS = frozenset(
    (
        *("type", "role", "id", "tool_call_id", "kind", "stop_reason", "basis", "status", "source"),
        *("detail", "cache", "effort", "tool_choice", "media_type"),
    )
)
# Below these everything is the user's or the provider's.
_FREE = frozenset(("arguments", "meta", "options", "metadata", "tags", "parameters", "schema"))


class Redactor:
    """Masks what looks like a key, every ``Secret``, and what the user's patterns find.

    Bytes of images and files, also those in data URLs, become an address of their hash and size:
    ``sha256:9f86d08...?bytes=1024``.

    Args:
        patterns: regular expressions, or secrets that must not be told wherever they stand. Python
            can't stop an expression that takes long: give none with a repetition in a repetition.
        keep_bytes: write the bytes of images and files down as they are.

    Raises ``ConfigurationError`` for an expression that is none.

    >>> Redactor([r"\\d{3}-\\d{4}"]).text("Bearer abc1234567, phone 555-1234")
    'Bearer ***, phone ***'
    """

    def __init__(
        self, patterns: Iterable[str | re.Pattern[str] | Secret] = (), *, keep_bytes: bool = False
    ) -> None:
        self.keep_bytes = keep_bytes
        if isinstance(patterns, str):
            patterns = (patterns,)
        self._secrets: list[Secret] = []
        self._patterns: list[re.Pattern[str]] = []
        for pattern in patterns:
            if isinstance(pattern, Secret):
                self._secrets.append(pattern)
            else:
                self._patterns.append(_compiled(pattern))

    def text(self, text: str) -> str:
        """The text without what must not be told."""
        for secret in self._secrets:
            text = secret.masked_in(text)
        if len(text) >= _SHORTEST:
            text = _without_keys(text)
        if "://" in text:
            text = _URL_KEY.sub(rf"\1{MASK}", _URL_PASSWORD.sub(MASK, text))
        for pattern in self._patterns:
            text = pattern.sub(MASK, text)
        return text

    def clean(self, value: object) -> Any:
        """The value as plain JSON values, without what must not be told."""
        plain = msgspec.to_builtins(
            value, builtin_types=(bytes,), enc_hook=_stand_in, str_keys=True
        )
        return self._cleaned(plain, free=False)

    def _cleaned(self, value: Any, *, free: bool) -> Any:
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, dict):
            return self._object(cast("dict[str, Any]", value), free=free)
        if isinstance(value, list):
            return [self._cleaned(item, free=free) for item in cast("list[Any]", value)]
        if isinstance(value, bytes):
            return b64encode(value).decode() if self.keep_bytes else _address(value)
        return value

    def _object(self, fields: dict[str, Any], *, free: bool) -> dict[str, Any]:
        if not free and isinstance(fields.get("data"), bytes) and not self.keep_bytes:
            others = {name: value for name, value in fields.items() if name != "data"}
            fields = {**others, "url": _address(fields["data"])}
        cleaned: dict[str, Any] = {}
        for name, value in fields.items():
            if not free and name in _OURS:
                cleaned[name] = value
            elif free and _may_be_key(value) and _KEY_FIELDS.fullmatch(name):
                cleaned[name] = MASK
            else:
                below = free or name in _FREE
                cleaned[self.text(name) if free else name] = self._cleaned(value, free=below)
        return cleaned

    def _string(self, text: str) -> str:
        if text.startswith("data:") and not self.keep_bytes:
            with suppress(PolyvoxError):
                return _address(read_data_url(text, "")[1])
        return self.text(text)


def _may_be_key(value: object) -> bool:
    """Not what says whether there is one, nor the form of one in a JSON schema."""
    return isinstance(value, (str, int, float, list)) and not isinstance(value, bool)


def _without_keys(text: str) -> str:
    for begin, pattern in _KEYS:
        if begin in text:
            text = pattern.sub(MASK, text)
    if "PRIVATE KEY" in text:
        text = _PRIVATE_KEY.sub(MASK, text)
    return _BEARER.sub(rf"\1 {MASK}", text)


def _compiled(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise ConfigurationError(
            f"redact: {pattern!r} is no regular expression: {error}",
            hint="Give expressions as re.compile takes them, or polyvox.Secret(...).",
        ) from None


def _stand_in(value: object) -> str:
    """What stands for a value that is no JSON: a secret, or something of the program's own."""
    return MASK if isinstance(value, Secret) else f"<{type(value).__name__}>"


def _address(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}?bytes={len(data)}"
