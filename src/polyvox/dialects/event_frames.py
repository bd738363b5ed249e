"""Who cuts server-sent events: compiled code where polyvox-native is installed, else Python.

Both give a decoder the same events; the compiled reader also joins frames that bring nothing but a
piece of text to a ``Run``. POLYVOX_TRANSPORT=aiohttp switches it off together with its transport.
"""

import os
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

from polyvox.dialects.base import FrameReader
from polyvox.dialects.framing import Run, ServerSentEvent, too_long
from polyvox.dialects.sse import SSEReader

__all__ = ["NativeSSEReader", "event_frames"]


class NativeSSEReader:
    """An ``SSEReader`` in compiled code: same events, same errors.

    For ``dialect``, if it is one that the wheel knows, it gives runs, too.
    """

    media_type = SSEReader.media_type

    def __init__(self, max_event_bytes: int = 64 * 2**20, *, dialect: str = "") -> None:
        make: Any = _compiled()
        error = partial(too_long, "a server-sent event", max_event_bytes, "max_event_bytes")
        reader = make(ServerSentEvent, Run, error, max_event_bytes, dialect)
        self.feed: Callable[[bytes], list[ServerSentEvent]] = reader.feed
        self.close: Callable[[], list[ServerSentEvent]] = reader.close

    @staticmethod
    def available() -> bool:
        """Whether the wheel is there that has it."""
        return _compiled() is not None


def event_frames(dialect: str = "") -> FrameReader:
    """A reader of server-sent events, for the decoder of this dialect.

    >>> event_frames("openai-chat").media_type
    'text/event-stream'
    """
    return NativeSSEReader(dialect=dialect) if _by_compiled_code() else SSEReader()


@cache
def _by_compiled_code() -> bool:
    """Who cuts in this process; looked up once, for every answer asks."""
    switched_off = os.environ.get("POLYVOX_TRANSPORT", "").strip() == "aiohttp"
    return not switched_off and NativeSSEReader.available()


@cache
def _compiled() -> Any:
    """The class in the wheel, or None."""
    try:
        return getattr(import_module("polyvox_native"), "SseReader", None)
    except ImportError:
        return None
