"""How much of files and batches there may be."""

import msgspec

__all__ = ["BOUNDS", "DAY", "Bounds"]

DAY = 86_400.0


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What limits files and batches. Times are in seconds.

    ``file_bytes``          the longest file
    ``organisation_bytes``  all files of an organisation, or of a key that has none
    ``lines``               of one batch
    ``line_bytes``          the longest line
    ``per_batch``           lines of one batch that are under way at once, or wait for a limit
    ``in_all``              lines under way at once in this process
    ``open_batches``        of an organisation, that are not over yet
    ``batches``             that this process works on at once
    ``window``              until a batch expires
    ``keep``                until a file is deleted
    ``lease``               how long a batch of a process that died is left alone
    ``tick``                how often progress is told, and how soon a cancel is seen
    ``longest_wait``        for a limit, until it is tried again
    """

    file_bytes: int = 200 << 20
    organisation_bytes: int = 10 << 30
    lines: int = 50_000
    line_bytes: int = 16 << 20
    per_batch: int = 16
    in_all: int = 64
    open_batches: int = 100
    batches: int = 50
    window: float = DAY
    keep: float = 30 * DAY
    lease: float = 30.0
    tick: float = 1.0
    longest_wait: float = 60.0


BOUNDS = Bounds()
