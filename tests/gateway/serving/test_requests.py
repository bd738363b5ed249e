"""Requests in and answers out, over real sockets."""

from typing import Any

import pytest

from waiting import turns

from .peers import PLAIN, Asked, echo, serving

POST = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b"


async def test_a_request_begins_when_the_one_before_it_is_answered():
    seen: list[str] = []

    async def app(asked: Asked) -> None:
        seen.append(f"begin {asked.path}")
        await turns()
        await echo(asked)
        seen.append(f"end {asked.path}")

    async with serving(app) as served:
        caller = await served.connect()
        await caller.say(b"".join(POST % (number, 3, b"abc") for number in range(5)))
        for number in range(5):
            assert (await caller.answer()).body == b"POST /%d abc" % number
    assert seen == [f"{what} /{number}" for number in range(5) for what in ("begin", "end")]


async def test_a_request_may_be_cut_anywhere():
    request = b"\r\n" + POST % (1, 6, b"\r\nabc\n")
    async with serving(echo) as served:
        caller = await served.connect()
        for cut in range(1, len(request)):
            await caller.say(request[:cut])
            await turns(3)
            answer = await caller.ask(request[cut:])
            assert answer.body == b"POST /1 \r\nabc\n", cut
        for at in range(len(request)):
            await caller.say(request[at : at + 1])
            await turns(3)
        assert (await caller.answer()).body == b"POST /1 \r\nabc\n"


@pytest.mark.parametrize("size", [0, 1, 5_000, 70_000, 1 << 20, (1 << 20) + 1])
async def test_a_body_arrives_whole_however_long_it_is(size: int):
    body = bytes(range(256)) * (size // 256 + 1)
    async with serving(echo) as served:
        caller = await served.connect()
        for _ in range(2):
            await caller.say(POST % (1, size, b""))
            await turns(3)
            answer = await caller.ask(body[:size])
            assert answer.body == b"POST /1 " + body[:size]


async def test_the_application_is_told_the_headers_as_they_came():
    request = (
        b"PUT /a%20?b%20 HTTP/1.1\r\nHost: X\r\nX-Twice: 1\r\nx_under: A_b\r\nX-Twice:\t2\r\nEmpty:\r\n"
        b"Cookie: a=b; c=\xe4\r\nContent-Length: 0\r\n\r\n"
    )
    scopes: list[Any] = []

    async def app(asked: Asked) -> None:
        scopes.append(asked.scope)
        await asked.answer()

    async with serving(app) as served:
        caller = await served.connect()
        await caller.ask(request)
        assert scopes[0]["server"] == served.address
    assert scopes[0]["client"][0] == "127.0.0.1"
    assert (scopes[0]["method"], scopes[0]["http_version"]) == ("PUT", "1.1")
    assert (scopes[0]["raw_path"], scopes[0]["query_string"]) == (b"/a%20", b"b%20")
    assert scopes[0]["headers"] == [
        (b"host", b"X"),
        (b"x-twice", b"1"),
        (b"x_under", b"A_b"),
        (b"x-twice", b"2"),
        (b"empty", b""),
        (b"cookie", b"a=b; c=\xe4"),
        (b"content-length", b"0"),
    ]


# ------------------------------------------------------------------------ applications that are wrong


class BrokenError(Exception):
    """As is wanted here."""


async def raises(asked: Asked) -> None:
    raise BrokenError


async def says_nothing(asked: Asked) -> None:
    await asked.body()


@pytest.mark.parametrize("app", [raises, says_nothing])
async def test_who_gets_no_answer_is_told_so(app: Any):
    async with serving(app) as served:
        caller = await served.connect()
        answer = await caller.ask(PLAIN)
        assert (answer.status, answer.body) == (500, b"Internal Server Error")
        assert answer.headers[b"connection"] == b"close"
        assert await caller.rest() == b""


async def raises_in_a_stream(asked: Asked) -> None:
    await asked.begin()
    await asked.say(b"some")
    raise BrokenError


async def leaves_a_stream(asked: Asked) -> None:
    await asked.begin()
    await asked.say(b"some")


async def says_too_little(asked: Asked) -> None:
    await asked.begin((b"content-length", b"5"))
    await asked.say(b"some", more=False)


@pytest.mark.parametrize("app", [raises_in_a_stream, leaves_a_stream, says_too_little])
async def test_what_is_no_whole_answer_is_not_taken_for_one(app: Any):
    async with serving(app) as served:
        caller = await served.connect()
        await caller.say(PLAIN + PLAIN)
        head, _, body = (await caller.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1" not in body
    assert not body.endswith(b"0\r\n\r\n")
    assert b"content-length: %d" % len(body) not in head
