"""Signed reasoning on its way through callers: whose it is travels with it.

A provider takes back only reasoning that it has signed itself. Callers keep a signature as a string and
send it back, perhaps to another model. So what goes out in words of ours says who has signed it, and what
comes back is known by that. A signature without it came straight from a provider that speaks the caller's
dialect, and is good for those that do.
"""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from polyvox.events import Done, Event, ThinkingEnd
from polyvox.handover import made_in
from polyvox.messages import AssistantMessage, Message, Thinking
from polyvox.request import Request

__all__ = ["sealed", "sealed_message", "unsealed"]

_MARK = b"pv1"  # in base64 too the beginning is always the same: some clients take nothing else
_BEGINNING = b64encode(_MARK).decode()


class _Seal(msgspec.Struct, array_like=True):
    """Who has signed, the signature, and what else the producer keeps with it."""

    producer: str
    signature: str
    meta: dict[str, object] | None = None


_decoder = msgspec.json.Decoder(_Seal)


def sealed(event: Event) -> Event:
    """The event as a caller is to have it."""
    if isinstance(event, ThinkingEnd):
        return ThinkingEnd(event.index, _sealed(event.block))
    return Done(sealed_message(event.message)) if isinstance(event, Done) else event


def sealed_message(message: AssistantMessage) -> AssistantMessage:
    """The message as a caller is to have it; the same where nothing in it is signed."""
    if not _is_any_signed([message]):
        return message
    content = [
        _sealed(block) if isinstance(block, Thinking) else block for block in message.content
    ]
    return replace(message, content=content)


def unsealed(request: Request, dialect: str) -> tuple[Request, bool]:
    """The request with its producers where it is known who they are, and whether a seal was opened.

    It is the same request if nothing in it was signed.
    """
    if not _is_any_signed(request.messages):  # nearly always
        return request, False
    opened = False
    messages: list[Message] = []
    for message in request.messages:
        if isinstance(message, AssistantMessage) and _is_any_signed([message]):
            content = [
                _unsealed(block, dialect) if isinstance(block, Thinking) else block
                for block in message.content
            ]
            opened = opened or any(map(_was_sealed, message.content))
            message = replace(message, content=content)
        messages.append(message)
    return replace(request, messages=messages), opened


def _is_any_signed(messages: Iterable[Message]) -> bool:
    for message in messages:
        if isinstance(message, AssistantMessage):
            for block in message.content:
                if isinstance(block, Thinking) and block.signature:
                    return True
    return False


def _was_sealed(block: object) -> bool:
    return isinstance(block, Thinking) and _opened(block) is not None


def _sealed(block: Thinking) -> Thinking:
    if not block.signature or not block.producer:
        return block
    seal = msgspec.json.encode(_Seal(block.producer, block.signature, block.meta))
    return replace(block, signature=b64encode(_MARK + seal).decode())


def _unsealed(block: Thinking, dialect: str) -> Thinking:
    if not block.signature:
        return block
    seal = _opened(block)
    if seal is None:
        return replace(block, producer=made_in(dialect))
    return replace(block, producer=seal.producer, signature=seal.signature, meta=seal.meta)


def _opened(block: Thinking) -> _Seal | None:
    if not block.signature or not block.signature.startswith(_BEGINNING):
        return None
    try:
        return _decoder.decode(b64decode(block.signature, validate=True)[len(_MARK) :])
    except (Error, ValueError, msgspec.DecodeError):
        return None
