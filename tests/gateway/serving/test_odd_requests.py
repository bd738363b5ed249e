"""Requests that are unlike others, that are wrong, or that hide another one."""

import asyncio

import pytest

from polyvox.gateway.serving.bounded_http import BoundedHttp
from waiting import soon, turns

from .peers import PLAIN, Asked, echo, serving

HOST = b"host: x\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"

ODD: dict[str, tuple[bytes, bytes]] = {
    "a body in chunks": (
        b"POST /odd HTTP/1.1\r\n" + HOST + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n",
        b"POST /odd abc",
    ),
    "a long body": (
        b"POST /odd HTTP/1.1\r\n" + HOST + b"content-length: 2000000\r\n\r\n" + b"x" * 2_000_000,
        b"POST /odd " + b"x" * 2_000_000,
    ),
    "another method": (b"OPTIONS /odd HTTP/1.1\r\n" + HOST + b"\r\n", b"OPTIONS /odd "),
    "a whole address": (b"GET http://x/odd HTTP/1.1\r\n" + HOST + b"\r\n", b"GET /odd "),
    "a connection that says more": (
        b"GET /odd HTTP/1.1\r\n" + HOST + b"connection: keep-alive, te\r\n\r\n",
        b"GET /odd ",
    ),
}


@pytest.mark.parametrize("odd", ODD)
async def test_whatever_is_odd_may_stand_among_others(odd: str):
    request, wanted = ODD[odd]
    async with serving(echo) as served:
        caller = await served.connect()
        await caller.say(PLAIN + request + PLAIN + request)
        for body in (b"GET /plain ", wanted, b"GET /plain ", wanted):
            assert (await caller.answer()).body == body
        assert (await caller.ask(PLAIN)).body == b"GET /plain "


@pytest.mark.parametrize("odd", sorted(ODD.keys() - {"a long body"}))
async def test_whatever_is_odd_may_be_cut_anywhere(odd: str):
    request, wanted = ODD[odd]
    async with serving(echo) as served:
        for cut in range(1, len(request), 3):
            caller = await served.connect()
            await caller.say(PLAIN + request[:cut])
            await turns(3)
            await caller.say(request[cut:])
            assert (await caller.answer()).body == b"GET /plain "
            assert (await caller.answer()).body == wanted


async def test_who_waits_to_be_told_to_go_on_is_told():
    async with serving(echo) as served:
        caller = await served.connect()
        await caller.ask(PLAIN)
        head = (
            b"POST /odd HTTP/1.1\r\n" + HOST + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        )
        await caller.say(head)
        assert (await caller.head())[0] == 100
        assert (await caller.ask(b"{}")).body == b"POST /odd {}"


# ----------------------------------------------------------------------- one reading of each request


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"  # 35 bytes
LAST = b"GET /last HTTP/1.0\r\n\r\n"
HAS_A_BODY: list[bytes] = [
    b"content-length: 35",
    b"Content-Length:35 ",
    b"content-length: 035",
    b"a: \tb\xff\t\r\ncontent-length: 35",
    b"connection: content-length\r\ncontent-length: 35",
]
HAS_NONE: list[bytes] = [
    b"content-length: 0",
    b"content_length: 35",
    b"transfer_encoding: chunked",
    b"host: y",
    b"connection:",
    b"upgrade: websocket",
]
IS_THE_LAST: list[bytes] = [
    b"connection: close\r\nconnection: keep-alive",
    b"connection: keep-alive\r\nconnection: close",
]
IS_NONE: list[bytes] = [
    b"content-length: 3 5",
    b"content-length: 35, 35",
    b"content-length: +35",
    b"content-length: -1",
    b"content-length : 35",
    b"content-length: 35\r\ncontent-length: 0",
    b"content-length: 0\r\ncontent-length: 35",
    b"content-length: 0\r\n content-length: 35",
    b"content-length: 35\r\ntransfer-encoding: chunked",
    b"a: b\r\n content-length: 35",
    b"a: b\ncontent-length: 35",
    b"a: b\0\r\ncontent-length: 35",
    b"a\x0b: b\r\ncontent-length: 35",
    b"transfer-encoding: identity\r\ncontent-length: 35",
    b"transfer-encoding: xchunked",
    b"transfer-encoding : chunked",
    b"transfer-encoding:\x0bchunked",
    b"x: y\r\n\ttransfer-encoding: chunked",
    b"a b: c",
]
FIRST_LINES: list[bytes] = [
    b"POST  / HTTP/1.1",
    b"\n\r\nPOST / HTTP/1.1",
    b"POST /#?a#b HTTP/1.1",
    b"POST * HTTP/1.1",
]
NO_FIRST_LINES: list[bytes] = [
    b"post / HTTP/1.1",
    b"POST / HTTP/1.1 ",
    b" POST / HTTP/1.1",
    b"POST / HTTP/1.01",
    b"POST /\xe4 HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"X / HTTP/1.1",
]


