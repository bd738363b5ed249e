"""One HTTP exchange as values, and the seam to whoever moves the bytes.

A ``Transport`` has one method, so that a program can bring its own HTTP client: see the page
"Bring your own HTTP client" in the documentation.
"""

from collections.abc import AsyncGenerator, Mapping
from math import inf
from typing import Literal, Protocol

import msgspec

from polyvox.errors import ConfigurationError


class Timeouts(msgspec.Struct, frozen=True):
    """How long to wait, in seconds; None waits for ever.

    ``connect`` for a free connection to be there or be made, ``first_byte`` from the request to the
    first byte of the answer's body, ``idle`` between two pieces of the body, ``total`` for it all.

    Raises ``ConfigurationError`` for a number that is no time to wait.
    """

    connect: float | None = 10.0
    first_byte: float | None = 600.0
    idle: float | None = 300.0
    total: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if (seconds := getattr(self, name)) is not None and not 0 < seconds < inf:
                raise ConfigurationError(
                    f"{name} is {seconds}; give seconds, more than 0",
                    hint='To wait for ever give None, in a configuration "never".',
                )


class HttpRequest(msgspec.Struct):
    """What is sent. Header names are lower-case. ``connect_timeout`` is in seconds.

    ``dropped`` is not sent: (field, what became of it) for each wish of the request in the caller's
    words that this one can't tell.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    headers: dict[str, str]
    body: bytes = b""
    connect_timeout: float | None = 10.0
    dropped: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        # Headers carry keys; they stay out of logs and tracebacks.
        return f"HttpRequest({self.method} {self.url}, {len(self.body)} bytes)"


class HttpResponse(Protocol):
    """What comes back, as soon as its head is there.

    It may offer one more method, as a short answer has mostly come whole by then:
    ``def whole() -> bytes | None``, what is left of the body, if nothing of it is still to come. It
    is not asked for pieces, nor closed, after it gave that; None if there is something to wait for.
    """

    @property
    def status(self) -> int:
        """The status code."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by lower-case name."""
        ...

    @property
    def body(self) -> AsyncGenerator[bytes]:
        """The pieces of the body as they arrive, decompressed. Read it once."""
        ...

    async def aclose(self) -> None:
        """Let go: at once, also in the middle of the body, closing the socket if the body isn't over."""
        ...


class Transport(Protocol):
    """Sends a request over the network.

    ``send`` returns when the answer's head has arrived, whatever its status. It raises
    ``NetworkError``, or ``RequestTimeoutError("connect")`` when ``connect_timeout`` passes before
    a connection is there. Cancelling ``send``, or closing the response, closes the socket at once.
    All other deadlines are kept by the caller.
    """

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, and wait for the head of the answer."""
        ...


class Signer(Protocol):
    """Signs requests, for providers that want each one signed instead of a key."""

    async def sign(self, request: HttpRequest) -> HttpRequest:
        """The request with its signature. Raises ``PolyvoxError`` when it can't be signed."""
        ...
