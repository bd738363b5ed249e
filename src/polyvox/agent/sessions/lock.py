"""One writer per session: a lock that the system takes back when its process dies."""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from polyvox.errors import ConfigurationError

__all__ = ["SessionBusyError", "SessionLock"]

_BEYOND_THE_TEXT = 4096


class SessionBusyError(ConfigurationError):
    """The session is open already, here or in another process."""


class SessionLock:
    """Held by whoever writes the session; the file beside it, which names them, is there as long.

    Raises ``SessionBusyError`` when somebody else holds it.
    """

    def __init__(self, path: Path, id: str) -> None:
        self._path = path
        self._pid = os.getpid()
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                if not _locked(self._file):
                    raise _busy(
                        id, os.read(self._file, _BEYOND_THE_TEXT).decode("utf-8", "replace")
                    )
                if _is_at(self._file, path):
                    break
            except BaseException:
                os.close(self._file)
                raise
            os.close(self._file)  # its holder took the file away between the two steps
        with suppress(OSError):  # a disk that is full: it is held without a name
            os.ftruncate(self._file, 0)
            os.write(self._file, f"process {self._pid} on {socket.gethostname()}".encode())

    def release(self) -> None:
        """Let others write the session."""
        if self._pid == os.getpid():  # and not in a process that forked off
            # First, since a process that forked off may hold on to it. Windows keeps what is open.
            with suppress(OSError):
                self._path.unlink()
        os.close(self._file)


def _busy(id: str, holder: str) -> SessionBusyError:
    mine = holder.startswith(f"process {os.getpid()} ")
    who = "this process" if mine else holder or "another process"
    return SessionBusyError(
        f"session {id!r} is open already, in {who}",
        hint="Close it there first, or go on with a copy: sessions.fork(id).",
    )


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _locked(file: int) -> bool:
        os.lseek(file, _BEYOND_THE_TEXT, os.SEEK_SET)  # what is locked can't be read by others
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _locked(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
        return True
