"""Results: one line of JSON for every answer, written as soon as it is there.

The first line says what the file is. A line that a crash has cut short is taken off again.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from polyvox import jsontext
from polyvox.closing import Closing
from polyvox.errors import ConfigurationError
from polyvox.usage import ZERO_USAGE, Usage

__all__ = ["Key", "Result", "ResultsFile"]

_HEAD = b'{"polyvox":"evaluation","version":1}\n'


class Key(NamedTuple):
    """What an answer is to: which model, which case as it stands now, for the how many-th time."""

    model: str
    case: str
    digest: str
    sample: int


class Result(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One answer and its score, or the error because of which there is none.

    ``note`` says why it was wrong, or what the grader says. ``usage`` is what the answer took,
    ``grading`` what it took to grade it. ``seconds`` are those of the answer.
    """

    model: str
    case: str
    digest: str
    sample: int = 0
    score: float | None = None
    correct: bool = False
    note: str = ""
    text: str = ""
    error: dict[str, Any] | None = None
    usage: Usage = ZERO_USAGE
    grading: Usage = ZERO_USAGE
    seconds: float = 0.0

    @property
    def key(self) -> Key:
        """What it is the answer to."""
        return Key(self.model, self.case, self.digest, self.sample)


class ResultsFile(Closing):
    """Results that outlive the process.

    ``done`` are those that are there already: answers before errors, the last of several. Raises
    ``ConfigurationError`` for a file of something else, which is left as it is.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.done: dict[Key, Result] = {}
        try:
            exists = self.path.exists()
            if exists and not self.path.is_file():  # a device may be read without end
                raise self._error("are to be kept in a file, and that is something else")
            data = self.path.read_bytes() if exists else b""
            whole = self._read(data)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            if whole < len(data):
                os.ftruncate(self._file, whole)
            if not whole:
                self._write(_HEAD)
        except OSError as error:
            raise self._error(f"can't be written: {error.strerror}") from None

    def append(self, result: Result) -> None:
        """Write one down. Raises ``ConfigurationError`` when that is not possible."""
        try:
            self._write(jsontext.encode(result) + b"\n")
        except OSError as error:
            raise self._error(f"can't be written: {error.strerror}") from None

    def close(self) -> None:
        """Nothing more will be written."""
        os.close(self._file)

    def _write(self, line: bytes) -> None:
        while line:
            line = line[os.write(self._file, line) :]

    def _read(self, data: bytes) -> int:
        """Take in what is there; how many bytes of it are whole lines."""
        if _HEAD.startswith(data):  # empty, or cut within its first line
            return 0 if data != _HEAD else len(_HEAD)
        if not data.startswith(_HEAD):
            hint = "Name a new file; this one was left as it is."
            raise self._error("is no file of an evaluation's results", hint)
        whole = data.rfind(b"\n") + 1
        self._take(data[len(_HEAD) : whole].splitlines())
        return whole

    def _take(self, lines: Iterable[bytes]) -> None:
        decoder = msgspec.json.Decoder(Result)
        for number, line in enumerate(lines, start=2):
            if line == _HEAD.rstrip():  # of another evaluation that began it at the same time
                continue
            try:
                result = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                text = f"line {number}: this is no result: {error}"
                raise self._error(text, "Take the line out, or name a new file.") from None
            before = self.done.get(result.key)
            if result.error is None or before is None or before.error is not None:
                self.done[result.key] = result

    def _error(self, text: str, hint: str | None = None) -> ConfigurationError:
        return ConfigurationError(f"the results {self.path} {text}", hint=hint)
