"""Server-sent events: the framing under every streamed dialect, read and written as bytes.

The reader follows the WHATWG HTML standard, section "Server-sent events", parts "Parsing an event
stream" and "Interpreting an event stream". Data stays UTF-8 bytes from socket to JSON decoder, so
U+2028 and its kin inside a string are never taken for line ends, and invalid UTF-8 is for the JSON
decoder to refuse. `id` and `retry` steer a browser's reconnecting, which no model API supports;
they are ignored like unknown fields.
"""

from polyvox.dialects.framing import LineCutter, Run, ServerSentEvent

__all__ = ["Run", "SSEReader", "ServerSentEvent", "encode_comment", "encode_event"]

_BOM = b"\xef\xbb\xbf"
_CR = 13  # a number: looking for one in bytes is several times as fast as for b"\r"


class SSEReader(LineCutter):
    r"""Turn the bytes of an event stream, cut anywhere, into events.

    `max_event_bytes` bounds what one event may hold back: its data lines as sent, plus any line
    not finished yet. Time is linear in the bytes fed, however small the chunks.

    >>> reader = SSEReader()
    >>> reader.feed(b': ping\n\ndata: {"a"')
    []
    >>> reader.feed(b": 1}\n\n")
    [ServerSentEvent(data=b'{"a": 1}', event='')]
    """

    media_type = "text/event-stream"

    _frame = "a server-sent event"
    _bound = "max_event_bytes"

    def __init__(self, max_event_bytes: int = 64 * 2**20) -> None:
        super().__init__(max_event_bytes)
        self._head: bytes | None = b""  # the first bytes, while they may be part of a BOM
        self._after_cr = False  # the last chunk ended in CR: an LF coming first belongs to it
        self._data: bytes | bytearray | None = None  # a bytearray from the second line on
        self._size = 0  # bytes of the data lines so far, as sent
        self._event = ""

    def _cut(self, chunk: bytes, frames: list[ServerSentEvent]) -> None:
        if self._head is not None:
            chunk = self._without_bom(chunk)
        if self._after_cr or _CR in chunk:
            chunk = self._with_line_feeds(chunk)
        super()._cut(chunk, frames)

    def _finish(self, frames: list[ServerSentEvent]) -> None:
        """The standard drops an event that no blank line ends. We deliver it when it has data.

        Even in a line without an end, because providers do forget the last blank line.
        """
        super()._finish(frames)
        self._read([b""], frames)

    def _let_go(self) -> None:
        super()._let_go()
        self._data = None

    def _without_bom(self, chunk: bytes) -> bytes:
        start = (self._head or b"") + chunk
        if _BOM.startswith(start):
            self._head = start
            return b""
        self._head = None
        return start.removeprefix(_BOM)

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """CR and CRLF become LF. A CR that comes last ends its line at once: no event waits."""
        if not chunk:
            return chunk
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read(self, lines: list[bytes], frames: list[ServerSentEvent]) -> None:
        for line in lines:
            if not line:
                if self._data is not None:
                    frames.append(ServerSentEvent(bytes(self._data), self._event))
                    self._data = None
                    self._size = 0
                self._event = ""
            elif line[:6] == b"data: ":
                self._add_data(line, line[6:])
            else:
                self._read_field(line)

    def _add_data(self, line: bytes, value: bytes) -> None:
        self._size += len(line)
        self._check(self._size)
        if self._data is None:
            self._data = value
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(self._data)
        self._data += b"\n"
        self._data += value

    def _read_field(self, line: bytes) -> None:
        self._check(self._size + len(line))
        name, _, value = line.partition(b":")  # a comment is a line whose name is empty
        value = value.removeprefix(b" ")
        if name == b"data":
            self._add_data(line, value)
        elif name == b"event":
            self._event = value.decode(errors="replace")


def encode_event(data: bytes | str, event: str = "") -> bytes:
    r"""Write one event. Each line of `data` (ended by LF, CR or CRLF) becomes a data line.

    Raises `ValueError` when the event's name holds a line end, which no escape could save.

    >>> encode_event('{"a": 1}', event="delta")
    b'event: delta\ndata: {"a": 1}\n\n'
    """
    if "\n" in event or "\r" in event:
        raise ValueError(f"an event's name cannot hold a line end: {event!r}")
    lines = _prefix_lines(b"data: ", data)
    return b"event: %b\n%b\n\n" % (event.encode(), lines) if event else lines + b"\n\n"


def encode_comment(text: str) -> bytes:
    r"""Write a comment, which readers skip: it keeps an idle connection open.

    >>> encode_comment("ping")
    b': ping\n\n'
    """
    return _prefix_lines(b": ", text) + b"\n\n"


def _prefix_lines(prefix: bytes, text: bytes | str) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    if _CR in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return prefix + data.replace(b"\n", b"\n" + prefix)
