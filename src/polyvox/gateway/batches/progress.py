"""What has become of each line of a batch: written down before it is asked, and when its answer is there.

    S <line>                 it is asked
    B <line>                 it was given back: nobody was asked, or we were told to stop
    D <line> <0 or 1> <...>  its answer, as it stands in the output (1) or among the errors (0)

Whoever works on the batch has a file of its own, so that a process that is not dead after all, but only
slow, spoils nothing; the files of those before are read at the beginning. A file survives the end of its
process at any moment: what is cut off in its last line is not read. Forcing it onto the disk, against
the end of the machine, takes place now and then.
"""

import os
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["MOST_STARTS", "Outcome", "Progress"]

MOST_STARTS = 2
"""A line that was asked so often, each time until the process died, is not asked again."""


class Outcome(NamedTuple):
    """What was written of the lines: how many bytes of answers, how many of errors."""

    answers: int
    errors: int


class Progress:
    """How far a batch has come.

    Args:
        folder: where the files of all batches are.
        batch: its id.
        turn: the how-manieth it is that we are to work on it.
        total: how many lines it has.
    """

    def __init__(self, folder: Path, batch: str, turn: int, total: int) -> None:
        self._folder = folder
        self._batch = batch
        self._starts = bytearray(total)
        self._where: array[int] = array("q", [-1]) * total
        self._file_of: array[int] = array("i", [-1]) * total
        self._read: list[Path] = []
        self.completed = 0
        self.failed = 0
        before = sorted(folder.glob(f"{batch}.*.log"), key=_turn_of)
        for path in (each for each in before if _turn_of(each) < turn):
            self._replay(path)
        path = folder / f"{batch}.{turn}.log"
        self._own = len(self._read)
        self._read.append(path)
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        self._size = 0
        self._unforced = False

    def is_done(self, line: int) -> bool:
        """Whether its answer is there."""
        return self._file_of[line] >= 0

    def is_spent(self, line: int) -> bool:
        """Whether it was in flight too often when its process died."""
        return self._starts[line] >= MOST_STARTS

    def left(self) -> Iterator[int]:
        """The lines without an answer, as they stand when they are come to."""
        return (line for line in range(len(self._starts)) if not self.is_done(line))

    def begin(self, line: int) -> None:
        """It is about to be asked."""
        self._append(b"S %d\n" % line)

    def give_back(self, line: int) -> None:
        """It was not asked after all."""
        self._append(b"B %d\n" % line)

    def end(self, line: int, told: bytes, *, good: bool) -> None:
        """Its answer, in one line without its end."""
        start = self._size
        self._append(b"D %d %d %b\n" % (line, good, told))
        self._note(line, start, self._own, good=good)

    def force(self) -> None:
        """Onto the disk, from any thread."""
        if self._unforced:
            self._unforced = False
            os.fsync(self._file)

    def close(self) -> None:
        """Write nothing more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def forget(self) -> None:
        """Delete all of it."""
        self.close()
        for path in self._folder.glob(f"{self._batch}.*.log"):
            path.unlink(missing_ok=True)

    def write(self, answers: Path, errors: Path, unasked: Callable[[int], bytes]) -> Outcome:
        """Everything in the order of the lines; of those without an answer what ``unasked`` says."""
        sources = [path.open("rb") for path in self._read]
        try:
            with _new(answers) as good, _new(errors) as bad:
                for line, place in enumerate(self._file_of):
                    if place < 0:
                        bad.write(unasked(line) + b"\n")
                        continue
                    sources[place].seek(self._where[line])
                    _, _, is_good, told = sources[place].readline().split(b" ", 3)
                    (good if is_good == b"1" else bad).write(told)
                sizes = Outcome(good.tell(), bad.tell())
                for file in (good, bad):
                    file.flush()
                    os.fsync(file.fileno())
                return sizes
        finally:
            for source in sources:
                source.close()

    def _append(self, record: bytes) -> None:
        """Whole or not at all, unless the process ends meanwhile."""
        rest = memoryview(record)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._size)
            os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size += len(record)
        self._unforced = True

    def _replay(self, path: Path) -> None:
        place = len(self._read)
        self._read.append(path)
        with path.open("rb") as file:
            start = 0
            for text in file:
                if not text.endswith(b"\n"):
                    break  # cut off with its process
                kind, _, rest = text.partition(b" ")
                line = int(rest.split(b" ", 1)[0])
                if kind == b"D":
                    self._note(line, start, place, good=rest.split(b" ", 2)[1] == b"1")
                else:
                    self._starts[line] += 1 if kind == b"S" else -1
                start += len(text)

    def _note(self, line: int, start: int, place: int, *, good: bool) -> None:
        if self.is_done(line):
            return
        self._where[line], self._file_of[line] = start, place
        self.completed += good
        self.failed += not good


def _turn_of(path: Path) -> int:
    return int(path.name.rsplit(".", 2)[1])


def _new(path: Path) -> BinaryIO:
    file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    return os.fdopen(file, "wb")
