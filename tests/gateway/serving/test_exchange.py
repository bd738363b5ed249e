"""How an answer leaves: in how many pieces, and what is never written."""

import asyncio
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from polyvox.gateway.serving.exchange import Exchange

OK = b"HTTP/1.1 200 OK\r\n"


class Transport:
    """Takes everything, and keeps it as it came."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True


class Rig:
    """One request that waits for its answer."""

    def __init__(self, method: str = "GET", *, keep_alive: bool = True) -> None:
        self.transport: Any = Transport()
        self.over = 0
        logger: Any = None
        scope: Any = {"type": "http", "method": method}
        self.exchange = Exchange(
            scope=scope,
            transport=self.transport,
            flow=FlowControl(self.transport),
            logger=logger,
            access_logger=logger,
            access_log=False,
            default_headers=[(b"date", b"today")],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=keep_alive,
            on_response=self._is_over,
        )

    def _is_over(self) -> None:
        self.over += 1

    async def begin(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await self.exchange.send(start)

    async def body(self, data: bytes = b"", *, more: bool = False) -> None:
        message = {"type": "http.response.body", "body": data, "more_body": more}
        await self.exchange.send(message)

    @property
    def written(self) -> list[bytes]:
        return self.transport.written


async def test_head_and_body_of_a_whole_answer_leave_in_one_piece() -> None:
    rig = Rig()
    await rig.begin((b"Content-Length", b"2"))
    await rig.body(b"ok")
    assert rig.written == [OK + b"date: today\r\ncontent-length: 2\r\n\r\nok"]
    assert rig.over == 1
    assert not rig.transport.closed


async def test_a_large_body_is_not_copied_behind_its_head() -> None:
    rig = Rig()
    await rig.begin((b"content-length", b"100000"))
    await rig.body(b"x" * 100_000)
    assert [len(each) for each in rig.written][1:] == [100_000]


async def test_the_head_of_a_stream_is_sent_before_there_is_anything_to_tell() -> None:
    rig = Rig()
    await rig.begin()
    assert rig.written == [OK + b"date: today\r\ntransfer-encoding: chunked\r\n\r\n"]
    await rig.body(b"abc", more=True)
    await rig.body(more=True)
    await rig.body(b"d")
    assert rig.written[1:] == [b"3\r\nabc\r\n", b"1\r\nd\r\n0\r\n\r\n"]
    assert rig.over == 1


async def test_a_whole_answer_may_come_in_pieces() -> None:
    rig = Rig()
    await rig.begin((b"content-length", b"4"))
    await rig.body(b"ab", more=True)
    await rig.body(b"cd")
    assert rig.written[0].endswith(b"\r\n\r\nab")
    assert rig.written[1:] == [b"cd"]


@pytest.mark.parametrize("value", [b"", b"14"])
async def test_what_is_only_asked_for_the_head_has_no_body(value: bytes) -> None:
    rig = Rig("HEAD")
    await rig.begin(*[(b"content-length", value)] * bool(value))
    await rig.body(b"never written!")
    assert b"never" not in b"".join(rig.written)
    assert b"".join(rig.written).endswith(b"\r\n\r\n")
    assert rig.over == 1


async def test_an_answer_without_a_body_is_its_head() -> None:
    rig = Rig()
    await rig.begin(status=204)
    await rig.body()
    assert rig.written == [b"HTTP/1.1 204 No Content\r\ndate: today\r\n\r\n"]


@pytest.mark.parametrize("value", [b"close", b"Close, x", b"x,close"])
async def test_an_answer_that_says_so_ends_the_connection(value: bytes) -> None:
    rig = Rig()
    await rig.begin((b"connection", value), (b"content-length", b"0"))
    await rig.body()
    assert rig.written[0].count(b"connection: ") == 1
    assert rig.transport.closed


async def test_the_last_answer_of_a_connection_says_so() -> None:
    rig = Rig(keep_alive=False)
    await rig.begin((b"content-length", b"0"))
    await rig.body()
    assert b"\r\nconnection: close\r\n" in rig.written[0]
    assert rig.transport.closed


@pytest.mark.parametrize(
    "header",
    [
        (b"a", b"b\r\nset-cookie: c"),
        (b"a", b"b\nc"),
        (b"a", b"\0"),
        (b"a b", b"c"),
        (b"a:", b"c"),
        (b"", b"c"),
        (b"a\r\nb", b"c"),
    ],
)
async def test_nothing_is_written_of_a_head_that_would_be_another_one(
    header: tuple[bytes, bytes],
) -> None:
    rig = Rig()
    with pytest.raises(RuntimeError):
        await rig.begin(header)
    assert rig.written == []


@pytest.mark.parametrize("body", [b"123", b"1"])
async def test_a_body_that_is_not_as_long_as_was_said_is_no_whole_answer(body: bytes) -> None:
    rig = Rig()
    await rig.begin((b"content-length", b"2"))
    with pytest.raises(RuntimeError):
        await rig.body(body)
    assert rig.over == 0


async def test_messages_out_of_their_order_are_refused() -> None:
    rig = Rig()
    with pytest.raises(RuntimeError):
        await rig.body(b"first")
    await rig.begin()
    with pytest.raises(RuntimeError):
        await rig.begin()
    await rig.body()
    with pytest.raises(RuntimeError):
        await rig.body(b"more")


async def test_who_left_is_told_nothing() -> None:
    rig = Rig()
    await rig.begin((b"content-length", b"2"))
    rig.exchange.disconnected = True
    await rig.body(b"ok")
    assert rig.written == []
