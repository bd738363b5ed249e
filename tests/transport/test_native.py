"""What only the native transport has to get right: its loops, its memory, and forked processes."""

import asyncio
import gc
import os
import socket
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import le
from pathlib import Path

import pytest

from polyvox.errors import ConfigurationError, NetworkError
from polyvox.http import HttpRequest, HttpResponse, Transport
from polyvox.transport import is_public, read_all
from polyvox.transport.native import NativeTransport
from waiting import soon, turns, until

from .conftest import Certificate, MakeTransport, needs_wheel
from .raw_server import Peer, Proxy, RawServer, answering, open_sockets, silent
from .test_closing import begin_answer, sees_sockets

pytestmark = needs_wheel

MIB = 2**20


def post(url: str, body: bytes = b"{}", **headers: str) -> HttpRequest:
    return HttpRequest("POST", url, headers, body)


async def ask(transport: Transport, url: str) -> bytes:
    response = await transport.send(post(url))
    try:
        return await read_all(response.body, 1000)
    finally:
        await response.aclose()


@pytest.fixture
def transport_class() -> MakeTransport:
    return NativeTransport


@pytest.mark.parametrize("wish", ["ssl_context", "may_reach"])
def test_what_it_cannot_keep_to_is_refused(wish: str, certificate: Certificate):
    given = {"ssl_context": certificate.client, "may_reach": is_public}[wish]
    with pytest.raises(ConfigurationError, match=wish) as caught:
        NativeTransport(**{wish: given})
    assert "AiohttpTransport" in str(caught.value)


# -------------------------------------------------------------------------------- its event loop


def threads() -> int:
    def name(task: str) -> str:
        with suppress(OSError):  # it has just ended
            return Path(f"/proc/self/task/{task}/comm").read_text()
        return ""

    return sum(name(task).startswith("polyvox-native") for task in os.listdir("/proc/self/task"))


def watchers() -> int:
    """Descriptors of what gathers the sockets' events."""

    def target(fd: str) -> str:
        with suppress(OSError):
            return os.readlink(f"/proc/self/fd/{fd}")
        return ""

    return sum(target(fd).startswith("anon_inode:") for fd in os.listdir("/proc/self/fd"))


@sees_sockets
async def test_it_has_no_thread_and_leaves_nothing_open():
    before = threads(), watchers(), open_sockets()
    async with RawServer(answering) as server:
        transport = NativeTransport()
        assert await soon(ask(transport, server.url())) == b"ok"
        assert threads() == before[0]
        await transport.aclose()
        await soon(server.peers[0].gone.wait())
    del transport
    gc.collect()
    await until(lambda: all(map(le, (threads(), watchers(), open_sockets()), before)))


@sees_sockets
async def test_the_thread_that_asked_for_an_address_ends():
    before = threads()
    async with RawServer(answering) as server, NativeTransport() as transport:
        url = server.url().replace("127.0.0.1", "localhost")
        assert await soon(ask(transport, url)) == b"ok"
        await until(lambda: threads() <= before)


@sees_sockets
async def test_a_transport_that_nobody_closed_takes_its_descriptors_with_it():
    before = watchers()

    async def forget(url: str) -> None:
        assert await ask(NativeTransport(), url) == b"ok"

    async with RawServer(answering) as server:
        await asyncio.to_thread(asyncio.run, forget(server.url()))
        await soon(server.peers[0].gone.wait())
        gc.collect()
        await until(lambda: watchers() <= before)


@sees_sockets
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # asyncio's own, for the task
async def test_a_reader_left_waiting_in_a_closed_loop_keeps_nothing_open():
    before = watchers()

    async def wait(transport: NativeTransport, url: str) -> None:
        response = await transport.send(post(url))
        async for _ in response.body:
            asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)

    def rudely(url: str) -> None:
        loop = asyncio.new_event_loop()
        transport = NativeTransport()
        task = loop.create_task(wait(transport, url))
        loop.run_forever()
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        asyncio.run(transport.aclose())

    async with RawServer(begin_answer) as server:
        await asyncio.to_thread(rudely, server.url())
        await soon(server.peers[0].gone.wait())
        gc.collect()
        await until(lambda: watchers() <= before)


