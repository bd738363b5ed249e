"""The lines of the journal: a call has begun, a provider was asked, the call is over.

A journal is a file of these as JSON, one per line, appended in the order in which they happened. A
call whose ``Ended`` is missing was cut off with its process; it is marked "unsettled".
"""

from typing import TypeAlias

import msgspec

from polyvox.attempt import Attempt

__all__ = ["Attempted", "Begun", "Ended", "Line", "decode_line", "encode_line"]


class Begun(
    msgspec.Struct, tag="begun", tag_field="is", omit_defaults=True, kw_only=True, gc=False
):
    """A call was let in. ``id`` is the call's, ``at`` seconds since the epoch.

    ``reserved`` are nano-dollars by account of a budget: what it may cost at most; ``marks`` says
    in which window of each it counts, as the mark of its meter (``reserved_of`` makes both of the
    holds). ``kind`` is "answer", "embedding", ...; ``dialect`` the wire format of the caller.
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
    tags: dict[str, str] = {}
    reserved: dict[str, int] = {}
    marks: dict[str, int] = {}


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

    ``error`` is the kind of the failure ("aborted" also when the caller left), ``partial`` whether an
    answer had begun then. ``debits`` are nano-dollars by account of a budget, as they were settled.
    ``seconds`` is how long it took in all, ``first_token`` until the first content, ``overhead`` what
    of it was ours.
    """

    id: str
    at: float
    error: str | None = None
    partial: bool = False
    cached: bool = False
    debits: dict[str, int] = {}
    seconds: float = 0.0
    first_token: float | None = None
    overhead: float | None = None


Line: TypeAlias = Begun | Attempted | Ended

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Line)


def encode_line(line: Line) -> bytes:
    """The line with its line feed."""
    return _encoder.encode(line) + b"\n"


def decode_line(text: bytes) -> Line:
    """The line. Raises ``msgspec.DecodeError`` for one that was cut off."""
    return _decoder.decode(text)
