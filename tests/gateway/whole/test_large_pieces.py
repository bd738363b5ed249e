"""Between a fast provider and a fast caller nothing ever waits; others have their turn all the same."""

import asyncio
from typing import Any

import pytest

from polyvox.gateway.web.incoming import Incoming


def incoming(send: Any, receive: Any) -> Incoming:
    scope = {"method": "POST", "path": "/", "headers": [], "query_string": b""}
    return Incoming(scope, receive, send)


async def never_waits(message: Any) -> None:
    """A connection that takes everything."""


async def test_others_have_a_turn_after_each_large_piece() -> None:
    turns = 0
    over = False

    async def others() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    caller = incoming(never_waits, None)
    for _ in range(10):
        await caller.piece(b"x" * 20_000)
    over = True
    await task
    assert turns >= 10


async def test_who_watches_for_the_caller_is_heard_before_the_next_large_piece() -> None:
    left = asyncio.Event()

    async def receive() -> dict[str, str]:
        await left.wait()
        return {"type": "http.disconnect"}

    pieces = 0

    async def send(message: Any) -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            left.set()

    caller = incoming(send, receive)

    async def answer() -> None:
        while True:
            await caller.piece(b"x" * 20_000)

    answering = asyncio.create_task(answer())
    watching = asyncio.create_task(caller.gone())
    watching.add_done_callback(lambda _: answering.cancel())
    with pytest.raises(asyncio.CancelledError):
        await answering
    assert pieces == 3