def with_line(line: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % line


def with_first(line: bytes) -> bytes:
    return b"%b\r\nhost: x\r\ncontent-length: 0\r\n\r\n" % line


READINGS: dict[str, tuple[list[bytes], list[bytes]]] = {
    "a body is no request": (list(map(with_line, HAS_A_BODY)), [SMUGGLED, b""]),
    "a request is no body": (list(map(with_line, HAS_NONE)), [b"", b"smuggled", b""]),
    "behind the last is nothing": (list(map(with_line, IS_THE_LAST)), [b""]),
    "what may be read in two ways": (list(map(with_line, IS_NONE)), []),
    "a first line": (list(map(with_first, FIRST_LINES)), [b"", b"smuggled", b""]),
    "no first line": (list(map(with_first, NO_FIRST_LINES)), []),
}


@pytest.mark.parametrize("reading", READINGS)
async def test_nobody_sees_another_request_where_one_ends(reading: str):
    seen: list[bytes] = []

    async def app(asked: Asked) -> None:
        body = await asked.body()
        seen.append(body if asked.path != "/smuggled" else b"smuggled")
        await asked.answer(b"")

    requests, wanted = READINGS[reading]
    async with serving(app) as served:
        for request in requests:
            seen.clear()
            caller = await served.connect()
            await caller.say(request + SMUGGLED + LAST)
            told = await caller.rest()
            assert seen == wanted, request
            if told or wanted:  # nothing is told to who sends no right body
                assert told.startswith(b"HTTP/1.1 %d " % (200 if wanted else 400)), request


# ------------------------------------------------------------------------- what is wrong behind others


HEAD_IN_CHUNKS = b"POST /odd HTTP/1.1\r\n" + HOST + CHUNKED


@pytest.mark.parametrize("good", [1, 3])
@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (HEAD_IN_CHUNKS + b"no chunk\r\n", None),
    ],
    ids=["garbage", "a wrong head", "a large head", "a wrong body"],
)
async def test_what_came_before_something_wrong_is_answered(
    good: int, bad: bytes, status: int | None
):
    reached = list[str]()

    async def app(asked: Asked) -> None:
        reached.append(asked.path)
        await turns()
        await echo(asked)

    async with serving(app) as served:
        caller = await served.connect()
        await caller.say(PLAIN * good + bad)
        for _ in range(good):
            assert (await caller.answer()).body == b"GET /plain "
        if status is not None:
            assert (await caller.answer()).status == status
        assert await caller.rest() == b""
    assert reached == ["/plain"] * good


async def test_an_answer_goes_on_however_long_ago_something_wrong_came():
    wrong_came = asyncio.Event()

    class Impatient(BoundedHttp):
        arrive_seconds = 0.01

        def _refuse(self, status: int) -> None:
            super()._refuse(status)
            self.loop.call_later(5 * self.arrive_seconds, wrong_came.set)

    async def app(asked: Asked) -> None:
        await wrong_came.wait()
        await echo(asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polyvox.gateway.serving.bounded_http.BoundedHttp", Impatient)
        async with serving(app) as served:
            caller = await served.connect()
            await caller.say(PLAIN + b"GET / HTTP/1.1\r\nhost : x\r\n\r\n")
            assert (await caller.answer()).body == b"GET /plain "
            assert (await caller.answer()).status == 400


@pytest.mark.parametrize("piece", [b"no chunk\r\n", b"3\r\nabcd\r\n"])
async def test_a_body_that_is_wrong_ends_the_request(piece: bytes):
    async def app(asked: Asked) -> None:
        await asked.left()
        left.set()

    left = asyncio.Event()
    async with serving(app) as served:
        caller = await served.connect()
        await caller.say(HEAD_IN_CHUNKS + piece)
        assert await caller.rest() == b""
        await soon(left.wait())
