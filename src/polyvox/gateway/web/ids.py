"""Names of things: short, without meaning, and in the order in which they were made."""

import secrets
import time
from collections.abc import Callable

__all__ = ["new_id"]

_RANDOM_BITS = 48


def new_id(prefix: str, clock: Callable[[], float] = time.time) -> str:
    """A new id such as "ctx_0193c1a2b3c4d5e6f7a8b9c0": milliseconds since the epoch, then chance.

    >>> new_id("ctx") < new_id("ctx", lambda: time.time() + 1)
    True
    """
    milliseconds = int(clock() * 1000) & ((1 << 48) - 1)
    return f"{prefix}_{milliseconds:012x}{secrets.randbits(_RANDOM_BITS):012x}"
