"""What a key looks like, how it is recognised, and which keys are too weak.

Of a key only its SHA-256 is kept. A slow hash as for passwords would gain nothing: it is there to
make guessing dear, and nobody guesses 256 random bits; but each call would pay for it.
"""

import re
import secrets
import zlib
from hashlib import sha256

from polyvox.errors import ConfigurationError

__all__ = ["LONGEST", "check_strength", "digest_of", "make_key", "mark_of", "may_be_a_key"]

LONGEST = 512
"""No key is longer; what is, is not even hashed."""

_PREFIX = "pv"
_MARK = 8
_RANDOM_BYTES = 32  # 43 characters of base64

_WORDS = re.compile(
    r"change-?me|password|passw0rd|secret|admin|polyvox|gateway|letmein|example|default|master|test"
    r"|qwerty|abcdef|welcome|token|key|0?123456789|123456|1234|0000|sk-",
    re.IGNORECASE,
)
_LEAST = 20
_FORM = re.compile(rf"[!-~]{{{_LEAST},{LONGEST}}}")
_LEAST_DIFFERENT = 8
_ZLIB_BYTES = 8  # what compressing nothing takes
_STRONG = "Take the output of: openssl rand -hex 32"


def make_key(id: str) -> str:
    """A new key for what has this id. Its middle tells which key it is, and is no secret."""
    return f"{mark_of(id)}-{secrets.token_urlsafe(_RANDOM_BYTES)}"


def mark_of(id: str) -> str:
    """How the keys of this id begin.

    >>> mark_of("key_0193c1a2b3c4d5e6f7a8b9c0")
    'pv-f7a8b9c0'
    """
    return f"{_PREFIX}-{id[-_MARK:]}"


def may_be_a_key(secret: str) -> bool:
    """Whether a key may look like this: one that ``make_key`` made, or that was brought along."""
    return _FORM.fullmatch(secret) is not None


def digest_of(secret: str) -> bytes:
    """What is kept of a key, and compared."""
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


def check_strength(secret: str, field: str) -> None:
    """Raise ``ConfigurationError`` for a key that somebody might guess.

    What everybody writes ("admin", "changeme", "1234") counts for nothing, and so does repetition.

    >>> check_strength("sk-1234", "[gateway] admin_key")
    Traceback (most recent call last):
        ...
    polyvox.errors.ConfigurationError: [gateway] admin_key is too weak: ...
    """
    if len(secret) > LONGEST:
        raise ConfigurationError(
            f"{field} is longer than any key: {LONGEST} characters at most", hint=_STRONG
        )
    rest = _WORDS.sub("", secret).encode("utf-8", "surrogatepass")
    squeezed = len(zlib.compress(rest, 9)) - _ZLIB_BYTES
    if min(len(secret), squeezed) < _LEAST or len(set(rest)) < _LEAST_DIFFERENT:
        raise ConfigurationError(
            f"{field} is too weak: whoever guesses it can spend your money", hint=_STRONG
        )
