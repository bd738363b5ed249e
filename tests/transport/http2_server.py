"""A server of HTTP/2 over TLS that does what a test says, stream by stream."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self

import h2.config
import h2.connection
import h2.events
import h2.settings

from .conftest import Certificate

Head = list[tuple[str, str]]


@dataclass
class Stream:
    """One request, as its server sees it."""

    connection: "Connection"
    number: int
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    reset: asyncio.Event = field(default_factory=asyncio.Event)
    error_code: int | None = None

    def begin(self, *headers: tuple[str, str], status: str = "200") -> None:
        head: Head = [(":status", status), *headers]
        self.connection.h2.send_headers(self.number, head)
        self.connection.flush()

    def send(self, data: bytes, *, end: bool = False) -> None:
        self.connection.h2.send_data(self.number, data, end_stream=end)
        self.connection.flush()

    def room(self) -> int:
        """How much the client takes by now."""
        return self.connection.h2.local_flow_control_window(self.number)

    def give_up(self) -> None:
        self.connection.h2.reset_stream(self.number, 2)
        self.connection.flush()


Script = Callable[[Stream], Awaitable[None]]


class Connection(asyncio.Protocol):
    def __init__(self, server: "Http2Server") -> None:
        self.server = server
        self.streams: list[Stream] = []
        self.gone = asyncio.Event()
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        setting = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        self.h2.local_settings = h2.settings.Settings(
            client=False, initial_values={setting: self.server.most_streams}
        )
        self.h2.initiate_connection()
        self.flush()
        self.server.connections.append(self)
        self.server.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        by_number = {stream.number: stream for stream in self.streams}
        for event in self.h2.receive_data(data):
            match event:
                case h2.events.RequestReceived():
                    self._welcome(event)
                case h2.events.DataReceived():
                    by_number[event.stream_id].body += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    stream = next(s for s in self.streams if s.number == event.stream_id)
                    stream.whole.set()
                case h2.events.StreamReset():
                    by_number[event.stream_id].error_code = event.error_code
                    by_number[event.stream_id].reset.set()
                case _:
                    pass
            by_number = {stream.number: stream for stream in self.streams}
        self.flush()
        self.server.news.set()

    def _welcome(self, event: h2.events.RequestReceived) -> None:
        headers = {str(name): str(value) for name, value in event.headers}
        stream = Stream(self, event.stream_id, headers)
        self.streams.append(stream)
        self.server.streams.append(stream)
        self.server.scripts.append(asyncio.create_task(_run(self.server.script, stream)))


class Http2Server:
    """Runs the script for each request, on a port of 127.0.0.1 that the system chooses."""

    def __init__(
        self, script: Script, certificate: Certificate, *, most_streams: int = 100
    ) -> None:
        self.script = script
        self.most_streams = most_streams
        self.connections: list[Connection] = []
        self.streams: list[Stream] = []
        self.scripts: list[asyncio.Task[None]] = []
        self.news = asyncio.Event()
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate.file, certificate.file.with_name("key.pem"))
        self._tls.set_alpn_protocols(["h2"])

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self), "127.0.0.1", 0, ssl=self._tls, backlog=300
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self.connections:
            connection.transport.abort()
        for script in self.scripts:
            script.cancel()
        ends = await asyncio.gather(*self.scripts, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def url(self, path: str = "/") -> str:
        return f"https://127.0.0.1:{self.port}{path}"

    async def stream(self, number: int = 0) -> Stream:
        """The request of that number, when it has arrived."""
        while len(self.streams) <= number:
            self.news.clear()
            await self.news.wait()
        return self.streams[number]


async def _run(script: Script, stream: Stream) -> None:
    await script(stream)
