"""Every piece at once, none before it is wanted: immediacy and back-pressure."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from polyvox.events import Event, Start, TextDelta, TextEnd, TextStart
from polyvox.messages import Text
from polyvox.model import Call
from polyvox.request import Request
from polyvox.testing import MockProvider

from .rig import MODELS, Acting, async_client, elsewhere, soon, sync_client

PIECES = 20


def in_lockstep(gates: list[asyncio.Event]) -> Acting:
    """A model that says a piece only after the one before has been heard."""
    pieces = [cue for i, gate in enumerate(gates) for cue in (TextDelta(0, f"{i} "), gate)]
    return Acting([Start(), TextStart(0), *pieces, TextEnd(0, Text(""))])


async def test_every_chunk_reaches_the_caller_before_the_next_one_is_written(dialect):
    gates = [asyncio.Event() for _ in range(PIECES)]
    async with (
        MockProvider(dialect, model=in_lockstep(gates)) as mock,
        async_client(dialect, mock.url) as client,
        client.stream(MODELS[dialect], "Count.") as stream,
    ):
        for i in range(PIECES):
            assert await soon(anext(stream.text())) == f"{i} "
            gates[i].set()


async def test_every_chunk_reaches_a_synchronous_caller_before_the_next_one_is_written(dialect):
    gates = [asyncio.Event() for _ in range(PIECES)]
    loop = asyncio.get_running_loop()

    def count() -> list[str]:
        heard: list[str] = []
        with (
            sync_client(dialect, mock.url) as client,
            client.stream(MODELS[dialect], "Count.") as stream,
        ):
            for gate, piece in zip(gates, stream.text(), strict=False):
                heard.append(piece)
                loop.call_soon_threadsafe(gate.set)
        return heard

    async with MockProvider(dialect, model=in_lockstep(gates)) as mock:
        assert await elsewhere(count) == [f"{i} " for i in range(PIECES)]


class Talkative:
    """A model that never stops talking, 64 KB at a time."""

    name = "test/talkative"

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        yield Start()
        yield TextStart(0)
        while True:
            yield TextDelta(0, "x" * 65_536)


def kernel_buffers() -> int:
    """The most bytes that both ends of a TCP connection may hold for us."""
    limits = [Path(f"/proc/sys/net/ipv4/tcp_{way}mem") for way in "rw"]
    if not all(path.exists() for path in limits):
        pytest.skip("how much the kernel buffers is not known here")
    return sum(int(path.read_text().split()[-1]) for path in limits)


async def until_it_stalls(mock: MockProvider) -> int:
    """The bytes sent, once the server has been unable to send for many turns of the loop."""
    sent, quiet = -1, 0
    most = kernel_buffers() + 4 * 2**20
    while quiet < 300:
        await asyncio.sleep(0)
        now = mock.record.bytes_sent
        quiet = quiet + 1 if now == sent else 0
        sent = now
        assert sent <= most, "nobody reads, and still the server can send"
    return sent


async def test_a_reader_who_pauses_stops_the_server(dialect):
    async with (
        MockProvider(dialect, model=Talkative()) as mock,
        async_client(dialect, mock.url) as client,
        client.stream(MODELS[dialect], "Talk.") as stream,
    ):
        assert await soon(anext(stream.text()))
        sent = await until_it_stalls(mock)
        for _ in range(2000):
            await soon(anext(stream.text()))
            if mock.record.bytes_sent > sent:
                break
        assert mock.record.bytes_sent > sent, "reading on lets the server send on"


async def test_a_synchronous_reader_who_pauses_stops_the_server(dialect):
    paused, go_on = threading.Event(), threading.Event()

    def read() -> str:
        with (
            sync_client(dialect, mock.url) as client,
            client.stream(MODELS[dialect], "Talk.") as stream,
        ):
            first = next(stream.text())
            paused.set()
            go_on.wait()
            return first

    async with MockProvider(dialect, model=Talkative()) as mock:
        reading = asyncio.create_task(asyncio.to_thread(read))
        await elsewhere(paused.wait)
        try:
            await soon(until_it_stalls(mock))
        finally:
            go_on.set()
        assert await soon(reading)
