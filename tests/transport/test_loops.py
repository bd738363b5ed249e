"""One transport, many loops and threads; and what it costs to have it imported."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from polyvox.http import HttpRequest, Transport
from polyvox.transport import read_all
from waiting import soon, until

from .conftest import MakeTransport
from .raw_server import RawServer, answering, open_sockets
from .test_closing import begin_answer, sees_sockets


async def ask(transport: Transport, url: str) -> bytes:
    response = await transport.send(HttpRequest("POST", url, {}, b"{}"))
    try:
        return await read_all(response.body, 1000)
    finally:
        await response.aclose()


async def test_threads_with_loops_of_their_own_share_a_transport(transport_class: MakeTransport):
    together = threading.Barrier(8)

    async def several(url: str) -> list[bytes]:
        together.wait()
        return await asyncio.gather(*(ask(transport, url) for _ in range(10)))

    transport = transport_class()
    async with RawServer(answering) as server:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as threads:
            answers = await asyncio.gather(
                *(
                    loop.run_in_executor(threads, asyncio.run, several(server.url()))
                    for _ in range(8)
                ),
                return_exceptions=True,
            )
        assert answers == [[b"ok"] * 10] * 8
        assert len(server.paths) == 80
    await transport.aclose()


@sees_sockets
async def test_connections_are_closed_with_their_loop(transport_class: MakeTransport):
    transport = transport_class()
    async with RawServer(answering) as server:
        for number in range(3):
            answer = await asyncio.to_thread(asyncio.run, ask(transport, server.url()))
            assert answer == b"ok"
            await soon((await server.peer(number)).gone.wait())
        assert transport._pools == {}


async def test_closing_closes_the_connections_of_other_loops(transport_class: MakeTransport):
    transport = transport_class()
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    async with RawServer(answering) as server:
        there = asyncio.run_coroutine_threadsafe(ask(transport, server.url()), other)
        assert await soon(asyncio.wrap_future(there)) == b"ok"
        assert await soon(ask(transport, server.url())) == b"ok"
        assert not any(peer.gone.is_set() for peer in server.peers)
        await soon(transport.aclose())
        for peer in server.peers:
            await soon(peer.gone.wait())
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's own, for the transports
@sees_sockets
async def test_a_loop_closed_without_a_word_is_forgotten(
    transport_class: MakeTransport, caplog: pytest.LogCaptureFixture
):
    transport = transport_class()

    def rudely(url: str) -> bytes:
        loop = asyncio.new_event_loop()
        answer = loop.run_until_complete(ask(transport, url))
        loop.close()
        return answer

    async with RawServer(answering) as server:
        assert await asyncio.to_thread(rudely, server.url()) == b"ok"
        assert await soon(ask(transport, server.url())) == b"ok"
        assert list(transport._pools) == [asyncio.get_running_loop()]
        gc.collect()
        await soon((await server.peer(0)).gone.wait())
        await transport.aclose()
    gc.collect()
    assert "Unclosed" not in caplog.text


async def test_a_pool_is_as_large_as_it_was_made(transport_class: MakeTransport):
    async with transport_class(max_connections=3) as transport, RawServer(begin_answer) as server:
        held = [await soon(transport.send(HttpRequest("GET", server.url(), {}))) for _ in range(3)]
        fourth = asyncio.create_task(transport.send(HttpRequest("GET", server.url(), {})))
        await held[0].aclose()
        response = await soon(fourth)
        assert len(server.peers) == 4
        for one in (*held, response):
            await one.aclose()


@sees_sockets
async def test_a_closed_transport_leaves_no_socket(transport_class: MakeTransport):
    async with RawServer(answering) as server:
        before = open_sockets()
        async with transport_class() as transport:
            await asyncio.gather(*(ask(transport, server.url()) for _ in range(20)))
        for number in range(len(server.peers)):
            await soon((await server.peer(number)).gone.wait())
        await until(lambda: open_sockets() == before)


def loaded_by(code: str) -> set[str]:
    code += "\nimport sys; print(*sys.modules)"
    # Without what coverage adds to every process, and loads.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_room_loads_nothing_heavy():
    loaded = loaded_by("import polyvox.transport; dir(polyvox.transport)")
    assert not loaded & {"aiohttp", "asyncio", "ssl", "socket", "msgspec"}


def test_aiohttp_waits_for_the_first_request():
    code = "from polyvox.transport import AiohttpTransport, exchange, read_all; AiohttpTransport()"
    assert "aiohttp" not in loaded_by(code)


def test_an_unknown_name_is_an_attribute_error():
    import polyvox.transport

    with pytest.raises(AttributeError, match="no_such_name"):
        polyvox.transport.no_such_name  # noqa: B018
