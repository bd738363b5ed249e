"""Lines of the gateway's log: written by a thread, so that whoever reads them never holds up a call."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import IO, Any, Literal, TypeAlias

import msgspec

from polyvox import jsontext
from polyvox.closing import Closing

__all__ = ["Format", "LogLines", "Repeats"]

Format: TypeAlias = Literal["json", "plain", "off"]

_GATHER_SECONDS = 0.05
_CLOSE_SECONDS = 2.0
_MOST_AT_ONCE = 1_000  # while they are put into JSON nobody else has the interpreter
_encoder = msgspec.json.Encoder()


class LogLines(Closing):
    """Writes lines as JSON or plainly, behind the program's back.

    At most so many wait; when whoever reads them is slower than that, the newest are dropped, and a
    line says how many.

    Args:
        form: "json", "plain" for people, or "off".
        stream: where they go; stderr by default.
        most: how many may wait.
        clock: the time.
    """

    def __init__(
        self,
        form: Format = "json",
        stream: IO[str] | None = None,
        *,
        most: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.form: Format = form
        self.dropped = 0
        self._stream = stream or sys.stderr
        self._most = most
        self.clock = clock
        self._waiting: deque[dict[str, Any]] = deque()
        self._told = 0
        self._come = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="polyvox-log", daemon=True)
        if form != "off":
            self._thread.start()

    def write(self, about: str, **fields: Any) -> None:
        """A line: what it is about, and fields of plain JSON values. Fields that are None are left out."""
        said = {name: value for name, value in fields.items() if value is not None}
        self.add({"at": self.clock(), "about": about, **said})

    def add(self, line: dict[str, Any]) -> None:
        """A line as it is to stand there: "at" and "about" first; it is nobody else's from now on."""
        if self.form == "off":
            return
        if len(self._waiting) >= self._most or self._closed.is_set():
            self.dropped += 1
            return
        self._waiting.append(line)
        if not self._come.is_set():
            self._come.set()

    def close(self) -> None:
        """Write what waits; not for long, if nobody reads it."""
        if self.form == "off" or self._closed.is_set():
            return
        self._closed.set()
        self._come.set()
        self._thread.join(_CLOSE_SECONDS)

    def _work(self) -> None:
        while not (self._closed.is_set() and not self._waiting):
            self._come.wait()
            self._closed.wait(_GATHER_SECONDS)
            self._come.clear()
            self._flush()

    def _flush(self) -> None:
        while size := min(len(self._waiting), _MOST_AT_ONCE):
            self._put([self._waiting.popleft() for _ in range(size)])
        if (dropped := self.dropped) > self._told:
            note = {"at": self.clock(), "about": "log", "dropped": dropped - self._told}
            self._told = dropped
            self._put([note])

    def _put(self, lines: list[dict[str, Any]]) -> None:
        text = _json(lines) if self.form == "json" else "".join(map(_plain, lines))
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # whoever read them is gone
            self.dropped += len(lines)
            self._told = self.dropped


def _json(lines: list[dict[str, Any]]) -> str:
    for line in lines:
        line["at"] = _moment(line["at"])
    try:
        return _encoder.encode_lines(lines).decode()
    except UnicodeEncodeError:  # half an emoji, or a file whose name is no text
        return "".join(f"{jsontext.encode(line).decode()}\n" for line in lines)


def _moment(at: float) -> str:
    """A point in time as RFC 3339 has it, to the millisecond."""
    return f"{_second(int(at))}.{int(at % 1 * 1000):03d}Z"


@lru_cache(8)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def _plain(line: dict[str, Any]) -> str:
    """A line for people."""
    at = time.strftime("%H:%M:%S", time.localtime(line["at"]))
    words = (_word(name, value) for name, value in line.items() if name != "at")
    return " ".join([at, *words]) + "\n"


def _word(name: str, value: Any) -> str:
    """A field for people: no control characters, and quotes where a value would not be told from the next."""
    text = value if isinstance(value, str) else jsontext.encode(value).decode()
    if name == "about":
        return text
    plain = text.isprintable() and " " not in text and text
    return f"{name}={text if plain else jsontext.encode(text).decode()}"


class Repeats:
    """Lets through so many of a kind in a period, and says how many it has held back since.

    While Redis or a provider is down every call fails in the same way; one line for each would tell
    nothing more, and fill the disk.
    """

    def __init__(
        self,
        most: int = 10,
        per_seconds: float = 60.0,
        *,
        kinds: int = 500,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._seconds, self._kinds = most, per_seconds, kinds
        self._clock = clock
        self._seen: dict[
            object, list[float]
        ] = {}  # by kind: until when, how many, how many held back

    def passes(self, kind: object) -> int | None:
        """None if this one is to be held back; else how many were since the last one that was not."""
        now = self._clock()
        seen = self._seen.get(kind)
        if seen is None or now >= seen[0]:
            held = 0 if seen is None else int(seen[2])
            if seen is None and len(self._seen) >= self._kinds:
                self._seen.clear()
            self._seen[kind] = [now + self._seconds, 1, 0]
            return held
        seen[1] += 1
        if seen[1] <= self._most:
            return 0
        seen[2] += 1
        return None
