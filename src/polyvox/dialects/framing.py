"""What all readers of frames share: what is held back has a bound, and what broke stays broken."""

from typing import ClassVar

import msgspec

from polyvox.errors import ProtocolError

__all__ = ["FrameCutter", "LineCutter", "Run", "ServerSentEvent", "too_long"]

_LF = 10  # a number: looking for one in bytes is several times as fast as for b"\n"


class ServerSentEvent(msgspec.Struct, gc=False):
    """One event: its data lines joined by LF, as UTF-8 bytes, and its name, "" when not given."""

    data: bytes
    event: str = ""


class Run(ServerSentEvent, gc=False):
    """Consecutive frames, each of which brings a piece of text to one block and nothing else.

    A reader makes runs only for the decoder of a dialect that knows them. ``texts`` are the pieces,
    none of them empty; ``index`` and ``kind`` say of which block, where the dialect does. ``data``
    is that of all frames, one on a line, and ``event`` the name that they share.
    """

    texts: list[str] = []
    index: int = 0
    kind: str = ""

    def frames(self) -> list[ServerSentEvent]:
        """The frames as they came, for a decoder that can't use the texts just now."""
        return [ServerSentEvent(data, self.event) for data in self.data.split(b"\n")]


def too_long(frame: str, limit: int, bound: str) -> ProtocolError:
    """The error of a frame that holds back more than ``limit`` bytes; ``bound`` is the argument."""
    return ProtocolError(
        f"{frame} is longer than {limit} bytes ({bound})",
        hint=f"Raise {bound} if such a size is expected here.",
    )


class FrameCutter:
    """A ``polyvox.dialects.FrameReader`` without the knowledge of where a frame ends.

    ``_frame`` says what a frame is called, ``_bound`` which argument bounds its size in bytes.
    """

    _frame: ClassVar[str]
    _bound: ClassVar[str]

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._error: ProtocolError | None = None

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the body and return the frames they complete.

        Raises ``ProtocolError`` for a frame that is too long, or what is none. Frames completed
        before it in the same chunk are returned first; the error then comes with the next call. A
        reader that has raised stays broken.
        """
        frames: list[ServerSentEvent] = []
        if self._error is not None:
            raise self._error
        try:
            self._cut(chunk, frames)
        except ProtocolError as error:
            self._break(error, frames)
        return frames

    def close(self) -> list[ServerSentEvent]:
        """Say that the body has ended, and return its last frame if only the end of that is missing.

        If the body was cut instead, that is JSON cut short, which no JSON decoder accepts. Raises
        ``ProtocolError`` as ``feed`` does.
        """
        frames: list[ServerSentEvent] = []
        if self._error is not None:
            raise self._error
        try:
            self._finish(frames)
        except ProtocolError as error:
            self._break(error, frames)
        return frames

    def _cut(self, chunk: bytes, frames: list[ServerSentEvent]) -> None:
        """Add the frames that these bytes complete."""
        raise NotImplementedError

    def _finish(self, frames: list[ServerSentEvent]) -> None:
        """Add what is left."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """A broken reader holds nothing."""
        raise NotImplementedError

    def _break(self, error: ProtocolError, frames: list[ServerSentEvent]) -> None:
        self._error = error
        self._let_go()
        if not frames:
            raise error

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise too_long(self._frame, self._limit, self._bound)


class LineCutter(FrameCutter):
    """A ``FrameCutter`` for frames that are made of lines, each ended by LF."""

    _size = 0  # bytes that are held back besides

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._tail = bytearray()  # the line not finished yet

    def _read(self, lines: list[bytes], frames: list[ServerSentEvent]) -> None:
        """Add the frames that these lines complete."""
        raise NotImplementedError

    def _cut(self, chunk: bytes, frames: list[ServerSentEvent]) -> None:
        if _LF in chunk:
            if self._tail:
                self._tail += chunk
                chunk = bytes(self._tail)
                self._tail.clear()
            lines = chunk.split(b"\n")
            chunk = lines.pop()
            self._read(lines, frames)
        if chunk:
            self._tail += chunk
            self._check(self._size + len(self._tail))

    def _finish(self, frames: list[ServerSentEvent]) -> None:
        last = bytes(self._tail)
        self._tail.clear()
        self._read([last], frames)

    def _let_go(self) -> None:
        self._tail.clear()
