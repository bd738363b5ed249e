"""Reading the segments of a journal, also while it is being written."""

from contextlib import suppress

from polyvox.gateway.journal.folders import Folder

__all__ = ["MOST", "Reader"]

MOST = 1 << 20


class Reader:
    """Reads whole lines from a position on: a segment, and an offset in it.

    What stands after the last line feed of a segment is no line: it is being written, or was cut off.
    """

    def __init__(self, folder: Folder, segment: int, offset: int = 0) -> None:
        self.segment = segment
        self.offset = offset
        self._folder = folder

    def read(self, most: int = MOST) -> bytes:
        """The next lines, about so many bytes of them, all of one segment; none at the end for now.

        They are given again until the reader is told to ``pass_by`` them. Raises ``OSError``.
        """
        while True:
            # Looked for before the reading: a segment that has a successor then is complete.
            later = [number for number in self._folder.segments() if number > self.segment]
            data = self._bytes(most)
            if data or not later:
                return data
            self.segment, self.offset = later[0], 0

    def pass_by(self, size: int) -> None:
        """Go on after so many bytes."""
        self.offset += size

    def tail(self) -> bytes:
        """What stands after the last line."""
        with suppress(FileNotFoundError), open(self._folder.segment(self.segment), "rb") as file:
            file.seek(self.offset)
            return file.read()
        return b""

    def _bytes(self, most: int) -> bytes:
        with suppress(FileNotFoundError), open(self._folder.segment(self.segment), "rb") as file:
            file.seek(self.offset)
            data = file.read(most)
            if len(data) == most and b"\n" not in data:  # something that no journal writes
                data += file.read()
            return data[: data.rfind(b"\n") + 1]
        return b""