def test_a_loop_that_cannot_watch_a_descriptor_is_refused_in_words():
    class Proactor(asyncio.SelectorEventLoop):
        """As Windows' loop in this."""

        def add_reader(self, fd: object, callback: object, *args: object) -> None:
            if getattr(callback, "__name__", "") == "turn":
                raise NotImplementedError
            super().add_reader(fd, callback, *args)  # type: ignore[arg-type]

    async def send() -> None:
        async with NativeTransport() as transport:
            with pytest.raises(ConfigurationError, match="Proactor") as caught:
                await transport.send(post("http://127.0.0.1:9"))
            assert "POLYVOX_TRANSPORT=aiohttp" in str(caught.value)

    with asyncio.Runner(loop_factory=Proactor) as runner:
        runner.run(send())


async def test_it_runs_on_uvloop_too():
    uvloop = pytest.importorskip("uvloop")

    async def several(url: str) -> None:
        async with NativeTransport() as transport:
            responses = [await soon(transport.send(post(url))) for _ in range(20)]
            assert [await soon(anext(r.body)) for r in responses] == [b"first"] * 20
            reading = asyncio.ensure_future(anext(responses[0].body))
            await turns()
        with pytest.raises(NetworkError):
            await soon(reading)

    def elsewhere(url: str) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(several(url))

    async with RawServer(begin_answer) as server:
        await asyncio.to_thread(elsewhere, server.url())
        for peer in server.peers:
            await soon(peer.gone.wait())


async def test_streams_in_two_loops_of_two_threads_go_on_side_by_side():
    """Each piece is answered by a piece in the other loop: none of both can run ahead."""
    barrier = threading.Barrier(2)

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.begin_chunked()
        for number in range(50):
            peer.chunk(b"%d" % number)
            await peer.take(1)
        peer.chunk(b"")

    async def read(transport: NativeTransport) -> list[bytes]:
        async with RawServer(script) as server:
            response = await transport.send(post(server.url()))
            pieces: list[bytes] = []
            async for piece in response.body:
                pieces.append(piece)
                await asyncio.to_thread(barrier.wait, 30)
                server.peers[0].data_received(b".")
            return pieces

    transport = NativeTransport()
    both = await asyncio.gather(
        *(asyncio.to_thread(asyncio.run, read(transport)) for _ in range(2))
    )
    await transport.aclose()
    assert both == [[b"%d" % number for number in range(50)]] * 2


async def test_a_reader_in_a_loop_that_stands_still_finds_the_transport_closed():
    async def begin(url: str) -> asyncio.Future[bytes]:
        response = await transport.send(post(url))
        assert await anext(response.body) == b"first"
        return asyncio.ensure_future(anext(response.body))

    def elsewhere(url: str) -> None:
        loop = asyncio.new_event_loop()
        reading = loop.run_until_complete(begin(url))
        asyncio.run(transport.aclose())
        with pytest.raises(NetworkError):
            loop.run_until_complete(asyncio.wait_for(reading, 30))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    transport = NativeTransport()
    async with RawServer(begin_answer) as server:
        await asyncio.to_thread(elsewhere, server.url())
        await soon(server.peers[0].gone.wait())


# ----------------------------------------------------------------------- pieces, quick and slow


@pytest.mark.parametrize("count", [10, 200])
async def test_pieces_that_wait_for_their_reader_come_one_by_one(count: int):
    """However quickly both sides are, and though looks that find one small piece become rarer."""
    seen = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.begin_chunked()
        for number in range(count):
            peer.chunk(b"%d" % number)
            await seen.wait()
            seen.clear()
        peer.chunk(b"")

    pieces: list[bytes] = []
    async with RawServer(script) as server, NativeTransport() as transport:
        response = await soon(transport.send(post(server.url())))
        async for piece in response.body:
            pieces.append(piece)
            seen.set()
    assert pieces == [b"%d" % number for number in range(count)]


