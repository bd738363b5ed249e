"""Newline-delimited JSON: one value to a line, read and written as bytes.

The reader follows the NDJSON specification ("Newline Delimited JSON", section "Parsing"): a line ends
with LF, CR before it belongs to the end, blank lines say nothing. Inside a JSON string neither can
stand unescaped. Values stay UTF-8 bytes from socket to JSON decoder.
"""

from polyvox.dialects.sse import ServerSentEvent
from polyvox.errors import ProtocolError

__all__ = ["NDJSONReader", "encode_line"]

_LF = 10  # a number: looking for one in bytes is several times as fast as for b"\n"


class NDJSONReader:
    r"""Turn the bytes of a body of lines, cut anywhere, into frames: one for each line.

    ``max_line_bytes`` bounds what one line may hold back. Time is linear in the bytes fed, however
    small the chunks.

    >>> reader = NDJSONReader()
    >>> reader.feed(b'{"a": 1}\r\n\n{"b"')
    [ServerSentEvent(data=b'{"a": 1}', event='')]
    >>> reader.feed(b": 2}\n")
    [ServerSentEvent(data=b'{"b": 2}', event='')]
    """

    media_type = "application/x-ndjson"

    def __init__(self, max_line_bytes: int = 64 * 2**20) -> None:
        self._limit = max_line_bytes
        self._tail = bytearray()  # the line not finished yet
        self._overflowed = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the body and return the frames they complete.

        Raises ``ProtocolError`` when a line exceeds ``max_line_bytes``. Lines completed before it in
        the same chunk are returned first; the error then comes with the next call. A reader that
        has raised stays broken.
        """
        if self._overflowed:
            raise self._too_long()
        if _LF not in chunk:
            return self._read([], chunk)
        if self._tail:
            self._tail += chunk
            chunk = bytes(self._tail)
            self._tail.clear()
        lines = chunk.split(b"\n")
        return self._read(lines, lines.pop())

    def close(self) -> list[ServerSentEvent]:
        """Say that the body has ended, and return its last line if nothing ended that.

        If the body was cut instead, the line is a JSON value cut short, which no JSON decoder
        accepts. Raises ``ProtocolError`` as ``feed`` does.
        """
        if self._overflowed:
            raise self._too_long()
        last = bytes(self._tail)
        self._tail.clear()
        return self._read([last], b"")

    def _read(self, lines: list[bytes], rest: bytes) -> list[ServerSentEvent]:
        frames: list[ServerSentEvent] = []
        for line in lines:
            if len(line) > self._limit:
                return self._overflow(frames)
            data = line.strip()
            if data:
                frames.append(ServerSentEvent(data))
        if rest:
            self._tail += rest
            if len(self._tail) > self._limit:
                return self._overflow(frames)
        return frames

    def _overflow(self, frames: list[ServerSentEvent]) -> list[ServerSentEvent]:
        self._overflowed = True
        self._tail.clear()  # a broken reader holds nothing
        if not frames:
            raise self._too_long()
        return frames

    def _too_long(self) -> ProtocolError:
        return ProtocolError(
            f"a line of the stream is longer than {self._limit} bytes (max_line_bytes)",
            hint="Raise max_line_bytes if lines of this size are expected here.",
        )


def encode_line(data: bytes) -> bytes:
    r"""Write one JSON value as a line. Line ends between its tokens, the only place for them, go.

    >>> encode_line(b'{\n"a": 1}')
    b'{ "a": 1}\n'
    """
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
    return data + b"\n"
