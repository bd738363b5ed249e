"""forbid_network: only this machine can be reached."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from polyvox.client import AsyncClient
from polyvox.errors import ConfigurationError
from polyvox.http import HttpRequest
from polyvox.testing import MockProvider, NetworkForbiddenError, forbid_network
from polyvox.transport.native import NativeTransport

# Documentation addresses, which nobody has: were the guard to fail, nothing would be reached.
ABROAD = "192.0.2.1"
ABROAD_6 = "2001:db8::1"


def test_connecting_abroad_is_an_error_with_a_hint():
    with forbid_network(), pytest.raises(NetworkForbiddenError) as caught:
        socket.create_connection((ABROAD, 443), timeout=1)
    assert isinstance(caught.value, ConfigurationError)
    assert not caught.value.retryable
    assert ABROAD in caught.value.text
    assert "MockProvider" in str(caught.value)


@pytest.mark.parametrize("host", ["api.openai.invalid", b"api.openai.invalid", "localhost.invalid"])
def test_looking_up_a_name_is_an_error(host: Any):
    with forbid_network(), pytest.raises(NetworkForbiddenError, match=r"invalid was asked for"):
        socket.getaddrinfo(host, 443)


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, (ABROAD, 9)),
        (socket.AF_INET, ("api.openai.invalid", 9)),
        (socket.AF_INET6, (ABROAD_6, 9, 0, 0)),
        (socket.AF_INET6, (f"::ffff:{ABROAD}", 9, 0, 0)),
    ],
)
@pytest.mark.parametrize("how", ["connect", "connect_ex", "sendto"])
def test_no_way_leads_out(family: int, address: Any, how: str):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        more = (b"x",) if how == "sendto" else ()
        with forbid_network(), pytest.raises(NetworkForbiddenError):
            getattr(sock, how)(*more, address)


@pytest.mark.parametrize("host", [ABROAD, "api.openai.invalid"])
async def test_asyncio_is_guarded_too(host: str):
    with forbid_network(), pytest.raises(NetworkForbiddenError):
        await asyncio.open_connection(host, 443)


async def test_aiohttp_is_guarded_too():
    async with aiohttp.ClientSession() as session:
        with forbid_network(), pytest.raises(NetworkForbiddenError):
            await session.get(f"http://{ABROAD}/")


def test_the_openai_sdk_is_guarded_too_and_does_not_try_again():
    with (
        openai.OpenAI(api_key="any", base_url="http://api.openai.invalid") as client,
        forbid_network(),
        pytest.raises(NetworkForbiddenError),
    ):
        client.models.list()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
async def test_this_machine_can_be_reached(host: str):
    async with MockProvider("openai-chat") as mock:
        port = int(mock.url.split(":")[2].split("/")[0])
        with forbid_network():
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            await writer.wait_closed()


def test_the_openai_sdk_reaches_a_mock():
    with (
        forbid_network(),
        MockProvider("openai-chat", models=["a"]) as server,
        openai.OpenAI(api_key="any", base_url=server.url) as client,
    ):
        assert [model.id for model in client.models.list()] == ["a"]


def test_unix_sockets_can_be_reached(tmp_path: Path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as sock:
        listener.bind(path)
        listener.listen()
        with forbid_network():
            sock.connect(path)


def test_afterwards_everything_is_as_before():
    names = ("connect", "connect_ex", "sendto")
    before = [socket.getaddrinfo, *(getattr(socket.socket, name) for name in names)]
    with pytest.raises(ValueError, match="out"), forbid_network(), forbid_network():
        raise ValueError("out")
    assert [socket.getaddrinfo, *(getattr(socket.socket, name) for name in names)] == before


@pytest.mark.parametrize("host", [ABROAD, f"[{ABROAD_6}]", "api.openai.invalid"])
async def test_our_own_compiled_transport_is_guarded_too(host: str):
    request = HttpRequest("GET", f"https://{host}/v1/models", {})
    async with NativeTransport() as transport:
        with forbid_network(), pytest.raises(NetworkForbiddenError, match="was asked for"):
            await transport.send(request)


async def test_a_proxy_abroad_is_abroad(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", f"http://{ABROAD}:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with NativeTransport() as transport:
        with forbid_network(), pytest.raises(NetworkForbiddenError, match=ABROAD):
            await transport.send(HttpRequest("GET", "http://127.0.0.1:9/", {}))


async def test_our_own_compiled_transport_reaches_this_machine():
    pytest.importorskip("polyvox_native")
    with forbid_network(), MockProvider("openai-chat") as server:
        urls, keys = {"openai": server.url}, {"openai": "sk-mock"}
        async with AsyncClient(transport="native", base_urls=urls, keys=keys) as client:
            answer = await client.complete("openai/gpt-5-mini", "hello")
    assert answer.text
