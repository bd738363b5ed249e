"""Many streams at once, each at a model's pace: who sends them, and who reads them.

``python -m bench.crowd CHUNKS STREAMS`` sends everybody who asks ``PACE`` chunks a second, CHUNKS in
all, and is ready for so many streams. It prints its address and serves until stdin is closed.
"""

import asyncio
import json
import resource
import sys
import time

from bench import contenders
from bench.answers import make_answer

PACE = 50
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%b"
)
_LAST = b"0\r\n\r\n"
_END_OF_BODY = b"}"


class _Paced:
    """Writes each stream its next chunk, at every tick."""

    def __init__(self, chunks: int) -> None:
        self._answer = make_answer("openai", "text", chunks)
        self._seen: dict[asyncio.Transport, int] = {}

    def begin(self, transport: asyncio.Transport) -> None:
        transport.write(_HEAD % self._answer.head)
        self._seen[transport] = 0

    def end(self, transport: asyncio.Transport) -> None:
        self._seen.pop(transport, None)

    async def tick(self) -> None:
        due = time.monotonic()
        while True:
            due += 1 / PACE
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            for transport, seen in list(self._seen.items()):
                self._write(transport, seen)

    def _write(self, transport: asyncio.Transport, seen: int) -> None:
        pieces = self._answer.pieces
        transport.write(pieces[seen])
        if seen + 1 < len(pieces):
            self._seen[transport] = seen + 1
        else:
            transport.write(self._answer.tail + _LAST)
            self.end(transport)


class _Asked(asyncio.Protocol):
    def __init__(self, paced: _Paced) -> None:
        self._paced = paced
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pending += data
        if self._pending.endswith(_END_OF_BODY):
            self._pending = b""
            self._paced.begin(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._paced.end(self._transport)


async def serve(chunks: int) -> None:
    """Print the address, and serve until stdin is closed."""
    paced = _Paced(chunks)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Asked(paced), "127.0.0.1", 0, backlog=4096
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    ticking = asyncio.ensure_future(paced.tick())
    await asyncio.to_thread(sys.stdin.read)
    ticking.cancel()
    server.close()


def main(name: str, url: str, streams: int, chunks: int) -> None:
    """Read so many streams at once; prints what it took, from the first question to the last chunk."""
    _open_files(streams)
    wall, cpu = asyncio.run(_read_all(name, url, streams, chunks))
    print(json.dumps({"wall_s": wall, "cpu_s": cpu}))


async def _read_all(name: str, url: str, streams: int, chunks: int) -> tuple[float, float]:
    async with contenders.load(name).connect(url) as read:
        began, cpu = time.perf_counter(), time.process_time()
        asked = (read("why?", _ignore) for _ in range(streams))
        counts = await asyncio.gather(*asked)
        took = time.perf_counter() - began, time.process_time() - cpu
    if counts != [chunks] * streams:
        raise SystemExit(f"{sum(counts)} chunks arrived of {streams * chunks}")
    return took


def _ignore(seen: int) -> None:
    pass


def _open_files(streams: int) -> None:
    """Each stream is an open file, of which some systems allow few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = streams + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    _open_files(int(sys.argv[2]))
    asyncio.run(serve(int(sys.argv[1])))
