"""The parts of a mock provider's answers that are no dialect's business."""

import time
from email.utils import formatdate

import msgspec

from polyvox.dialects import Dialect, Place
from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    RateLimitError,
    ServerError,
)
from polyvox.events import Done, Event, Start
from polyvox.model import Call
from polyvox.providers.simulated.embedding import HashedWords
from polyvox.request import Request
from polyvox.testing.knobs import Knobs
from polyvox.testing.record import ReceivedRequest
from polyvox.usage import FREE, UNKNOWN_COST

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html; charset=utf-8"}
_PAGE = b"<!doctype html><html><body><h1>It works, but it is no model.</h1></body></html>"
_ERRORS: dict[int, type[PolyvoxError]] = {
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitError,
    503: OverloadedError,
    529: OverloadedError,
}


def stream_headers(media_type: str) -> dict[str, str]:
    """The headers of a streamed answer."""
    return {"content-type": f"{media_type}; charset=utf-8", "cache-control": "no-cache"}


def addressed(event: Event, request: Request) -> Event:
    """The event under the name of the model that was asked for, which providers repeat.

    That the answer is simulated, and so free, is nothing that a provider would say.
    """
    if not request.model:
        return event
    if isinstance(event, Start):
        return msgspec.structs.replace(event, model=request.model)
    if isinstance(event, Done):
        name, usage = request.model, event.message.usage
        if usage.cost == FREE:
            usage = msgspec.structs.replace(usage, cost=UNKNOWN_COST)
        message = msgspec.structs.replace(
            event.message, model=name, response_model=name, usage=usage
        )
        return Done(message)
    return event


def status_error(status: int) -> PolyvoxError:
    """The error that suits a status."""
    fallback = ServerError if status >= 500 else BadRequestError
    kind = _ERRORS.get(status, fallback)
    return kind(f"the mock provider was told to answer with status {status}", status=status)


async def embeddings_body(
    dialect: Dialect, received: ReceivedRequest, place: Place, knobs: Knobs
) -> bytes:
    """The vectors that ``simulated/embedding`` has for a request, as this dialect writes them."""
    codec = dialect.embeddings
    if codec is None:
        raise NotFoundError(f"{dialect.name} has no embeddings")
    request = received.embedding = codec.decode_request(received.body, place)
    if knobs.status is not None:
        raise status_error(knobs.status)
    result = await HashedWords().embed(request, Call())
    result.response_model = request.model
    return codec.encode_response(result, request, place)


def retry_after(seconds: float, knobs: Knobs) -> str:
    """A Retry-After header, in the form that the knobs ask for."""
    if knobs.retry_after_form == "date":
        return formatdate(time.time() + seconds, usegmt=True)
    return f"{seconds:g}"


def whole_body(body: bytes, knobs: Knobs) -> tuple[bytes, dict[str, str]]:
    """The body that the knobs make of this one, and the header that says what it is."""
    if knobs.body == "empty":
        return b"", _JSON
    if knobs.body == "html":
        return _PAGE, _HTML
    if knobs.malformed_chunk is not None:
        return body[: max(1, len(body) // 2)], _JSON
    return body.ljust(knobs.huge_line or 0), _JSON
