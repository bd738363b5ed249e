"""Who may open a WebSocket: keys in three places, pages of others, and keys that are revoked."""

from typing import Any

import pytest
import websockets

from polyvox.errors import AuthenticationError
from polyvox.gateway.live.bounds import Bounds
from polyvox.gateway.live.handshake import Pass
from polyvox.gateway.web.door import Door
from polyvox.testing import MockProvider

from .rig import Keys, Paced, reaching, serving

NOWHERE = "http://127.0.0.1:9"


async def refused(gateway: Any, key: str | None, **options: Any) -> int:
    with pytest.raises(websockets.InvalidStatus) as status:
        async with gateway.connected(key, **options):
            pass
    return status.value.response.status_code


async def test_pages_may_open_one_only_if_the_configuration_names_them():
    async with (
        reaching(NOWHERE) as client,
        serving(client, origins=("https://app.example.com",)) as gateway,
    ):
        assert await refused(gateway, "good", origin="https://evil.example.com") == 403
        assert await refused(gateway, "good", origin=f"http://{gateway.address}") == 403
        assert await refused(gateway, "good", origin="null") == 403
        async with gateway.connected(origin="https://app.example.com") as ours:
            await ours.say("ping")
            await ours.next("pong")
        assert gateway.live.connections == 0


async def test_without_any_origin_in_the_configuration_no_page_may():
    async with reaching(NOWHERE) as client, serving(client) as gateway:
        assert await refused(gateway, "good", origin=f"http://{gateway.address}") == 403


async def test_a_browser_sends_its_key_as_a_protocol_that_is_never_told_again():
    async with reaching(NOWHERE) as client, serving(client) as gateway:
        protocols = ["polyvox", "polyvox.key.good"]
        async with gateway.connected(None, subprotocols=protocols) as ours:
            assert ours.socket.subprotocol == "polyvox"
            answered = ours.socket.response
            assert answered is not None
            assert "good" not in str(answered.headers)
            await ours.start("a", "nobody")
            await ours.next("closed")
        assert await refused(gateway, None, subprotocols=["polyvox.key.bad"]) == 401
        assert await refused(gateway, "bad") == 401


async def test_a_key_may_come_with_the_first_message():
    async with (
        reaching(NOWHERE) as client,
        serving(client) as gateway,
        gateway.connected(None) as ours,
    ):
        await ours.start("a")
        assert (await ours.next("error", "a"))["error"]["kind"] == "authentication"
        await ours.say("hello", key="good")
        assert (await ours.next())["type"] == "welcome"
        await ours.start("a", "nobody")
        await ours.next("closed")
        await ours.say("hello", key="other")
        assert "another connection" in (await ours.next("error"))["error"]["text"]


async def test_who_shows_no_key_is_left():
    async with (
        reaching(NOWHERE) as client,
        serving(client, bounds=Bounds(hello_seconds=0.01)) as gateway,
        gateway.connected(None) as ours,
    ):
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await ours.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


async def test_who_shows_a_bad_key_is_told_and_left():
    async with (
        reaching(NOWHERE) as client,
        serving(client) as gateway,
        gateway.connected(None) as ours,
    ):
        await ours.say("hello", key="bad")
        assert (await ours.next("error"))["error"]["kind"] == "authentication"
        with pytest.raises(websockets.ConnectionClosed):
            await ours.next()


async def test_a_key_in_the_address_counts_for_nothing():
    async with (
        reaching(NOWHERE) as client,
        serving(client) as gateway,
        websockets.connect(f"ws://{gateway.address}/v1/ws?key=good") as socket,
    ):
        await socket.send('{"type": "start", "id": "a", "messages": "Hi"}')
        assert "authentication" in str(await socket.recv())


async def test_a_key_that_is_revoked_starts_nothing_more():
    paced = Paced(3)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a")
        await ours.next("accepted")
        del gateway.keys.known["good"]
        await ours.start("b")
        assert (await ours.next("error", "b"))["error"]["kind"] == "authentication"
        paced.allow(3)
        await ours.next("closed", "a")


async def test_a_key_is_good_for_chat_or_the_call_is_refused():
    async with (
        reaching(NOWHERE) as client,
        serving(client) as gateway,
        gateway.connected("chat_only") as ours,
    ):
        decision = {"approve": True}
        await ours.say("approve", id="a", approval="run_1", decision=decision)
        assert (await ours.next("error"))["error"]["kind"] == "permission_denied"


def test_nothing_of_the_key_is_left_in_what_errors_could_show():
    scope = {"headers": [], "subprotocols": ["polyvox.key.canary"], "query_string": b"key=canary"}
    key = Pass(Door(Keys()), scope)
    with pytest.raises(AuthenticationError) as error:
        key.enter("chat")
    assert "canary" not in repr(key) + str(error.value)
