"""The frames of a streamed answer: server-sent events with ``alt=sse``, else one JSON array.

From "Generating content", method ``models.streamGenerateContent``, of the Gemini API reference. We
ask for events; a gateway in between may drop the query, so the first bytes decide.
"""

from polyvox.dialects.base import FrameReader
from polyvox.dialects.event_frames import event_frames
from polyvox.dialects.json_array import JsonArrayReader
from polyvox.dialects.sse import ServerSentEvent

__all__ = ["GeminiFrames"]


class GeminiFrames:
    r"""Cuts a body into frames, whichever of the two forms it has.

    >>> GeminiFrames().feed(b'[{"a": 1},')
    [ServerSentEvent(data=b'{"a": 1}', event='')]
    >>> GeminiFrames().feed(b'data: {"a": 1}\n\n')
    [ServerSentEvent(data=b'{"a": 1}', event='')]
    """

    media_type = "text/event-stream"

    def __init__(self) -> None:
        self._reader: FrameReader | JsonArrayReader | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The frames that these bytes complete. Raises ``ProtocolError`` for one that is too long."""
        if self._reader is None:
            head = chunk.lstrip()
            if not head:
                return []
            self._reader = JsonArrayReader() if head.startswith(b"[") else event_frames()
        return self._reader.feed(chunk)

    def close(self) -> list[ServerSentEvent]:
        """The body is over: the frame that was still owed its end."""
        return [] if self._reader is None else self._reader.close()
