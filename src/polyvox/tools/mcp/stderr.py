"""What a server writes to its stderr: for a log, and for the error when it does not start.

Nothing of it is shown on the terminal unless the user says so: a program's own output is there.
"""

import asyncio
import logging
import os
import threading
from collections import deque
from contextlib import suppress
from typing import IO, TextIO

__all__ = ["Stderr"]

_LOGGER = logging.getLogger("polyvox.mcp")
_KEPT = 10
_LONGEST = 2_000
_PATIENCE = 1.0


class Stderr:
    """Reads one server's stderr, in a thread: a pipe can't be read otherwise on every system.

    Each line goes to ``sink``, or else to the logger "polyvox.mcp" at the level INFO.
    """

    def __init__(self, name: str, sink: TextIO | None) -> None:
        self._name = name
        self._sink = sink
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._thread: threading.Thread | None = None

    def open(self) -> TextIO:
        """The end of the pipe that the server gets; close it once it has."""
        reading, writing = os.pipe()
        source = os.fdopen(reading, "rb")
        self._thread = threading.Thread(
            target=self._read, args=(source,), name="polyvox-mcp-stderr", daemon=True
        )
        self._thread.start()
        return os.fdopen(writing, "w")

    async def last_lines(self) -> str:
        """The last lines; waits a moment for what is still in the pipe of a server that ended."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _PATIENCE)
        return "\n".join(self._lines)

    def tell(self, line: str) -> None:
        """A line, of its stderr or of its stdout where it is no message; from any thread."""
        self._lines.append(line[:_LONGEST])
        if self._sink is None:
            _LOGGER.info("%s: %s", self._name, line)
            return
        with suppress(OSError, ValueError):  # it is closed, or can't write all characters
            print(line, file=self._sink, flush=True)

    def _read(self, source: IO[bytes]) -> None:
        with source:
            while data := source.readline(_LONGEST):  # however long a line, memory is bounded
                self.tell(data.decode(errors="replace").rstrip("\r\n"))
