"""A gateway that is told to stop lets the calls over its WebSockets end."""

import asyncio
import json
import signal
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from polyvox.testing import Knobs, MockProvider

UPSTREAM = """
[providers.up]
dialect = "openai-chat"
base_url = "{url}"
key = "any"
"""


async def test_a_call_over_a_websocket_ends_before_the_gateway_does(running) -> None:
    async with MockProvider(
        "openai-chat", script=["All is well."], knobs=Knobs(hold_until=99)
    ) as mock:
        gateway = await asyncio.to_thread(running, UPSTREAM.format(url=mock.url))
        url = gateway.url.replace("http", "ws", 1) + "/v1/ws"
        headers = {"authorization": f"Bearer {gateway.key}"}
        async with connect(url, additional_headers=headers) as socket:
            asked = {"type": "start", "id": "a", "model": "up/m"}
            await socket.send(json.dumps(asked | {"messages": [{"role": "user", "content": "Hi"}]}))
            await mock.wait_for_request()
            gateway.process.send_signal(signal.SIGTERM)
            told = [json.loads(await socket.recv())]
            mock.release()
            with suppress(ConnectionClosed):  # the gateway says that it goes
                while True:
                    told.append(json.loads(await socket.recv()))
        assert await asyncio.to_thread(gateway.process.wait, 30) == 0
    text = json.dumps(told)
    assert "All is well." in text
    assert told[-1]["type"] == "closed"
