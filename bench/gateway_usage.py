"""What a running process takes, with all that it started, by Linux's /proc."""

import os
import sys
import time
from pathlib import Path

KNOWN = sys.platform == "linux"
"""Whether that can be told here."""

_PAUSE, _PATIENCE = 0.3, 30.0
_IDLE = 0.05


def cpu_seconds(process: int) -> float:
    """CPU so far, user and system, all threads."""
    ticks = sum(sum(map(int, _stat(each)[11:13])) for each in _family(process))
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(process: int) -> float:
    """Resident memory just now."""
    pages = 0
    for each in _family(process):
        pages += int(Path("/proc", str(each), "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def settled(process: int) -> None:
    """Wait until it has done what it left for later: until it takes hardly any CPU."""
    until = time.monotonic() + _PATIENCE
    before = cpu_seconds(process)
    quiet = 0
    while time.monotonic() < until and quiet < 2:
        time.sleep(_PAUSE)
        now = cpu_seconds(process)
        quiet = quiet + 1 if now - before <= _IDLE * _PAUSE else 0
        before = now


def _family(process: int) -> list[int]:
    parents: dict[int, int] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and (stat := _stat(int(each.name))):
            parents[int(each.name)] = int(stat[1])
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _stat(process: int) -> list[str]:
    """What stands behind the name, which may have spaces: the state, the parent, ..."""
    try:
        return Path("/proc", str(process), "stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []
