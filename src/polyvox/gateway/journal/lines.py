"""The lines of the journal: a call has begun, a provider was asked, the call is over.

A journal is a file of these as JSON, one per line, appended in the order in which they happened. A
call whose ``Ended`` is missing was cut off with its process; it is marked "unsettled".
"""

from typing import TypeAlias

import msgspec

from polyvox.attempt import Attempt

__all__ = [
    "Attempted",
    "Begun",
    "Debit",
    "Ended",
    "Line",
    "Reserved",
    "decode_line",
    "encode_line",
]

Debit: TypeAlias = tuple[str, int, int]
"""So much of a budget: its account, the mark of the window in which that counts, and nano-dollars."""


class Begun(
    msgspec.Struct, tag="begun", tag_field="is", omit_defaults=True, kw_only=True, gc=False
):
    """A call was let in. ``id`` is the call's, ``at`` seconds since the epoch.

    ``reserved`` is what it may cost at most, by the budgets of whoever asks. ``kind`` is "answer",
    "embedding", ...; ``dialect`` the wire format of the caller, ``request_id`` the id of its request.
    """

    id: str
    at: float
    model: str
    key: str = ""
    organisation: str = ""
    team: str = ""
    end_user: str = ""
    kind: str = "answer"
    dialect: str = ""
    session: str | None = None
    context: str | None = None
    prompt: str | None = None
    request_id: str | None = None
    tags: dict[str, str] = {}
    reserved: list[Debit] = []


class Reserved(
    msgspec.Struct, tag="reserved", tag_field="is", omit_defaults=True, kw_only=True, gc=False
):
    """More is reserved, by a budget around a model that it asks: all that it would be debited, ended now.

    The last of them counts, and only for a call that is cut off.
    """

    id: str
    debits: list[Debit]


class Attempted(
    msgspec.Struct, tag="attempted", tag_field="is", omit_defaults=True, kw_only=True, gc=False
):
    """A provider was asked: the ``number``-th attempt of the call, from 0 on."""

    id: str
    number: int
    attempt: Attempt


class Ended(
    msgspec.Struct, tag="ended", tag_field="is", omit_defaults=True, kw_only=True, gc=False
):
    """The call is over.

    ``error`` is the kind of the failure ("aborted" also when the caller left), ``reason`` what is to be
    said of it (see ``reasons``), ``partial`` whether an
    answer had begun then. ``debits`` is what budgets were debited. ``seconds`` is how long it took in
    all, ``first_token`` until the first content, ``overhead`` what of it was ours.
    """

    id: str
    at: float
    error: str | None = None
    reason: str | None = None
    partial: bool = False
    cached: bool = False
    debits: list[Debit] = []
    seconds: float = 0.0
    first_token: float | None = None
    overhead: float | None = None


Line: TypeAlias = Begun | Reserved | Attempted | Ended

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


def encode_line(line: Line) -> bytes:
    """The line with its line feed."""
    return _encoder.encode(line) + b"\n"


def decode_line(text: bytes) -> Line:
    """The line. Raises ``msgspec.DecodeError`` for one that was cut off."""
    return _decoder.decode(text)
