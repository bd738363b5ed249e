"""What a dialect is: the two halves of a codec, and what they need to know about the other side."""

from collections.abc import Mapping
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import unquote

import msgspec

from polyvox.dialects.embedding import EmbeddingCodec
from polyvox.dialects.quirks import Quirks
from polyvox.dialects.sse import ServerSentEvent
from polyvox.embedding import EmbeddingRequest
from polyvox.errors import PolyvoxError
from polyvox.events import Event
from polyvox.http import HttpRequest
from polyvox.messages import AssistantMessage, File, Image
from polyvox.request import Request
from polyvox.secret import Secret
from polyvox.verbatim import Verbatim

Auth: TypeAlias = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "aws", "none"]
"""How a key travels. With "aws" a key is a bearer's, and without one a ``Signer`` signs the request."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a request goes to: all that the client half needs to know.

    ``model`` is the provider's own name for it. ``max_output_tokens`` is the model's limit where it
    is known; dialects that must name a limit use it when the request names none.
    """

    provider: str
    model: str
    base_url: str
    key: Secret | None = None
    auth: Auth = "bearer"
    headers: dict[str, str] = {}
    quirks: Quirks = Quirks()
    max_output_tokens: int | None = None

    @property
    def producer(self) -> str:
        """The name under which this target's opaque data is kept: "provider/model"."""
        return f"{self.provider}/{self.model}"


class Route(msgspec.Struct, frozen=True):
    """One thing that a server of a dialect is asked for.

    ``path`` is below the dialect's ``base_path`` and may hold ``{model}``. ``stream`` is what the
    address says about streaming, where it and not the body does.
    """

    kind: Literal["answer", "models", "count", "embed"]
    method: Literal["GET", "POST"]
    path: str
    stream: bool | None = None


class Place(msgspec.Struct, frozen=True):
    """What the address of a request says about it, in dialects whose body does not.

    ``path`` is that of its ``Route``, ``query`` what follows the question mark.
    """

    model: str = ""
    stream: bool | None = None
    path: str = ""
    query: str = ""


ANYWHERE = Place()
"""An address that says nothing about the request."""


def find_route(dialect: "Dialect", method: str, path: str) -> tuple[Route, Place] | None:
    """The route of the dialect that a request's method and path mean, or None.

    The path may have a query, which decides nothing here.

    >>> from polyvox.dialects import get_dialect
    >>> find_route(get_dialect("openai-chat"), "GET", "/v1/models")[0].kind
    'models'
    """
    path, _, query = path.partition("?")
    for route in dialect.routes:
        before, hole, after = (dialect.base_path + route.path).partition("{model}")
        if method != route.method:
            continue
        if path == before and not hole:
            return route, Place("", route.stream, route.path, query)
        model = path[len(before) : len(path) - len(after)]
        if hole and model and path == f"{before}{model}{after}":
            return route, Place(unquote(model), route.stream, route.path, query)
    return None


class FrameReader(Protocol):
    """Cuts the bytes of a body into frames, wherever the network cut them."""

    @property
    def media_type(self) -> str:
        """The media type of such a body."""
        ...

    def feed(self, chunk: bytes, /) -> list[ServerSentEvent]:
        """The frames that these bytes complete."""
        ...

    def close(self) -> list[ServerSentEvent]:
        """The body is over: the frame that was still owed its end."""
        ...


class StreamDecoder(Protocol):
    """Reads one streamed answer. Never raises for what the provider sent: failures are events."""

    def feed(self, frame: ServerSentEvent) -> list[Event]:
        """The events that this frame completes. After the stream's end: none."""
        ...

    def close(self) -> list[Event]:
        """The body is over: the ending that is still owed, if any (an ``error`` when it was cut)."""
        ...

    def fail(self, error: PolyvoxError) -> list[Event]:
        """The body can't be read further, for this reason: what is owed, keeping what arrived."""
        ...

    @property
    def ended(self) -> bool:
        """Whether ``done`` or ``error`` was given out."""
        ...

    def message(self) -> AssistantMessage:
        """The message as it stands."""
        ...

    def outline(self) -> tuple[AssistantMessage, list[list[str]]]:
        """The same without the texts of its open blocks, and those in pieces: soon had, however long."""
        ...


class StreamEncoder(Protocol):
    """Writes one streamed answer."""

    def encode(self, event: Event) -> bytes:
        """The bytes of the body for this event; may be empty."""
        ...


class PassedFrames(Protocol):
    """Passes a streamed answer on in whole frames, wherever the network cut them."""

    def feed(self, chunk: bytes, /) -> bytes:
        """What of the body can be passed on now."""
        ...

    def close(self) -> bytes:
        """The rest."""
        ...


