"""The metrics of all workers of a gateway, whichever of them is asked.

Each writes its own into the folder of data every few seconds, and adds what it finds there of the others to
what it tells. Every sample has its worker's number, so that nothing is added up.
"""

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from polyvox.gateway.operations.metrics import Metrics

__all__ = ["Pages", "joined"]

_EVERY_SECONDS = 2.0
_STALE_SECONDS = 60.0
_FAMILY = b"\n# HELP "


class Pages:
    """What a worker tells of itself and of the others.

    Args:
        metrics: its own.
        folder: where all of them write.
        number: which one it is, of ``count``.
    """

    def __init__(self, metrics: Metrics, folder: Path, number: int, count: int) -> None:
        self._metrics = metrics
        self._own = folder / f"metrics-{number}.txt"
        others = (each for each in range(1, count + 1) if each != number)
        self._others = [folder / f"metrics-{each}.txt" for each in others]

    async def keep(self) -> None:
        """Write its own again and again, until the task is cancelled; a worker alone needs not to."""
        while self._others:
            await asyncio.to_thread(self._write)
            await asyncio.sleep(_EVERY_SECONDS)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return (
            joined([self._metrics.text(), *self._found()]) if self._others else self._metrics.text()
        )

    def _write(self) -> None:
        making = self._own.with_suffix(".making")
        with suppress(OSError):  # a disk that is full: the others do without
            making.write_bytes(self._metrics.text())
            making.replace(self._own)

    def _found(self) -> Iterable[bytes]:
        """The pages of the others; one that nobody writes any more is left out."""
        oldest = time.time() - _STALE_SECONDS
        for path in self._others:
            with suppress(OSError):
                if path.stat().st_mtime >= oldest:
                    yield path.read_bytes()


def joined(pages: Iterable[bytes]) -> bytes:
    """One page of several, each family with all of its samples below one head."""
    families: dict[bytes, list[bytes]] = {}
    for page in pages:
        for family in (b"\n" + page.removesuffix(b"\n")).split(_FAMILY)[1:]:
            about, kind, *samples = family.split(b"\n", 2)
            families.setdefault(b"# HELP %b\n%b\n" % (about, kind), []).extend(samples)
    return b"".join(
        head + b"".join(b"%b\n" % each for each in samples) for head, samples in families.items()
    )
