"""Processes that coverage is not to watch, which doubles what they work.

For tests of load, for those that kill a process, with which what was seen of it is lost, and for
programs of others.
"""

import os

__all__ = ["unwatched"]


def unwatched() -> dict[str, str]:
    """The environment for one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
