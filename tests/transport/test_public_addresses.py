"""What a guarded transport connects to, whatever a name server or a URL says."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.http import HttpRequest
from polyvox.transport import AiohttpTransport, is_public, read_all

Resolve = Callable[..., list[Any]]


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"],
)
def test_public_addresses_are_public(address: str):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "0.0.0.0", "100.64.0.1"),
        *("169.254.169.254", "168.63.129.16", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0:7f00:1", "ff02::1"),
        *("fe80::1", "fe80::1%eth0", "fd00:ec2::254", "64:ff9b::a00:1", "64:ff9b:1::808:808"),
        *("2002:7f00:1::", "2001:db8::1"),
        *("localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", ""),
    ],
)
def test_everything_else_is_not(address: str):
    assert not is_public(address)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server on all of the loopback that says "inside"."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ninside")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def fetched(transport: AiohttpTransport, url: str) -> bytes:
    response = await transport.send(HttpRequest("GET", url, {}))
    try:
        return await read_all(response.body, 100)
    finally:
        await response.aclose()


def told(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """The system's resolver gives these answers for inside.example, the last one for ever."""
    asked: list[str] = []
    left = list(answers)
    true_answer: Resolve = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **more: Any) -> list[Any]:
        if host not in ("inside.example", b"inside.example"):
            return true_answer(host, port, *args, **more)
        asked.append("inside.example")
        addresses = left.pop(0) if len(left) > 1 else left[0]
        kind = socket.AF_INET, socket.SOCK_STREAM, 6, ""
        return [(*kind, (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "0.0.0.0"),
        *("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]"),
    ],
)
async def test_the_machine_itself_is_not_reached_however_it_is_written(host: str, port: int):
    async with AiohttpTransport(may_reach=is_public) as transport:
        with pytest.raises((BadRequestError, ConfigurationError)):
            await fetched(transport, f"http://{host}:{port}/")


async def test_a_name_that_leads_inside_is_refused_without_telling_where(
    monkeypatch: pytest.MonkeyPatch, port: int
):
    told(monkeypatch, ["127.0.0.1"])
    async with AiohttpTransport(may_reach=is_public) as transport:
        with pytest.raises(BadRequestError) as caught:
            await fetched(transport, f"http://inside.example:{port}/")
    assert "inside.example" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


async def test_one_bad_address_spoils_a_name(monkeypatch: pytest.MonkeyPatch, port: int):
    told(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    async with AiohttpTransport(may_reach="127.0.0.1".__eq__) as transport:
        with pytest.raises(BadRequestError, match="may not be reached"):
            await fetched(transport, f"http://inside.example:{port}/")


async def test_the_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch, port: int
):
    asked = told(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])  # the second answer would be a trap
    async with AiohttpTransport(may_reach="127.0.0.1".__eq__) as transport:
        assert await fetched(transport, f"http://inside.example:{port}/") == b"inside"
    assert asked == ["inside.example"]


async def test_a_guarded_transport_goes_around_the_proxies_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, port: int
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with AiohttpTransport(may_reach="127.0.0.1".__eq__) as transport:
        assert await fetched(transport, f"http://127.0.0.1:{port}/") == b"inside"