class Passing(Protocol):
    """How a request goes on to a provider of its own dialect as it came, and the answer comes back."""

    def request(self, verbatim: Verbatim, target: "Target") -> HttpRequest:
        """The caller's body for this target. Raises ``BadRequestError`` for one that is no object."""
        ...

    def frames(self, request: Request) -> PassedFrames:
        """What passes on the answer to this request, without what only we have asked for."""
        ...


class Dialect(Protocol):
    """A wire format, as a codec in both directions. Stateless; its decoders and encoders hold the state.

    The client half raises ``BadRequestError`` for a request that the format can't carry, before
    anything is sent; the server half raises it for a body that is no request.
    """

    @property
    def name(self) -> str:
        """The dialect's name, such as "openai-chat"."""
        ...

    @property
    def base_path(self) -> str:
        """The path of a server's base URL, such as "/v1", that its ``routes`` are below."""
        ...

    @property
    def routes(self) -> tuple[Route, ...]:
        """What a server is asked for, and where."""
        ...

    @property
    def embeddings(self) -> EmbeddingCodec | None:
        """Both halves of the codec for embeddings, or None if the format has none."""
        ...

    @property
    def whole(self) -> tuple[bytes, ...]:
        """What a body begins with that is a whole answer, and no frame of a streamed one."""
        ...

    @property
    def passing(self) -> Passing | None:
        """How requests are passed on as they came, or None if they never are."""
        ...

    # Client half

    def takes_url(self, block: Image | File, target: Target) -> bool:
        """Whether the provider itself fetches what stands at the block's URL, of http or another kind."""
        ...

    def encode_request(self, request: Request, target: Target) -> HttpRequest:
        """The request as the provider wants it; its ``dropped`` says what it can't tell."""
        ...

    def decode_response(self, body: bytes, target: Target) -> AssistantMessage:
        """A whole answer. Raises the error that the body tells, or ``ProtocolError``."""
        ...

    def frame_reader(self) -> FrameReader:
        """A reader for the frames of one streamed answer, which are for this dialect's decoder."""
        ...

    def stream_decoder(self, target: Target) -> StreamDecoder:
        """A reader for one streamed answer."""
        ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> PolyvoxError:
        """The error that an answer with this status means. Header names are lower-case."""
        ...

    def models_request(self, target: Target) -> HttpRequest | None:
        """A request for the list of models, or None if the provider has none."""
        ...

    def decode_models(self, body: bytes) -> list[str]:
        """The names in such a list."""
        ...

    def count_request(self, request: Request, target: Target) -> HttpRequest | None:
        """A request that counts the prompt's tokens, or None if the provider can't."""
        ...

    def decode_count(self, body: bytes) -> int:
        """The number in its answer."""
        ...

    # Server half

    def decode_request(self, body: bytes, place: Place = ANYWHERE) -> Request:
        """The request that a client sent. Fields unknown to us are kept in ``options[name]``."""
        ...

    def encode_response(self, message: AssistantMessage, request: Request | None = None) -> bytes:
        """A whole answer; to this request, in dialects where its form depends on that."""
        ...

    def stream_encoder(self, request: Request) -> StreamEncoder:
        """A writer for one streamed answer to this request."""
        ...

    def encode_error(self, error: PolyvoxError) -> tuple[int, bytes]:
        """Status and body of an error answer."""
        ...

    def encode_models(self, names: list[str]) -> bytes:
        """The list of models that a server offers."""
        ...

    def encode_count(self, tokens: int) -> bytes | None:
        """The answer to a token count, or None if the dialect has no such endpoint."""
        ...


def auth_headers(target: Target) -> dict[str, str]:
    """The headers that carry the target's key, and those its provider's row adds."""
    if target.key is None or target.auth == "none":
        return dict(target.headers)
    key = target.key.reveal()
    if target.auth in ("bearer", "aws"):
        return {"authorization": f"Bearer {key}", **target.headers}
    return {target.auth: key, **target.headers}


def merge_options(
    body: dict[str, Any], request: Request | EmbeddingRequest, *names: str
) -> dict[str, Any]:
    """The body with the request's vendor options for these names laid over it.

    Objects are merged key by key; anything else replaces what stood there.
    """
    for name in names:
        for key, value in request.options.get(name, {}).items():
            here: Any = body.get(key)
            both = isinstance(here, dict) and isinstance(value, dict)
            body[key] = {**here, **value} if both else value
    return body
