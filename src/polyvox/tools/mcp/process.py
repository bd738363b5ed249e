"""A server as a child process, which is spoken to over its standard streams, a message a line.

The transport of the ``mcp`` package has no end when its task is cancelled while a server is asked to
end and does not: the process stays, and the loop with it. Here a server that is left is a server that
is dead, and what it writes that is no message is not told on the terminal.

Specification: "Transports", section "stdio", and "Lifecycle", section "Shutdown", of the Model
Context Protocol.
"""

import asyncio
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import IO, TYPE_CHECKING

from polyvox.closing import AsyncClosing

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

__all__ = ["Pipe", "started"]

_CHUNK = 2**16
_PATIENCE = 2.0
_LOOK_AGAIN = 0.01


@asynccontextmanager
async def started(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None,
    stderr: IO[str],
    junk: Callable[[str], None],
) -> AsyncGenerator["Pipe"]:
    """A server, while in it; afterwards there is no such process, nor one that it has started.

    ``env`` comes on top of the few variables that every server gets; ``junk`` is told the lines that
    are no messages. Raises ``OSError`` when there is no such command.
    """
    from mcp.client.stdio import get_default_environment

    process = await asyncio.create_subprocess_exec(
        shutil.which(command[0]) or command[0],  # on Windows it may be npx.cmd
        *command[1:],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**get_default_environment(), **env},
        cwd=cwd,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    pipe = Pipe(process, junk)
    try:
        yield pipe
    finally:
        try:
            await pipe.end()
        finally:  # at once: whoever is cancelled while it ends waits for nothing more
            _signal(process, "SIGKILL")
            await pipe.ended(_PATIENCE)


class Pipe(AsyncClosing):
    """Both streams of a server: messages are sent, and those that come are iterated over."""

    def __init__(self, process: asyncio.subprocess.Process, junk: Callable[[str], None]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._sink = process.stdin
        self._source = process.stdout
        self._junk = junk
        self._lines: deque[bytes] = deque()
        self._begun: list[bytes] = []  # the parts of a line whose end has not come

    async def send(self, item: "SessionMessage") -> None:
        """Write a message. When it can't be, no message comes any more either."""
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            self._sink.write(text.encode() + b"\n")
            await self._sink.drain()
        except OSError:
            self._source.feed_eof()

    async def receive(self) -> "SessionMessage":
        """The next message. Raises ``StopAsyncIteration`` when the server has gone."""
        return await self.__anext__()

    async def __anext__(self) -> "SessionMessage":
        from mcp.shared.message import SessionMessage
        from mcp.types import jsonrpc_message_adapter

        while True:
            line = await self._line()
            if not line.strip():
                continue
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                self._junk(line[:_CHUNK].decode(errors="replace").rstrip("\r"))
            else:
                return SessionMessage(message)

    async def _line(self) -> bytes:
        while not self._lines:
            chunk = await self._source.read(_CHUNK)
            if not chunk:
                raise StopAsyncIteration
            first, *more = chunk.split(b"\n")
            self._begun.append(first)
            if more:
                self._lines.append(b"".join(self._begun))
                self._lines += more[:-1]
                self._begun = more[-1:]
        return self._lines.popleft()

    async def end(self) -> None:
        """Let the server end: by the end of its stdin, and if it stays, by a signal."""
        self._sink.close()
        if not await self.ended(_PATIENCE):
            _signal(self._process, "SIGTERM")
            await self.ended(_PATIENCE)

    async def ended(self, seconds: float) -> bool:
        """Whether it has, within this time. What it still writes is read: it may well wait for that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while await self._source.read(_CHUNK):
                    pass
                while self._process.returncode is None:  # noqa: ASYNC110 - wait() waits for too much
                    await asyncio.sleep(_LOOK_AGAIN)
        return self._process.returncode is not None

    async def aclose(self) -> None:
        """Nothing: the streams are those of the process, and end with it."""

    def __aiter__(self) -> "Pipe":
        return self


def _signal(process: asyncio.subprocess.Process, name: str) -> None:
    """To it and to all that it has started. A system without such signals only knows the last one."""
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, getattr(signal, name))
        elif process.returncode is None:
            tree = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
            subprocess.run(tree, capture_output=True, check=False)
