"""Newline-delimited JSON: one value to a line, read and written as bytes.

The reader follows the NDJSON specification ("Newline Delimited JSON", section "Parsing"): a line ends
with LF, CR before it belongs to the end, blank lines say nothing. Inside a JSON string neither can
stand unescaped. Values stay UTF-8 bytes from socket to JSON decoder.
"""

from polyvox.dialects.framing import LineCutter, ServerSentEvent

__all__ = ["NDJSONReader", "encode_line"]


class NDJSONReader(LineCutter):
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

    _frame = "a line of the stream"
    _bound = "max_line_bytes"

    def __init__(self, max_line_bytes: int = 64 * 2**20) -> None:
        super().__init__(max_line_bytes)

    def _read(self, lines: list[bytes], frames: list[ServerSentEvent]) -> None:
        for line in lines:
            self._check(len(line))
            data = line.strip()
            if data:
                frames.append(ServerSentEvent(data))


def encode_line(data: bytes) -> bytes:
    r"""Write one JSON value as a line. Line ends between its tokens, the only place for them, go.

    >>> encode_line(b'{\n"a": 1}')
    b'{ "a": 1}\n'
    """
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\r", b" ").replace(b"\n", b" ")
    return data + b"\n"
