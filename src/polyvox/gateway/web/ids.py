"""Names of things: short, without meaning, and in the order in which they were made."""

import time
from collections.abc import Callable

from polyvox.chance import random_hex

__all__ = ["new_id"]

_RANDOM_BYTES = 6


def new_id(prefix: str, clock: Callable[[], float] = time.time) -> str:
    """A new id such as "ctx_0193c1a2b3c4d5e6f7a8b9c0": milliseconds since the epoch, then chance.

    >>> new_id("ctx") < new_id("ctx", lambda: time.time() + 1)
    True
    """
    milliseconds = int(clock() * 1000).to_bytes(6, "big")
    return f"{prefix}_{milliseconds.hex()}{random_hex(_RANDOM_BYTES)}"
