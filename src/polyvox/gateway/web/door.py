"""Who comes in: the key that a request brings, wherever its dialect carries it.

Nothing else decides: not the Host header, not what a proxy says of addresses before it (those may be
written by anybody), only the key, and the address that the connection comes from.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qs

from polyvox.errors import AuthenticationError, PermissionDeniedError
from polyvox.gateway.tenants.access import Access, matches

__all__ = ["Door", "Finder", "Scope", "headers_of"]

Scope: TypeAlias = MutableMapping[str, Any]

_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
_LONGEST_KEY = 4096


class Finder(Protocol):
    """Knows the keys."""

    def find(self, secret: str, address: str | None) -> Access:
        """Whose key it is. Raises ``PolyvoxError``."""
        ...


class Door:
    """Lets in who has a key, for what the key is good for."""

    def __init__(self, finder: Finder) -> None:
        self.finder = finder

    def enter(self, scope: Scope, headers: Mapping[str, str], use: str) -> Access:
        """The access of whoever sent this, for this use ("chat", "contexts", ...).

        Raises ``AuthenticationError`` without a good key, ``PermissionDeniedError`` where the key is
        not good for this use or from there.
        """
        client = scope.get("client")
        access = self.finder.find(_key(scope, headers), client[0] if client else None)
        if use and not access.admin and not matches(use, access.routes):
            raise PermissionDeniedError(
                f"this key may not be used for {use!r}",
                hint=f"It may be used for {', '.join(access.routes)}.",
            )
        return access


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers by lower-case name; of repeated ones the values joined by commas."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        name, value = name.decode("latin-1"), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _key(scope: Scope, headers: Mapping[str, str]) -> str:
    given = headers.get("authorization", "")
    scheme, _, secret = given.partition(" ")
    if not (given and scheme.lower() == "bearer" and secret.strip()):
        secret = next((headers[name] for name in _KEY_HEADERS if headers.get(name)), "")
    if not secret and b"key=" in scope.get("query_string", b""):  # Gemini's
        secret = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
    secret = secret.strip()
    if not secret:
        raise AuthenticationError(
            "there is no key in the request",
            hint="Send it as 'Authorization: Bearer <key>', or as your client sends its API key.",
        )
    if len(secret) > _LONGEST_KEY:
        raise AuthenticationError("this is no key of the gateway: it is too long")
    return secret