async def test_many_small_pieces_arrive_whole_and_the_connection_serves_again():
    async def script(peer: Peer) -> None:
        for _ in range(3):
            await peer.request()
            peer.begin_chunked()
            for number in range(5000):
                peer.chunk(b"%d," % number)
                if number % 10 == 0:
                    await asyncio.sleep(0)
            peer.chunk(b"")

    whole = b"".join(b"%d," % number for number in range(5000))
    async with RawServer(script) as server, NativeTransport() as transport:
        for _ in range(3):
            response = await soon(transport.send(post(server.url())))
            assert await soon(read_all(response.body, MIB)) == whole
        assert len(server.peers) == 1


async def test_a_body_in_brotli_is_unpacked():
    line = b"data: Air scatters blue light more than red. "
    packed = b64decode("GycjcBSh0nVypAdqnkXY6pC+wwYcsBcE6gvKZRGWIihX2Ik64adtqkrtr9dqAIgbCA==")

    async def script(peer: Peer) -> None:
        assert b"br" in await peer.request()
        peer.begin_chunked(b"content-encoding: br")
        for at in range(0, len(packed), 7):
            peer.chunk(packed[at : at + 7])
        peer.chunk(b"")

    async with RawServer(script) as server, NativeTransport() as transport:
        response = await soon(transport.send(post(server.url())))
        assert await soon(read_all(response.body, MIB)) == line * 200


# --------------------------------------------------------------------------- idle connections


async def test_an_idle_connection_is_closed_after_a_while():
    async with RawServer(answering) as server, NativeTransport(keep_alive=0.05) as transport:
        assert await soon(ask(transport, server.url())) == b"ok"
        await soon(server.peers[0].gone.wait())
        assert await soon(ask(transport, server.url())) == b"ok"


async def test_an_idle_connection_makes_room_for_one_to_another_server():
    async with (
        RawServer(answering) as one,
        RawServer(answering) as other,
        NativeTransport(max_connections=1) as transport,
    ):
        assert await soon(ask(transport, one.url())) == b"ok"
        assert await soon(ask(transport, other.url())) == b"ok"
        await soon(one.peers[0].gone.wait())
        assert not other.peers[0].gone.is_set()


async def test_connections_closed_behind_its_back_are_passed_over_however_many_they_are():
    count = 8
    asked = asyncio.Barrier(count)

    async def script(peer: Peer) -> None:
        await peer.request()
        if len(server.peers) <= count:
            await asked.wait()
        peer.answer()

    async with RawServer(script) as server, NativeTransport() as transport:
        answers = [ask(transport, server.url()) for _ in range(count)]
        assert await soon(asyncio.gather(*answers)) == [b"ok"] * count
        for peer in server.peers:
            peer.transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
        # The loop has not gone round since, so nobody has seen it.
        assert await ask(transport, server.url()) == b"ok"
        assert len(server.peers) == len(server.paths) == count + 1


# ----------------------------------------------------------------------------- what is there already


def whole(response: HttpResponse) -> bytes | None:
    from polyvox.transport.native_pool import NativeResponse  # not to be had without the wheel

    assert isinstance(response, NativeResponse)
    return response.whole()


async def test_a_body_that_has_come_whole_can_be_had_without_waiting():
    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with RawServer(script) as server, NativeTransport() as transport:
        for _ in range(2):
            response = await soon(transport.send(post(server.url())))
            assert whole(response) == b"ok"
            assert await soon(read_all(response.body, 0)) == b""
            await response.aclose()
        assert len(server.peers) == 1


