"""What is closed where its block ends: whoever has ``close`` or ``aclose`` gets the block from here."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Leaving its ``with`` block closes it."""

    @abstractmethod
    def close(self) -> object:
        """Let go of what it holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClosing(ABC):
    """Leaving its ``async with`` block closes it."""

    @abstractmethod
    async def aclose(self) -> None:
        """Let go of what it holds."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
