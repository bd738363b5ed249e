"""A look at another process from outside, as Linux tells of it; see proc(5)."""

import os
from pathlib import Path

__all__ = ["memory", "sockets", "threads"]


def sockets(pid: int) -> int:
    """How many sockets it has open."""
    count = 0
    for name in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(name).startswith("socket:")
        except OSError:  # it was closed meanwhile
            continue
    return count


def memory(pid: int) -> int:
    """Its memory that is no file's, in bytes."""
    return _status(pid, "RssAnon") * 1024


def threads(pid: int) -> int:
    """How many threads it has."""
    return _status(pid, "Threads")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        label, _, value = line.partition(":")
        if label == name:
            return int(value.split()[0])
    raise AssertionError(f"there is no {name}")
