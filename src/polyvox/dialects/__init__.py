"""Dialects: the wire formats, as codecs without I/O.

Belongs here: turning our vocabulary into a provider's bytes and back, in both directions.
Does not belong here: sockets, retries, prices, anything that waits.
"""

from importlib import import_module

from polyvox.dialects.base import (
    Dialect,
    FrameReader,
    Place,
    Quirks,
    Route,
    StreamDecoder,
    StreamEncoder,
    Target,
    find_route,
)
from polyvox.dialects.sse import ServerSentEvent, SSEReader

__all__ = [
    "DIALECTS",
    "Dialect",
    "FrameReader",
    "Place",
    "Quirks",
    "Route",
    "SSEReader",
    "ServerSentEvent",
    "StreamDecoder",
    "StreamEncoder",
    "Target",
    "find_route",
    "get_dialect",
]

DIALECTS = {
    "openai-chat": "polyvox.dialects.openai_chat",
    "anthropic-messages": "polyvox.dialects.anthropic_messages",
    "openai-responses": "polyvox.dialects.openai_responses",
    "gemini": "polyvox.dialects.gemini",
    "ollama": "polyvox.dialects.ollama",
    "bedrock-converse": "polyvox.dialects.bedrock_converse",
}
"""Every dialect by name, with the module that holds it as ``DIALECT``."""


def get_dialect(name: str) -> Dialect:
    """The dialect of that name; its module is imported now. Raises ``KeyError`` for an unknown name.

    >>> get_dialect("openai-chat").base_path
    '/v1'
    """
    dialect: Dialect = import_module(DIALECTS[name]).DIALECT
    return dialect