async def test_a_body_that_goes_on_is_not_had_without_waiting():
    last = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.begin_chunked()
        peer.chunk(b"one")
        await last.wait()
        peer.send(b"3\r\ntwo\r\n0\r\n\r\n")

    async with RawServer(script) as server, NativeTransport() as transport:
        response = await soon(transport.send(post(server.url())))
        assert whole(response) is None
        assert await soon(anext(response.body)) == b"one"
        assert whole(response) is None
        waiting = asyncio.create_task(anext(response.body))
        await turns()
        last.set()
        assert await soon(waiting) == b"two"
        assert whole(response) == b""
        await response.aclose()
        assert whole(response) == b""


async def test_a_body_that_was_given_up_is_not_whole():
    async with RawServer(begin_answer) as server, NativeTransport() as transport:
        response = await soon(transport.send(post(server.url())))
        await response.aclose()
        assert whole(response) is None


async def test_an_address_that_was_forgotten_is_worked_out_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("polyvox.transport.native_pool._MOST_TARGETS", 2)
    paths = ["/1", "/2", "/3", "/1", "/3", "/2?%C3%BC"]
    async with RawServer(answering) as server, NativeTransport() as transport:
        for path in paths:
            assert await soon(ask(transport, server.url(path))) == b"ok"
        assert server.paths == paths


# --------------------------------------------------------------------------- how much it reads ahead


