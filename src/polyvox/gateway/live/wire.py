"""The messages of ``/v1/ws``: JSON objects, told apart by their ``type``.

    client   hello  start  interrupt  steer  approve  resume  ping  pong
    server   welcome  accepted  event  approval  closed  error  ping  pong

``id`` is the client's own name for a call on this connection. What belongs to a call has a ``seq``
that counts from 1 without gaps, so that after a lost connection the client can say how far it came.
"""

from typing import Annotated, Any, TypeAlias, get_args

import msgspec
from msgspec import Meta

from polyvox import jsontext
from polyvox.errors import PolyvoxError
from polyvox.events import Event
from polyvox.gateway.live.suspended import ApprovalView, Decision
from polyvox.gateway.web.bodies import nearest_field
from polyvox.suggestions import hint_for
from polyvox.usage import Cost, Usage

__all__ = [
    "PING",
    "PONG",
    "WELCOME",
    "Approve",
    "ClientMessage",
    "Hello",
    "InterruptCall",
    "Ping",
    "Pong",
    "Resume",
    "Start",
    "Steer",
    "accepted",
    "advice",
    "approval",
    "closed",
    "error",
    "event",
    "read",
    "with_id",
]

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class _Message(msgspec.Struct, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """What all messages of the client share."""


class Hello(_Message, tag="hello"):
    """The first message of who could send no key before."""

    key: str


class Start(_Message, tag="start"):
    """Ask a model.

    ``messages`` are those of Polyvox, or a string; ``body`` has further fields of a request. With a
    ``dialect`` ("openai-chat", "anthropic-messages", ...) ``body`` is a request in that instead.
    ``polyvox`` are wishes, as over HTTP. ``resumable``: the call goes on for a while when the connection
    is lost. Without ``nested`` only the answer's own events are told.
    """

    id: Name
    model: str = ""
    messages: str | list[Any] | None = None
    system: str = ""
    body: msgspec.Raw = msgspec.Raw(b"")
    dialect: str = ""
    polyvox: dict[str, Any] | None = None
    resumable: bool = False
    nested: bool = True


class InterruptCall(_Message, tag="interrupt"):
    """End a call; what has arrived of the answer is kept."""

    id: Name
    reason: str = "interrupted by the caller"


class Steer(_Message, tag="steer"):
    """Say something into a call."""

    id: Name
    text: Annotated[str, Meta(min_length=1)]


class Approve(_Message, tag="approve"):
    """Decide on a run that waits; ``id`` names the call that goes on with it."""

    id: Name
    approval: Name
    decision: Decision
    resumable: bool = False
    nested: bool = True


class Resume(_Message, tag="resume"):
    """Go on with a call of an earlier connection, behind the message that has this ``seq``."""

    id: Name
    call: Name
    after: Annotated[int, Meta(ge=0)] = 0


class Ping(_Message, tag="ping"):
    """Is anybody there?"""


class Pong(_Message, tag="pong"):
    """The answer to a ping; nobody has to send one."""


ClientMessage: TypeAlias = Hello | Start | InterruptCall | Steer | Approve | Resume | Ping | Pong
_KINDS = {kind.__struct_config__.tag: kind for kind in get_args(ClientMessage)}


class _Head(msgspec.Struct):
    type: str


class _Accepted(msgspec.Struct, tag_field="type", tag="accepted"):
    id: str
    call: str


class _Told(msgspec.Struct, tag_field="type", tag="event"):
    seq: int
    event: Event


class _Waits(msgspec.Struct, tag_field="type", tag="approval"):
    seq: int
    approval: ApprovalView


class _Closed(msgspec.Struct, tag_field="type", tag="closed"):
    seq: int
    usage: Usage
    cost: Cost


class _Error(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True):
    error: dict[str, Any]
    id: str | None = None


WELCOME = '{"type":"welcome"}'
PING = '{"type":"ping"}'
PONG = '{"type":"pong"}'


def read(data: str | bytes) -> ClientMessage:
    """A message of the client. Raises ``msgspec.DecodeError``, ``RecursionError``."""
    return _DECODER.decode(data)


def advice(data: str | bytes, error: Exception) -> str:
    """What was probably meant by data that ``read`` can't take."""
    try:
        said = msgspec.json.decode(data, type=_Head).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return 'Say what it is: {"type": "start", ...}.'
    if said not in _KINDS:
        return hint_for(said, _KINDS)
    return nearest_field(error, _KINDS[said]) or ""


def accepted(id: str, call: str) -> str:
    """The call of this id is under way; ``call`` is its name everywhere else."""
    return _text(_Accepted(id, call))


def event(seq: int, happened: Event) -> str:
    """What happens in a call. ``with_id`` says in which one."""
    return _text(_Told(seq, happened))


def approval(seq: int, view: ApprovalView) -> str:
    """The call's run waits for an approval."""
    return _text(_Waits(seq, view))


def closed(seq: int, usage: Usage) -> str:
    """The call is over; nothing more comes of it."""
    return _text(_Closed(seq, usage, usage.cost))


def error(id: str | None, problem: PolyvoxError) -> str:
    """A message could not be taken."""
    return _text(_Error(problem.to_dict(), id))


def with_id(id: str, text: str) -> str:
    """The message with the name of its call.

    >>> with_id("a", '{"type":"closed"}')
    '{"id":"a","type":"closed"}'
    """
    return f'{{"id":{msgspec.json.encode(id).decode()},{text[1:]}'


def _text(message: Any) -> str:
    try:
        return _ENCODER.encode(message).decode()
    except UnicodeEncodeError:  # half a character, which a model or a tool has cut
        return jsontext.encode(
            msgspec.to_builtins(message, str_keys=True, enc_hook=_plain)
        ).decode()


def _plain(value: Any) -> Any:
    """What a tool puts into its ``details`` may be anything: what is no JSON is told in words."""
    return value.to_dict() if isinstance(value, PolyvoxError) else repr(value)


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
_DECODER: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
