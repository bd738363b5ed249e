"""Writing to a file without letting go of the interpreter.

``os.write`` lets go of it while the kernel copies a line, for half a microsecond. Where another thread
waits for the interpreter, that wakes it each time, on another processor, and each time too late: the
event loop pays ten microseconds for nothing, and the other thread, which is woken before it has waited
long enough to ask for its turn, may starve. So the C library's own ``write`` is called, in the way that
lets nothing go. A disk that is slow holds up the event loop with the one as with the other.

Files that are mapped into memory would save the call as well, and are not taken: a disk that fails, or is
full, and a file that somebody empties, are no errors there but a signal that ends the process; to allocate
the room first does not help on file systems that copy on writing.

Sources: "Loading shared libraries" (``PyDLL``) of Python's ctypes; "Memory-Mapped I/O" of SQLite.
"""

import os
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Append", "appender"]

Append: TypeAlias = Callable[[int, bytes], int]
"""Write to a file's end: how many bytes it took. Raises ``OSError``."""


def appender() -> Append:
    """What does as ``os.write`` does, or that itself where there is nothing else."""
    if os.name != "posix":
        return os.write
    try:
        import ctypes

        write = ctypes.PyDLL(None).write
    except (ImportError, OSError, AttributeError):  # a Python without it, or a C library
        return os.write
    write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
    write.restype = ctypes.c_ssize_t

    def append(file: int, data: bytes) -> int:
        count = write(file, data, len(data))
        # Asked again after a failure: that says which one it is, and goes on after a signal.
        return count if count >= 0 else os.write(file, data)

    return append