async def test_a_body_that_nobody_reads_stops_its_server():
    async def flood(peer: Peer) -> None:
        await peer.request()
        peer.begin(b"content-length: %d" % (64 * MIB))
        peer.transport.set_write_buffer_limits(high=0)
        for _ in range(1024):
            peer.send(bytes(MIB // 16))
            while peer.transport.get_write_buffer_size():  # noqa: ASYNC110
                await asyncio.sleep(0)
            sent.append(MIB // 16)

    sent: list[int] = []
    async with RawServer(flood) as server, NativeTransport() as transport:
        response = await soon(transport.send(post(server.url())))
        peer = await server.peer()
        await until(lambda: peer.transport.get_write_buffer_size() > 0)
        seen = -1
        while seen != sum(sent):  # what the system's buffers on both sides take
            seen = sum(sent)
            assert await soon(ask_elsewhere(transport)) == b"ok"
        assert seen < 32 * MIB
        assert len(await soon(read_all(response.body, 64 * MIB))) == 64 * MIB


async def ask_elsewhere(transport: Transport) -> bytes:
    async with RawServer(answering) as server:
        answers = [await ask(transport, server.url()) for _ in range(20)]
        return answers[-1]


async def test_a_small_answer_that_unpacks_to_much_is_unpacked_as_it_is_read():
    import tracemalloc
    import zlib

    async def bomb(peer: Peer) -> None:
        await peer.request()
        squeeze = zlib.compressobj(9, wbits=31)
        packed = squeeze.compress(bytes(256 * MIB)) + squeeze.flush()
        peer.answer(packed, b"content-encoding: gzip")

    async with RawServer(bomb) as server, NativeTransport() as transport:
        response = await soon(transport.send(post(server.url())))
        tracemalloc.start()
        try:
            total = longest = 0
            async for piece in response.body:
                total += len(piece)
                longest = max(longest, len(piece))
        finally:
            tracemalloc.stop()
    assert total == 256 * MIB
    assert longest < 4 * MIB


async def test_a_thousand_streams_at_once_each_get_their_own():
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        request = await peer.request()
        peer.begin_chunked()
        peer.chunk(b"first ")
        await go_on.wait()
        peer.chunk(request.rpartition(b"\r\n\r\n")[2])
        peer.chunk(b"")

    async def play(number: int) -> bool:
        response = await transport.send(post(server.url(), b"%d" % number))
        pieces = [await anext(response.body)]
        arrived.append(number)
        if len(arrived) == 1000:
            go_on.set()
        pieces += [piece async for piece in response.body]
        return b"".join(pieces) == b"first %d" % number

    arrived: list[int] = []
    async with RawServer(script) as server, NativeTransport() as transport:
        assert all(await soon(asyncio.gather(*(play(number) for number in range(1000)))))


# ----------------------------------------------------------------------------- threads and processes


@sees_sockets
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python's, of fork and threads
async def test_a_forked_child_makes_its_own_connections_and_leaves_the_parents():
    @contextmanager
    def listening() -> Iterator[socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener

    def child(transport: NativeTransport, url: str) -> int:
        async def both() -> bytes:
            answer = await asyncio.wait_for(ask(transport, url), 20)
            await transport.aclose()
            return answer

        return 0 if asyncio.run(both()) == b"ok" else 1

    async with RawServer(answering) as server, NativeTransport() as transport:
        url = server.url()
        assert await soon(ask(transport, url)) == b"ok"
        pid = await asyncio.to_thread(_fork, lambda: child(transport, url))
        _, status = await soon(asyncio.to_thread(os.waitpid, pid, 0))
        assert os.waitstatus_to_exitcode(status) == 0
        assert len(server.peers) == 2
        assert not server.peers[0].gone.is_set()
        assert await soon(ask(transport, url)) == b"ok"
        assert len(server.peers) == 2


def _fork(child: object) -> int:
    """In a thread that has no event loop, so that the child has none either."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = child()  # type: ignore[operator]
    finally:
        os._exit(code)


@pytest.mark.parametrize("state", [silent, begin_answer])
async def test_closing_from_another_thread_while_something_is_under_way(state: object):
    async with RawServer(state) as server:  # type: ignore[arg-type]
        transport = NativeTransport()

        async def play() -> None:
            response = await transport.send(post(server.url()))
            async for _ in response.body:
                pass

        playing = asyncio.create_task(play())
        peer = await soon(server.peer())
        await until(lambda: peer.total > 0)
        await asyncio.to_thread(asyncio.run, transport.aclose())
        with pytest.raises(NetworkError):
            await soon(playing)
        await soon(peer.gone.wait())


async def test_two_tasks_cannot_wait_for_the_same_answer():
    async with RawServer(begin_answer) as server, NativeTransport() as transport:
        response = await soon(transport.send(post(server.url())))
        assert await soon(anext(response.body)) == b"first"
        first = asyncio.ensure_future(anext(response.body))
        await turns()
        with pytest.raises(RuntimeError, match="somebody else waits"):
            await anext(response.body)
        first.cancel()


async def test_a_proxy_may_be_spoken_to_over_tls(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    async with RawServer(answering, tls=certificate.server) as server:
        proxy = Proxy(server)
        async with RawServer(proxy.script, tls=certificate.server) as front:
            monkeypatch.setenv("HTTPS_PROXY", f"https://ada:s%40cret@{front.authority}")
            async with NativeTransport() as transport:
                assert await soon(ask(transport, "https://localhost:444/v1")) == b"ok"
    assert len(proxy.heads) == 1
    assert proxy.heads[0].startswith(b"CONNECT localhost:444 HTTP/1.1\r\n")


async def test_a_name_and_password_in_the_address_are_a_header():
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        peer.answer()

    async with RawServer(script) as server, NativeTransport() as transport:
        url = server.url("/a@b").replace("://", "://ada:s%40cret@")
        assert await soon(ask(transport, url)) == b"ok"
    assert seen[0].startswith(b"POST /a@b HTTP/1.1\r\n")
    assert b"authorization: Basic YWRhOnNAY3JldA==\r\n" in seen[0]
    assert f"host: {server.authority}\r\n".encode() in seen[0]


def test_the_wheel_is_loaded_with_the_first_request():
    import subprocess

    code = "from polyvox.transport.native import NativeTransport; NativeTransport()"
    code += "\nimport sys; print('polyvox_native' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
