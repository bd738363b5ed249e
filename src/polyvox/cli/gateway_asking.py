"""A running gateway, asked over HTTP."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from polyvox.cli.gateway_options import GatewayOptions
from polyvox.cli.options import InputError
from polyvox.dialects.openai_errors import decode_error
from polyvox.errors import (
    BadRequestError,
    MissingKeyError,
    NetworkError,
    PolyvoxError,
    ProtocolError,
)
from polyvox.http import HttpRequest, Timeouts
from polyvox.model import Call
from polyvox.secret import Secret, without_password
from polyvox.transport import default_transport, exchange, read_all

__all__ = ["Gateway", "segment"]

_T = TypeVar("_T")
_Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
_TIMEOUTS = Timeouts(connect=10.0, first_byte=60.0, idle=60.0, total=120.0)
_MOST_BYTES = 64 << 20
_PART = 1_000
_START = "Start one with 'polyvox serve', or say where it is: --url, or the variable POLYVOX_GATEWAY_URL."
_WHICH_KEY = (
    "Set POLYVOX_GATEWAY_KEY, or give --key. 'polyvox serve' tells the administrator's key when it"
    " makes one; 'polyvox keys create' makes others."
)


class _Page(msgspec.Struct):
    data: list[msgspec.Raw]
    next: str | None = None


class Gateway:
    """A gateway that is asked with one key.

        async with Gateway(options) as gateway:
            own = await gateway.get("/v1/key", OwnKey)

    Raises ``InputError`` for an address that is none, ``MissingKeyError`` without a key.
    """

    def __init__(self, options: GatewayOptions) -> None:
        parts = urlsplit(options.url.strip())
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(
                f"{without_password(options.url)!r} is no address of a gateway",
                "Such as http://127.0.0.1:8700.",
            )
        if not options.key.strip():
            raise MissingKeyError("no key for the gateway is given", hint=_WHICH_KEY)
        self._url = options.url.strip().rstrip("/").removesuffix("/v1")
        self._key = Secret(options.key.strip())

    async def __aenter__(self) -> "Gateway":
        self._transport = default_transport()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.aclose()

    async def get(
        self, path: str, kind: type[_T], query: Mapping[str, object | None] | None = None
    ) -> _T:
        """What is at this path. Query parameters that are None are left out."""
        said = {name: value for name, value in (query or {}).items() if value is not None}
        return await self._asked(
            "GET", f"{path}?{urlencode(said, doseq=True)}" if said else path, kind
        )

    async def post(self, path: str, kind: type[_T], body: Any = None) -> _T:
        """What comes of sending this there."""
        data = b"" if body is None else msgspec.json.encode(body)
        return await self._asked("POST", path, kind, data)

    async def put(self, path: str, kind: type[_T], body: Any) -> _T:
        """What comes of putting this there."""
        return await self._asked("PUT", path, kind, msgspec.json.encode(body))

    async def patch(self, path: str, kind: type[_T], body: Any) -> _T:
        """What comes of changing this there."""
        return await self._asked("PATCH", path, kind, msgspec.json.encode(body))

    async def all(
        self, path: str, query: Mapping[str, object | None] | None = None
    ) -> list[msgspec.Raw]:
        """Everything in the list at this path, however many parts it has."""
        found, after = list[msgspec.Raw](), None
        while True:
            page = await self.get(path, _Page, {**(query or {}), "limit": _PART, "after": after})
            found += page.data
            if page.next is None:
                return found
            after = page.next

    async def delete(self, path: str) -> None:
        """Have nothing there any more."""
        await self.sent("DELETE", path)

    async def sent(self, method: _Method, path: str, body: bytes = b"") -> bytes:
        """The answer as it came. Raises ``PolyvoxError`` for one that tells of an error."""
        headers = {
            "authorization": f"Bearer {self._key.reveal()}",
            "content-type": "application/json",
        }
        request = HttpRequest(method, self._url + path, headers, body)
        try:
            async with exchange(
                self._transport, request, timeouts=_TIMEOUTS, call=Call()
            ) as response:
                data = await read_all(response.body, _MOST_BYTES)
                if response.status >= 300:
                    raise _told(decode_error(response.status, response.headers, data))
                return data
        except NetworkError as error:
            where = without_password(self._url)
            raise NetworkError(
                f"no gateway answers at {where}: {error.text}", hint=_START
            ) from error

    async def _asked(self, method: _Method, path: str, kind: type[_T], body: bytes = b"") -> _T:
        data = await self.sent(method, path, body)
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.DecodeError:
            where = without_password(self._url)
            raise ProtocolError(
                f"what answers at {where} is no gateway of this version", hint=_START
            ) from None


def segment(text: str) -> str:
    """A part of a path that means this text."""
    return quote(text, safe="")


def _told(error: PolyvoxError) -> PolyvoxError:
    """In the gateway's own words alone, which say what to do; ours would be of a provider's key."""
    if error.status == 409:  # of a provider it would be one to ask again
        return BadRequestError(error.text, status=409)
    error.hint = None
    return error
