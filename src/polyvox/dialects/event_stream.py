r"""Amazon's event stream: binary messages, each with headers, a payload and two checksums.

From "Event Stream Specification" of the Smithy documentation and "Event stream encoding" in AWS's
documentation. A message is: its length and that of its headers, the checksum of both (the prelude),
headers, payload, the checksum of all of it. Numbers are big-endian, checksums CRC-32.

A message of the type "event" or "exception" is a frame with the name of that event or exception;
one of the type "error", which has no payload, is a frame "error" with its code and text as JSON.
"""

import struct
import zlib
from collections.abc import Callable, Iterator

from polyvox import jsontext
from polyvox.dialects.framing import FrameCutter, ServerSentEvent
from polyvox.errors import ProtocolError

__all__ = ["EventStreamReader", "encode_message", "rewritten", "split_messages"]

_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_LEAST = _PRELUDE.size + _CHECKSUM.size

_STRING = 7
_FIXED_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""The size of a header's value by its type, but for bytes (6) and strings (7), which say theirs."""


class EventStreamReader(FrameCutter):
    r"""Turn the bytes of an event stream, cut anywhere, into frames: one for each message.

    ``max_message_bytes`` bounds what one message may hold back. Time is linear in the bytes fed,
    however small the chunks.

    >>> reader, message = EventStreamReader(), encode_message(b"{}", "messageStop")
    >>> reader.feed(message[:9])
    []
    >>> reader.feed(message[9:])
    [ServerSentEvent(data=b'{}', event='messageStop')]
    """

    media_type = "application/vnd.amazon.eventstream"

    _frame = "a message of the event stream"
    _bound = "max_message_bytes"

    def __init__(self, max_message_bytes: int = 64 * 2**20) -> None:
        super().__init__(max_message_bytes)
        self._held = bytearray()  # the messages not read yet
        self._headers = b""
        self._told: dict[str, str] = {}  # what those headers say; most messages have the same

    def _cut(self, chunk: bytes, frames: list[ServerSentEvent]) -> None:
        self._held += chunk
        start = 0
        try:
            while len(self._held) - start >= _PRELUDE.size:
                size = self._size(start)
                if len(self._held) - start < size:
                    return
                frames.append(self._read(bytes(self._held[start : start + size])))
                start += size
        finally:
            del self._held[:start]

    def _finish(self, frames: list[ServerSentEvent]) -> None:
        """Of a message cut short nothing can be told."""
        self._let_go()

    def _let_go(self) -> None:
        self._held.clear()

    def _size(self, start: int) -> int:
        """The size of the message that begins here. Its checksum comes first: a wrong one misleads."""
        size, headers, checksum = _PRELUDE.unpack_from(self._held, start)
        if zlib.crc32(self._held[start : start + 8]) != checksum:
            raise ProtocolError("the event stream is damaged: the checksum of a prelude is wrong")
        if size < _LEAST + headers:
            raise ProtocolError("the event stream is damaged: a message is shorter than its parts")
        self._check(size)
        return size

    def _read(self, message: bytes) -> ServerSentEvent:
        end = len(message) - _CHECKSUM.size
        if zlib.crc32(message[:end]) != _CHECKSUM.unpack_from(message, end)[0]:
            raise ProtocolError("the event stream is damaged: the checksum of a message is wrong")
        body = _PRELUDE.size + _PRELUDE.unpack_from(message)[1]
        headers = message[_PRELUDE.size : body]
        if headers != self._headers:
            self._headers, self._told = headers, dict(_headers(headers))
        told = self._told
        kind = told.get(":message-type", "event")
        if kind == "error":
            code, text = told.get(":error-code", ""), told.get(":error-message", "")
            return ServerSentEvent(jsontext.encode({"code": code, "message": text}), "error")
        return ServerSentEvent(message[body:end], told.get(f":{kind}-type", ""))


def _headers(data: bytes) -> Iterator[tuple[str, str]]:
    """The headers whose values are strings; the others say nothing to us."""
    place = 0
    try:
        while place < len(data):
            name, place = _piece(data, place + 1, data[place])
            kind = data[place]
            place += 1
            if kind in _FIXED_SIZES:
                _, place = _piece(data, place, _FIXED_SIZES[kind])
                continue
            (size,) = _LENGTH.unpack_from(data, place)
            value, place = _piece(data, place + _LENGTH.size, size)
            if kind == _STRING:
                yield name.decode(), value.decode()
    except (IndexError, struct.error, UnicodeDecodeError):
        raise ProtocolError("the event stream is damaged: a message's headers are none") from None


def _piece(data: bytes, start: int, size: int) -> tuple[bytes, int]:
    """So many bytes from here, and the place behind them. Raises ``IndexError`` if there are fewer."""
    end = start + size
    if end > len(data):
        raise IndexError(end)
    return data[start:end], end


def encode_message(payload: bytes, name: str, kind: str = "event") -> bytes:
    """Write one event, or with the ``kind`` "exception" an exception, of that name; its payload is JSON."""
    told = {f":{kind}-type": name, ":content-type": "application/json", ":message-type": kind}
    headers = b"".join(_header(*each) for each in told.items())
    size = _LEAST + len(headers) + len(payload)
    sizes = struct.pack(">II", size, len(headers))
    message = sizes + _CHECKSUM.pack(zlib.crc32(sizes)) + headers + payload
    return message + _CHECKSUM.pack(zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    start = bytes([len(name)]) + name.encode() + bytes([_STRING])
    return start + _LENGTH.pack(len(value)) + value.encode()


def split_messages(body: bytes) -> list[bytes]:
    """The messages in these bytes, which hold nothing else."""
    messages: list[bytes] = []
    while body:
        size = _PRELUDE.unpack_from(body)[0]
        messages.append(body[:size])
        body = body[size:]
    return messages


def rewritten(message: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """An event's message with its payload changed."""
    (frame,) = EventStreamReader().feed(message)
    return encode_message(change(frame.data), frame.event)
