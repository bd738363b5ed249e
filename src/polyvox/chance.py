"""Random ids at the price of a slice: one question to the system serves for hundreds of them.

Asking it for each id would give up the interpreter's lock each time, and under load another thread
then keeps it for longer than all the rest of making an id takes. For ids alone: what nobody may
guess, such as a key, is asked of ``secrets``.
"""

import os

__all__ = ["random_hex"]

_PIECE = 32
_PIECES = 256

# State of the module, which nobody can tell from none: each piece is given away once.
_unused: list[str] = []


def random_hex(n_bytes: int) -> str:
    """So many random bytes, 16 at the most, as hexadecimal digits; from any thread.

    >>> len(random_hex(6)), random_hex(16) == random_hex(16)
    (12, False)
    """
    try:
        return _unused.pop()[: 2 * n_bytes]
    except IndexError:
        digits = os.urandom(_PIECES * _PIECE // 2).hex()
        piece, *rest = [digits[at : at + _PIECE] for at in range(0, len(digits), _PIECE)]
        _unused.extend(rest)
        return piece[: 2 * n_bytes]


if hasattr(os, "register_at_fork"):  # else both processes would go on with the same ones
    os.register_at_fork(after_in_child=_unused.clear)
