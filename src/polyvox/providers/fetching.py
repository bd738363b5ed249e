"""What stands at a URL, fetched for providers that do not fetch it themselves.

The addresses come from whoever wrote the prompt, so a request must not lead to what only this
machine can reach (server-side request forgery): see ``UrlFetch`` for what is allowed. Everything
here happens before the provider is asked, and costs nothing.
"""

import asyncio
from collections.abc import AsyncIterable, Iterator, Mapping
from time import monotonic
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from polyvox.dialects import Dialect, Target
from polyvox.dialects.media import Media, on_the_web, url_type
from polyvox.errors import (
    AbortedError,
    BadRequestError,
    ConfigurationError,
    NetworkError,
    PolyvoxError,
    RequestTimeoutError,
)
from polyvox.http import HttpRequest, HttpResponse, Timeouts, Transport
from polyvox.media_types import sniff_media_type
from polyvox.messages import File, Image, Message, ToolMessage, UserMessage
from polyvox.model import Call
from polyvox.request import Request
from polyvox.transport import AiohttpTransport, exchange, is_public

__all__ = ["BY_DEFAULT", "UrlFetch", "UrlFetcher"]

_AT_ONCE = 8
_REDIRECTS = (301, 302, 303, 307, 308)
_HEADERS = {"accept": "*/*", "accept-encoding": "identity"}
_SAYS_NOTHING = ("", "application/octet-stream", "binary/octet-stream", "text/plain")


class UrlFetch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How URLs are fetched that a provider does not fetch itself.

    ``max_bytes`` for all of one request together; ``seconds`` for each URL with its redirects, of
    which there may be ``redirects``, never from https to http. Unless ``private_addresses`` are
    allowed, only hosts on the public internet are asked, directly: the proxies that the environment
    names are used with ``private_addresses=True`` alone, since a proxy looks names up by itself.
    """

    max_bytes: int = 20 << 20
    seconds: float = 30.0
    redirects: int = 5
    private_addresses: bool = False


BY_DEFAULT = UrlFetch()
"""What holds where nothing else is said."""


class _Found(msgspec.Struct, frozen=True):
    """What a URL gave."""

    data: bytes
    media_type: str


class _Place(msgspec.Struct, frozen=True):
    """A block of a request that is to be fetched."""

    message: int
    index: int
    block: Media
    url: str

    @property
    def path(self) -> str:
        return f"messages[{self.message}].content[{self.index}].url"


class UrlFetcher:
    """Puts bytes in the place of URLs, each fetched once per request, several at a time.

    Args:
        policy: what may be fetched.
        transport: who moves the bytes, in place of one that keeps to the policy's addresses.
    """

    def __init__(self, policy: UrlFetch, transport: Transport | None = None) -> None:
        self.policy = policy
        own = AiohttpTransport(may_reach=None if policy.private_addresses else is_public)
        self._transport = transport or own
        self._own = own if transport is None else None

    async def aclose(self) -> None:
        """Close the connections, unless the transport was brought from outside."""
        if self._own is not None:
            await self._own.aclose()

    async def inlined(
        self, request: Request, dialect: Dialect, target: Target, call: Call
    ) -> Request:
        """The request with the bytes of what this provider does not fetch itself.

        Without such blocks it is the same object. Raises ``PolyvoxError``, which names the block,
        ``AbortedError`` and ``RequestTimeoutError`` as the call's interrupt and deadline want it.
        """
        places = [
            place
            for place in _on_the_web(request.messages)
            if not dialect.takes_url(place.block, target)
        ]
        if not places:
            return request
        found = await self._fetch_all(places, call)
        messages = list(request.messages)
        for place in places:
            block = _with_bytes(place, found[place.url])
            messages[place.message] = _replaced(messages[place.message], place.index, block)
        return msgspec.structs.replace(request, messages=messages)

    async def _fetch_all(self, places: list[_Place], call: Call) -> dict[str, _Found]:
        firsts: dict[str, _Place] = {}
        for place in places:
            firsts.setdefault(place.url, place)
        fetching = _Fetching(self._transport, self.policy, call)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    url: group.create_task(fetching.fetch(place)) for url, place in firsts.items()
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {url: task.result() for url, task in tasks.items()}


class _Fetching:
    """The URLs of one request."""

    def __init__(self, transport: Transport, policy: UrlFetch, call: Call) -> None:
        self._transport = transport
        self._policy = policy
        self._call = call
        self._bytes_left = policy.max_bytes
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def fetch(self, place: _Place) -> _Found:
        async with self._turns:
            try:
                return await self._follow(place.url, monotonic() + self._policy.seconds)
            except AbortedError:
                raise
            except PolyvoxError as error:
                raise self._about(error, place) from None

    async def _follow(self, url: str, ends: float) -> _Found:
        for _ in range(self._policy.redirects + 1):
            _check(url)
            total = ends - monotonic()
            timeouts = Timeouts(first_byte=None, idle=None, total=total)
            http = HttpRequest("GET", url.partition("#")[0], dict(_HEADERS))
            async with exchange(
                self._transport, http, timeouts=timeouts, call=self._call
            ) as response:
                if response.status in _REDIRECTS and "location" in response.headers:
                    url = _next(url, response.headers["location"])
                    continue
                return await self._read(response)
        raise BadRequestError(f"more than {self._policy.redirects} redirects")

    async def _read(self, response: HttpResponse) -> _Found:
        if response.status >= 300:
            text = f"the server answered with status {response.status}"
            if response.status >= 500 or response.status in (408, 429):
                raise NetworkError(text)
            raise BadRequestError(text)
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._bytes_left:
            raise self._too_long()
        return _Found(await self._whole(response.body), _media_type(response.headers))

    async def _whole(self, body: AsyncIterable[bytes]) -> bytes:
        """The body, decompressed; what was read counts for all URLs of the request."""
        whole = bytearray()
        async for piece in body:
            self._bytes_left -= len(piece)
            if self._bytes_left < 0:
                raise self._too_long()
            whole += piece
        return bytes(whole)

    def _too_long(self) -> BadRequestError:
        return BadRequestError(
            f"is longer than allowed: all that is fetched for one request may have"
            f" {self._policy.max_bytes} bytes"
        )

    def _about(self, error: PolyvoxError, place: _Place) -> PolyvoxError:
        """The error, told of the block that it is about; the call's own deadline is about none."""
        if isinstance(error, RequestTimeoutError) and error.phase == "total":
            if self._call.deadline is not None and monotonic() >= self._call.deadline:
                return error
            error.text = f"took longer than {self._policy.seconds:g} s"
        if isinstance(error, ConfigurationError):  # it is not the program's address
            error = BadRequestError(error.text)
        return _told(error, place)


