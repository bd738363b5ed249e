"""The books of a mock provider, as others may read them: also from another process, as JSON."""

import zlib

import msgspec

from polyvox.dialects import Dialect, Target
from polyvox.errors import PolyvoxError
from polyvox.request import Request
from polyvox.testing.record import Party, ReceivedRequest, Record, SentAnswer
from polyvox.usage import ZERO_USAGE, Usage

_GZIP = b"\x1f\x8b"
_ANY_CONTAINER = 47  # zlib's word for "look at the head"


class ServedRequest(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One request, and what became of it.

    ``came`` and ``ended`` are seconds of the machine's monotonic clock, so that the books of several
    servers can be laid side by side; without ``ended`` it is still under way. ``overlap`` is how many
    were under way when it came, itself included. ``usage`` is what was told of it as far as the answer
    was sent; None when nothing was.
    """

    came: float
    ended: float | None = None
    overlap: int
    method: str
    path: str
    status: int = 0
    request: Request | None = None
    usage: Usage | None = None
    completed: bool = False
    hung_up: Party | None = None
    bytes_sent: int = 0


class Ledger(msgspec.Struct, kw_only=True):
    """What a mock provider has served so far, and what is under way.

    ``most_in_flight`` is the greatest number of requests that were under way at once, ``sockets`` how
    many connections are open. ``served`` are the requests in the order in which they came.
    """

    in_flight: int
    most_in_flight: int
    sockets: int
    total: int
    served: list[ServedRequest]

    @property
    def usage(self) -> Usage:
        """The sum of all that was told."""
        return sum((each.usage for each in self.served if each.usage), ZERO_USAGE)


def ledger_of(record: Record, dialect: Dialect, sockets: int) -> Ledger:
    """The books of a record as they stand now."""
    return Ledger(
        in_flight=record.in_flight,
        most_in_flight=record.most_in_flight,
        sockets=sockets,
        total=record.total,
        served=[
            _served(dialect, received, answer)
            for received, answer in zip(record.requests, record.answers, strict=True)
        ],
    )


def _served(dialect: Dialect, received: ReceivedRequest, answer: SentAnswer) -> ServedRequest:
    return ServedRequest(
        came=answer.came,
        ended=answer.ended,
        overlap=answer.overlap,
        method=received.method,
        path=received.safe_path,
        status=answer.status,
        request=received.request,
        usage=_told(dialect, received.request, answer),
        completed=answer.completed,
        hung_up=answer.hung_up,
        bytes_sent=answer.bytes_sent,
    )


def _told(dialect: Dialect, request: Request | None, answer: SentAnswer) -> Usage | None:
    """The usage that stands in what was sent of an answer."""
    if request is None or answer.status != 200 or not answer.chunks:
        return None
    body = answer.body
    if body.startswith(_GZIP):
        body = zlib.decompressobj(_ANY_CONTAINER).decompress(body)
    target = Target(provider="mock", model=request.model, base_url="")
    try:
        if not request.stream:
            message = dialect.decode_response(body, target)
        else:
            decoder = dialect.stream_decoder(target)
            for frame in dialect.frame_reader().feed(body):
                decoder.feed(frame)
            message = decoder.message()
    except PolyvoxError:
        return None
    return None if message.usage.basis == "missing" else message.usage
