"""A short program as somebody would write it: import, ask once, end.

Run as ``python -S -c "from bench.first_call import main; main(NAME, URL)"``, so that nothing is
loaded that the contender does not load itself.
"""

import asyncio
from typing import Any

from bench import contenders

PROMPT = "flow text 1"


def main(name: str, url: str) -> None:
    """Ask once."""
    connection = contenders.load(name).connect(url)
    if hasattr(connection, "__aenter__"):
        asyncio.run(_ask(connection))
        return
    with connection as read:
        read(PROMPT, _ignore)


async def _ask(connection: Any) -> None:
    async with connection as read:
        await read(PROMPT, _ignore)


def _ignore(seen: int) -> None:
    pass
