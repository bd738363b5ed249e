"""What becomes of connections when their server is stopped."""

import asyncio

import pytest

from waiting import soon, turns

from .peers import PLAIN, Asked, echo, serving

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
LONG = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n"


class Held:
    """An application that answers when it may."""

    def __init__(self) -> None:
        self.begun, self.may = asyncio.Event(), asyncio.Event()

    async def __call__(self, asked: Asked) -> None:
        if asked.path == "/stream":
            await asked.begin()
        if asked.path != "/plain":
            self.begun.set()
            await self.may.wait()
        if asked.path == "/stream":
            await asked.say(b"ok", more=False)
        else:
            await asked.answer()


async def test_connections_on_which_nothing_is_asked_end_when_it_is_stopped():
    async with serving(echo) as served:
        fresh, used = await served.connect(), await served.connect()
        await used.ask(PLAIN)
        await served.stop()
        assert await used.rest() == b""
        assert await fresh.rest() == b""
        await soon(served.serving)


@pytest.mark.parametrize("path", [b"/", b"/stream"])
async def test_what_was_asked_is_answered_and_that_it_is_the_last_answer_said(path: bytes):
    held = Held()
    async with serving(held) as served:
        caller = await served.connect()
        await caller.ask(PLAIN)
        await caller.say(HEAD.replace(b"/", path, 1) + b"{}")
        await soon(held.begun.wait())
        await served.stop()
        await turns()
        assert not served.serving.done()
        held.may.set()
        answer = await caller.answer()
        assert answer.body == b"ok"
        assert (answer.headers.get(b"connection") == b"close") is (path == b"/")
        assert await caller.rest() == b""
        await soon(served.serving)


async def test_what_has_come_behind_it_is_answered_too():
    held = Held()
    async with serving(held) as served:
        caller = await served.connect()
        await caller.say(HEAD + b"{}" + PLAIN)
        await soon(held.begun.wait())
        await served.stop()
        held.may.set()
        await caller.answer()
        assert (await caller.answer()).body == b"ok"
        assert await caller.rest() == b""
        await soon(served.serving)


@pytest.mark.parametrize("sent", [b"GET", HEAD, LONG, LONG[:-1]])
async def test_half_a_request_keeps_nobody_from_stopping(sent: bytes):
    async def app(asked: Asked) -> None:
        await asked.left()

    async with serving(app) as served:
        caller = await served.connect()
        await caller.say(sent)
        await turns(50)
        await served.stop()
        if sent in (HEAD, LONG):  # it is known what is missing, and waited for
            await turns(50)
            caller.close()
        assert await caller.rest() == b""
        await soon(served.serving)


async def test_the_rest_of_a_request_that_had_begun_is_still_taken():
    async with serving(echo) as served:
        caller = await served.connect()
        await caller.say(HEAD)
        await turns(50)
        await served.stop()
        await turns(50)
        answer = await caller.ask(b"{}")
        assert answer.body == b"POST / {}"
        assert answer.headers[b"connection"] == b"close"
        assert await caller.rest() == b""
        await soon(served.serving)
