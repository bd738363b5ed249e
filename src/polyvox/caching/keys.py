"""Which requests are the same: those that any model must answer alike.

In the key stands all that may change the answer: the messages with their opaque data, the
instructions, tools, the form asked for, limits, sampling, ``options`` of any vendor; the model's
name, and whether a router may ask another; the tenant, always.

Not in it: hints for a provider's prompt cache, whether the answer is streamed, ``metadata`` (what a
provider is told about the caller), and of earlier answers all but their content and whether they
broke off. So a conversation goes on with the same key whether its answers came from the cache or not.
"""

import json
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from polyvox.errors import ConfigurationError
from polyvox.messages import AssistantMessage, Block, Message, ToolMessage
from polyvox.model import Call
from polyvox.request import Request, ToolDefinition

__all__ = ["KeyMaker", "Subject", "canonical"]

_FORM = 1
"""Goes up when the same request gets another key, or an answer is stored in another form."""

_Hinted = TypeVar("_Hinted", bound=Block | ToolDefinition)
Subject: TypeAlias = Callable[[Call], str | None]

_encoder = msgspec.json.Encoder(order="deterministic")


class KeyMaker:
    """Makes the keys of one cache.

    ``scope`` says who shares answers: all calls of a "tenant", of a "session" within it, or those
    with the same value of a tag: "tag:user".

    ``variant`` tells apart what has one name and is not the same.

    Raises ``ConfigurationError`` for another scope.
    """

    def __init__(self, scope: str, variant: str = "") -> None:
        self._subject = _subject_of(scope)
        self._variant = (variant,) if variant else ()

    def key(self, name: str, request: Request, call: Call) -> bytes | None:
        """The key of a request to the model of this name; None: the answer must not be kept."""
        subject = self._subject(call)
        if subject is None or call.kind != "answer":  # a cache has answers only, no vectors
            return None
        head = (_FORM, call.tenant, subject, name, call.fallbacks, *self._variant)
        try:
            return blake2b(_encode((*head, _plain(request))), digest_size=32).digest()
        except (TypeError, ValueError, RecursionError):  # an option that is no JSON
            return None


def canonical(request: Request) -> bytes:
    """The request as it stands in the key: the same bytes for all requests that are the same.

    >>> from polyvox.messages import Text, UserMessage
    >>> plain = Request(messages=[UserMessage([Text("Hi.")])], options={"a": {"x": 1, "y": 2}})
    >>> hinted = Request(
    ...     messages=[UserMessage([Text("Hi.", cache="long")])], options={"a": {"y": 2, "x": 1}}
    ... )
    >>> canonical(plain) == canonical(hinted)
    True
    """
    return _encode(_plain(request))


def _subject_of(scope: str) -> Subject:
    kind, _, tag = scope.partition(":")
    if scope == "tenant":
        return lambda call: ""
    if scope == "session":
        return lambda call: None if call.session is None else f"session:{call.session}"
    if kind == "tag" and tag:
        return lambda call: f"{scope}:{call.tags[tag]}" if tag in call.tags else None
    raise ConfigurationError(
        f"there is no scope {scope!r} of a cache",
        hint='It is "tenant", "session", or "tag:" and the name of a tag.',
    )


def _encode(value: Any) -> bytes:
    try:
        return _encoder.encode(value)
    except (UnicodeEncodeError, TypeError):  # half an emoji, or keys that are numbers
        return json.dumps(msgspec.to_builtins(value), sort_keys=True).encode()


def _plain(request: Request) -> Request:
    return replace(
        request,
        messages=[_plain_message(message) for message in request.messages],
        system=_unhinted(request.system),
        tools=_unhinted(request.tools),
        cache=None,
        metadata={},
        stream=True,
    )


def _plain_message(message: Message) -> Message:
    given: list[Any] = message.content
    content = _unhinted(given)
    if isinstance(message, AssistantMessage):
        return AssistantMessage(content, message.stop_reason)
    if isinstance(message, ToolMessage) and message.cache is not None:
        return replace(message, content=content, cache=None)
    return message if content is given else replace(message, content=content)


def _unhinted(hinted: list[_Hinted]) -> list[_Hinted]:
    """The same list where there is nothing to take away."""
    if any(each.cache is not None for each in hinted):
        return [replace(each, cache=None) for each in hinted]
    return hinted
