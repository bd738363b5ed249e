"""Where the journals are: a folder for each process that writes one, and the files in it.

    <root>/01976b2f3c-5d0e8c1b7a9f4e21/
        lock            held by the process that writes here, or that ships what a dead one left
        000007.jsonl    a segment: lines, the oldest segment first
        000007.open     the lines of calls that were open where this segment begins

A segment is deleted once it is shipped, however long some of its calls go on: what is known of those
stands in the ``.open`` file of the next one. It is written once per segment, and holds no more than the
calls in flight.
"""

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["Folder", "left_behind", "new_folder"]

_NAME = re.compile(r"[0-9a-f]{10,}-[0-9a-f]{16}")
_OLD_SECONDS = 3600.0
_LOCK = "lock"
_SEGMENT, _CARRIED = ".jsonl", ".open"


class Folder:
    """The folder of one journal. Its name is never used twice, on no machine."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._lock: int | None = None

    def lock(self) -> bool:
        """Make the folder and lock it; False if another process has it. Raises ``OSError``.

        The lock goes with the process, however that ends.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._locked(os.O_CREAT)

    def take_over(self) -> bool:
        """Lock a folder that is there; False where that can't be done."""
        try:
            return self._locked(0)
        except OSError:
            return False

    def unlock(self) -> None:
        """Let go of it."""
        descriptor, self._lock = self._lock, None
        if descriptor is not None:
            os.close(descriptor)

    def segments(self) -> list[int]:
        """The numbers of the segments that are there, in order."""
        return sorted(self._numbers(_SEGMENT))

    def segment(self, number: int) -> Path:
        """The file of that segment."""
        return self.path / f"{number:06d}{_SEGMENT}"

    def carried(self, number: int) -> Path:
        """The file of what was open where that segment begins."""
        return self.path / f"{number:06d}{_CARRIED}"

    def carried_until(self, number: int) -> int | None:
        """The last segment up to that one of which it is known what was open."""
        return max((each for each in self._numbers(_CARRIED) if each <= number), default=None)

    def size(self, segment: int = 0, offset: int = 0) -> int:
        """How many bytes its segments have from that place on."""
        size = 0
        for number in self.segments():
            if number >= segment:
                with suppress(FileNotFoundError):
                    size += self.segment(number).stat().st_size
                    size -= offset if number == segment else 0
        return max(0, size)

    def is_old(self) -> bool:
        """Whether it was made long ago. Raises ``OSError``."""
        return time.time() - self.path.stat().st_mtime > _OLD_SECONDS

    def drop_before(self, number: int) -> None:
        """Delete the segments before that one. Raises ``OSError``."""
        for suffix in (_SEGMENT, _CARRIED):
            for each in list(self._numbers(suffix)):
                if each < number:
                    (self.path / f"{each:06d}{suffix}").unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete it with all that is in it, and let go of it. Raises ``OSError``."""
        names = [name for name in os.listdir(self.path) if name != _LOCK]
        for name in sorted(names, key=lambda name: not name.endswith(_SEGMENT)):
            (self.path / name).unlink(missing_ok=True)
        self.unlock()
        (self.path / _LOCK).unlink(missing_ok=True)
        self.path.rmdir()

    def sync(self) -> None:
        """Force the names of the files onto the disk, where a system lets one do that."""
        if os.name != "nt":
            descriptor = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _numbers(self, suffix: str) -> Iterator[int]:
        for name in os.listdir(self.path):
            stem, _, rest = name.partition(".")
            if f".{rest}" == suffix and stem.isdecimal():
                yield int(stem)

    def _locked(self, flags: int) -> bool:
        descriptor = os.open(self.path / _LOCK, os.O_RDWR | flags, 0o600)
        try:
            _lock_file(descriptor)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True


def new_folder(root: Path, clock: Callable[[], float]) -> Folder:
    """A folder that there has never been."""
    return Folder(root / f"{int(clock()):010x}-{secrets.token_hex(8)}")


def left_behind(root: Path) -> list[Folder]:
    """The folders of dead processes with something in them, the oldest first, locked.

    A folder is locked before its first segment is made, so that one just begun isn't taken for a dead
    one's. Old ones with nothing in them are deleted.
    """
    try:
        names = sorted(filter(_NAME.fullmatch, os.listdir(root)))
    except OSError:
        return []
    found: list[Folder] = []
    for name in names:
        folder = Folder(root / name)
        with suppress(OSError):
            if (folder.segments() or folder.is_old()) and folder.take_over():
                # Looked at again: the one that had it may have shipped and deleted everything.
                if folder.segments():
                    found.append(folder)
                else:
                    folder.remove()
    return found


if os.name == "nt":

    def _lock_file(descriptor: int) -> None:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:

    def _lock_file(descriptor: int) -> None:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
