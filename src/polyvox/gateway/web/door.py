"""Who comes in: the key that a request brings, wherever its dialect carries it.

Nothing else decides: not the Host header, not what a proxy says of addresses before it (those may be
written by anybody), only the key, and the address that the connection comes from.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qs

from polyvox.errors import AuthenticationError, PermissionDeniedError
from polyvox.gateway.tenants.access import Access, matches

__all__ = ["HEADERS", "Door", "Finder", "Scope", "headers_of"]

Scope: TypeAlias = MutableMapping[str, Any]

HEADERS = "polyvox.headers"
"""Where in a scope its headers are as ``headers_of`` gives them, once somebody has read them."""

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


def headers_of(scope: Scope) -> Mapping[str, str]:
    """The headers by lower-case name; of repeated ones the values joined by commas.

    They are read once, and stay in the scope. A server that has them in this form puts them there.
    """
    headers: Mapping[str, str] | None = scope.get(HEADERS)
    if headers is None:
        pairs: Sequence[tuple[bytes, bytes]] = scope["headers"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        if len(headers) < len(pairs):
            headers = _joined(pairs)
        scope[HEADERS] = headers
    return headers


def _joined(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _key(scope: Scope, headers: Mapping[str, str]) -> str:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    secret = secret.strip() if scheme.lower() == "bearer" else ""
    secret = secret or _key_elsewhere(scope, headers).strip()
    if not secret:
        raise AuthenticationError(
            "there is no key in the request",
            hint="Send it as 'Authorization: Bearer <key>', or as your client sends its API key.",
        )
    if len(secret) > _LONGEST_KEY:
        raise AuthenticationError("this is no key of the gateway: it is too long")
    return secret


def _key_elsewhere(scope: Scope, headers: Mapping[str, str]) -> str:
    secret = next((headers[name] for name in _KEY_HEADERS if headers.get(name)), "")
    if not secret and b"key=" in scope.get("query_string", b""):  # Gemini's
        secret = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
    return secret
