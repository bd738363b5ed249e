"""The council over real sockets: what is interrupted leaves none of them open."""

import asyncio
from contextlib import AsyncExitStack

import pytest

import polyvox
from polyvox.composite import Council
from polyvox.testing import MockProvider

from .council_rig import Voice

MEMBERS = ("one", "two", "three")


async def test_an_interrupt_in_the_second_stage_closes_every_socket():
    interrupt = polyvox.Interrupt()
    voices = [Voice(f"acme/{name}", f"{name}.") for name in MEMBERS]
    for voice in voices:
        voice.gates = {"review": asyncio.Event()}
    async with AsyncExitStack() as stack:
        mocks = [
            await stack.enter_async_context(MockProvider("openai-chat", model=voice))
            for voice in (*voices, Voice("acme/chair", "-"))
        ]
        clients = [
            await stack.enter_async_context(
                polyvox.AsyncClient(base_urls={"openai": mock.url}, keys={"openai": "sk-any-0000"})
            )
            for mock in mocks
        ]
        models = [client.model("openai/mock-model") for client in clients]
        council = Council(models[:-1], chairman=models[-1])
        running = asyncio.create_task(clients[0].complete(council, "Why?", interrupt=interrupt))
        for voice in voices:
            await voice.reached["review"].wait()
        interrupt.set("enough")
        with pytest.raises(polyvox.AbortedError, match="enough") as raised:
            await running
        for mock in mocks[:-1]:
            assert (await mock.wait_for_hangup()).hung_up == "client"
        assert mocks[-1].requests == []
        assert len(raised.value.attempts) == 6
