"""A way to a server that can fall silent: packets are dropped, and nobody is told."""

import asyncio
from contextlib import suppress
from typing import Self


class Proxy:
    """Forwards every byte, unless it is silent. What was sent then is lost, with its connection."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: list[asyncio.StreamWriter] = []
        self._lost: set[asyncio.StreamWriter] = set()
        self.silent = False
        self.connections = 0
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._open:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        onward, out = await asyncio.open_connection("127.0.0.1", self._target)
        self._open += [writer, out]
        lost = [self.silent]
        for source, sink in ((reader, out), (onward, writer)):
            task = asyncio.create_task(self._copy(source, sink, lost))
            self._tasks.add(task)

    async def _copy(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, lost: list[bool]
    ) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65536):
                lost[0] = lost[0] or self.silent
                if not lost[0]:
                    sink.write(data)
                    await sink.drain()
            sink.close()
