"""Callers who leave: the application is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from polyvox.gateway.serving.bounded_http import BoundedHttp
from waiting import soon, turns

from .peers import PLAIN, Asked, Caller, echo, serving

BODY = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"

WAYS: dict[str, Callable[[Caller], None]] = {
    "closed": Caller.close,
    "reset": Caller.reset,
    "half closed": Caller.half_close,
}


@pytest.fixture(params=WAYS)
def leave(request: pytest.FixtureRequest) -> Callable[[Caller], None]:
    return WAYS[request.param]


class Stage:
    """An application that says where it is, and waits for the caller to leave."""

    def __init__(self, act: Any) -> None:
        self._act = act
        self.waits, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, asked: Asked) -> None:
        if asked.path == "/plain":
            await echo(asked)
            return
        await self._act(asked)
        self.waits.set()
        await asked.left()
        await asked.say(b"to nobody")  # is no error
        self.ended.set()


async def reads(asked: Asked) -> None:
    assert await asked.body() == b"{}"


async def streams(asked: Asked) -> None:
    await reads(asked)
    await asked.begin()
    await asked.say(b"some")


@pytest.mark.parametrize("act", [reads, streams])
async def test_who_leaves_is_told_of(act: Any, leave: Callable[[Caller], None]):
    stage = Stage(act)
    async with serving(stage) as served:
        caller = await served.connect()
        await caller.ask(PLAIN)
        await caller.say(BODY)
        await soon(stage.waits.wait())
        leave(caller)
        await soon(stage.ended.wait())


async def test_who_leaves_with_more_requests_on_their_way_is_told_of_too(
    leave: Callable[[Caller], None],
):
    stage = Stage(reads)
    async with serving(stage) as served:
        caller = await served.connect()
        await caller.say(BODY + PLAIN + PLAIN)
        await soon(stage.waits.wait())
        leave(caller)
        await soon(stage.ended.wait())


async def test_half_a_request_does_not_hurry_the_answer_before_it(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(BoundedHttp, "arrive_seconds", 0.01)
    looked = asyncio.Event()
    late = BoundedHttp._late

    def _late(self: BoundedHttp) -> None:
        late(self)
        looked.set()

    monkeypatch.setattr(BoundedHttp, "_late", _late)

    async def app(asked: Asked) -> None:
        await looked.wait()
        await asked.answer()

    async with serving(app) as served:
        caller = await served.connect()
        await caller.say(BODY + PLAIN[:9])
        assert (await caller.answer()).body == b"ok"


async def test_who_leaves_with_half_a_request_has_asked_nothing(leave: Callable[[Caller], None]):
    asked_for = list[str]()

    async def app(asked: Asked) -> None:
        asked_for.append(asked.path)
        await echo(asked)

    async with serving(app) as served:
        for cut in range(0, len(PLAIN), 5):
            caller = await served.connect()
            await caller.say(PLAIN[:cut])
            await turns(3)
            leave(caller)
            assert await caller.rest() == b""
    assert asked_for == []


async def test_behind_an_answer_the_caller_is_gone():
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app(asked: Asked) -> None:
        await asked.answer()
        if not told.done():
            told.set_result((await asked.receive())["type"])

    async with serving(app) as served:
        caller = await served.connect()
        assert (await caller.ask(BODY)).body == b"ok"
        assert await soon(told) == "http.disconnect"
        assert (await caller.ask(BODY)).body == b"ok"
