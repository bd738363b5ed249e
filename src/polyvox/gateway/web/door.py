"""Who comes in: the key that a request brings, wherever its dialect carries it.

Nothing else decides: not the Host header, not what is said of addresses before it (that may be written by
anybody), only the key, and the address that the connection comes from, or that a proxy tells which the
configuration names (``proxies``).
"""

from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import parse_qs

from polyvox.errors import AuthenticationError, OverloadedError, PermissionDeniedError
from polyvox.gateway.tenants.access import Access, matches
from polyvox.gateway.web.asgi import Scope

__all__ = [
    "ACCESS",
    "CALL",
    "FAILURE",
    "HEADERS",
    "KEY_HEADERS",
    "REQUEST_ID",
    "ROUTE",
    "UNSURE",
    "Door",
    "Finder",
    "headers_of",
]

HEADERS = "polyvox.headers"
"""Where in a scope its headers are as ``headers_of`` gives them, once somebody has read them."""

REQUEST_ID = "polyvox.request_id"
"""Where in a scope the request's id is."""

ROUTE = "polyvox.route"
"""Where the path is as the gateway's table of routes has it ("/v1/contexts/{context}"), if it is there."""

ACCESS = "polyvox.access"
"""Where the access of whoever sent it is, once it is known."""

CALL = "polyvox.call"
"""Where it is what was called, if a model was: the call's id, the model's name, the list of attempts."""

FAILURE = "polyvox.failure"
"""Where the error is that was told, if one was."""

_PLAIN = ("x-api-key", "api-key", "x-goog-api-key")
KEY_HEADERS = ("authorization", *_PLAIN)
"""Where a key may stand: in the first as "Bearer <key>", in the others plainly."""

UNSURE = (AuthenticationError, OverloadedError)
"""What ``Door.enter`` raises where ``enter_after_all`` may know better."""

_LONGEST_KEY = 4096


class Finder(Protocol):
    """Knows the keys."""

    def find(self, secret: str, address: str | None) -> Access:
        """Whose key it is. Raises ``PolyvoxError``."""
        ...

    async def look_for(self, secret: str) -> None:
        """Have it known here, if another process has just made it. Raises ``PolyvoxError``."""
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
        scope[ACCESS] = access
        return access

    async def enter_after_all(self, scope: Scope, headers: Mapping[str, str], use: str) -> Access:
        """``enter`` for whom it did not know: another process may just have made the key."""
        await self.finder.look_for(_key(scope, headers))
        return self.enter(scope, headers, use)


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
    secret = next((headers[name] for name in _PLAIN if headers.get(name)), "")
    if not secret and b"key=" in scope.get("query_string", b""):  # Gemini's
        secret = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
    return secret
