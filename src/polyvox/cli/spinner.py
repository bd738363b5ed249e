"""A sign of life on stderr, for a person who waits."""

import asyncio
import sys
import time
from types import TracebackType

from polyvox.cli.terminal import harmless, is_terminal, progress

__all__ = ["Spinner"]

PATIENCE_SECONDS = 0.6
TURN_SECONDS = 0.1
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class Spinner:
    """Turns while nothing arrives; ``stop`` takes it off the screen at once, so that text may follow.

    Shows itself only on a terminal, and only after a moment of patience.
    """

    def __init__(self, text: str) -> None:
        self._text = harmless(text)
        self._task: asyncio.Task[None] | None = None
        self._shown = False

    def stop(self) -> None:
        """Something has arrived. Calling it again does nothing."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._shown:
            self._shown = False
            progress("")

    async def __aenter__(self) -> "Spinner":
        if is_terminal(sys.stderr) and is_terminal(sys.stdout):
            self._task = asyncio.create_task(self._turn())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def _turn(self) -> None:
        began = time.monotonic()
        await asyncio.sleep(PATIENCE_SECONDS)
        turn = 0
        while True:
            seconds = time.monotonic() - began
            self._shown = True
            progress(f"{FRAMES[turn % len(FRAMES)]} {self._text} {seconds:.0f} s")
            turn += 1
            await asyncio.sleep(TURN_SECONDS)