def _told(error: PolyvoxError, place: _Place) -> PolyvoxError:
    name = type(place.block).__name__
    error.text = f"{place.path} ({_shown(place.url)}): {error.text}"
    error.args = (error.text,)
    error.hint = f"This provider does not fetch it itself. Pass the bytes: {name}(data=...)."
    return error


def _on_the_web(messages: list[Message]) -> Iterator[_Place]:
    for number, message in enumerate(messages):
        if type(message) is not UserMessage and type(message) is not ToolMessage:
            continue
        for index, block in enumerate(message.content):
            # Nearly all are text, of which isinstance needs longest to say that it is neither.
            if type(block) is not Image and type(block) is not File:
                continue
            if block.url and on_the_web(block):
                yield _Place(number, index, block, block.url)


def _replaced(message: Message, index: int, block: Media) -> Message:
    content = list(message.content)
    content[index] = block
    return msgspec.structs.replace(message, content=content)


def _check(url: str) -> None:
    """Raises ``BadRequestError`` for a URL that nobody should fetch."""
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequestError("leads to what is no http:// or https:// address")
    if parts.username is not None or parts.password is not None:
        raise BadRequestError("an address with a user name or password in it is not fetched")


def _next(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
    except ValueError:
        raise BadRequestError("is redirected to what is no address") from None
    if url.lower().startswith("https:") and not target.lower().startswith("https:"):
        raise BadRequestError("is redirected from https to what is not")
    return target


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # checked when it is asked for
    except ValueError:
        raise BadRequestError("is no address") from None
    return parts


def _shown(url: str) -> str:
    """The URL without what may be secret in it."""
    scheme, _, rest = url.partition("?")[0].partition("#")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"[:100]


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _with_bytes(place: _Place, found: _Found) -> Media:
    """The block with these bytes, and of the type that they, or else the server, tell."""
    if not found.data:
        raise _told(BadRequestError("is empty"), place)
    block, sniffed = place.block, sniff_media_type(found.data)
    if isinstance(block, Image):
        media_type = sniffed or found.media_type
        if media_type in _SAYS_NOTHING:
            media_type = block.media_type or url_type(place.url)
        fits = media_type.startswith("image/")
    else:
        wanted = "" if "*" in block.media_type else block.media_type
        told = "" if found.media_type in _SAYS_NOTHING else found.media_type
        media_type = wanted or sniffed or told or url_type(place.url) or found.media_type
        fits = told != "text/html" or media_type.startswith("text/")
    if not fits:
        what = sniffed or found.media_type or "of no known type"
        kind = "picture" if isinstance(block, Image) else media_type
        raise _told(BadRequestError(f"what stands there is {what}, no {kind}"), place)
    media_type = media_type or "application/octet-stream"
    return msgspec.structs.replace(block, data=found.data, url=None, media_type=media_type)
