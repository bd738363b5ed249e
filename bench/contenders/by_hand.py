"""What a program writes without composites; ``ask`` gives a text, and tells its pieces."""

import asyncio
from collections.abc import Awaitable, Callable

from bench.contenders import PANEL, Tell


async def by_hand(ask: Callable[[str, Tell], Awaitable[str]], prompt: str, tell: Tell) -> int:
    """All are asked at once, and one more about what they said; how many pieces that one's answer has."""
    said = await asyncio.gather(*(ask(prompt, _ignore) for _ in range(PANEL)))
    pieces = 0

    def count(seen: int) -> None:
        nonlocal pieces
        pieces = seen
        tell(seen)

    await ask("\n\n".join([prompt, *said]), count)
    return pieces


def _ignore(seen: int) -> None:
    pass
