"""Streams that nobody finishes or closes leave nothing behind."""

import asyncio
import gc
import threading

from polyvox import AsyncClient
from polyvox.testing import MockProvider

from .rig import (
    GREETING,
    HALF_TEXT,
    MODELS,
    Acting,
    async_client,
    elsewhere,
    for_ever,
    living,
    open_sockets,
    soon,
    sync_client,
    until,
)

MANY = 500
OURS = ("polyvox.client", "polyvox.providers.pro", "polyvox.providers.se", "polyvox.transport")
OURS += ("polyvox.dialects", "polyvox.assembly", "polyvox.model")


async def abandon(client: AsyncClient, model: str) -> None:
    async for _ in client.stream(model, "Hi."):
        break


async def test_an_abandoned_stream_is_closed_at_once_without_the_garbage_collector(dialect):
    gc.collect()
    gc.disable()
    try:
        async with (
            MockProvider(dialect, model=Acting([*HALF_TEXT, for_ever()])) as mock,
            async_client(dialect, mock.url) as client,
        ):
            await soon(abandon(client, MODELS[dialect]))
            assert await soon(mock.wait_for_hangup())
    finally:
        gc.enable()


async def test_an_abandoned_synchronous_stream_is_closed_at_once_without_the_garbage_collector(
    dialect,
):
    def abandon() -> None:
        for _ in client.stream(MODELS[dialect], "Hi."):
            break

    gc.collect()
    gc.disable()
    try:
        async with MockProvider(dialect, model=Acting([*HALF_TEXT, for_ever()])) as mock:
            client = sync_client(dialect, mock.url)
            await elsewhere(abandon)
            assert await soon(mock.wait_for_hangup())
            await elsewhere(client.close)
    finally:
        gc.enable()


async def test_many_abandoned_streams_leave_no_sockets_tasks_threads_or_objects(dialect):
    acting = Acting([*HALF_TEXT, for_ever()])
    async with (
        MockProvider(dialect, model=acting) as mock,
        async_client(dialect, mock.url) as client,
    ):
        await soon(abandon(client, MODELS[dialect]))  # what is made once is there now
        await soon(mock.wait_for_hangup())
        before = open_sockets(), len(asyncio.all_tasks()), threading.active_count()
        objects = living(*OURS)
        for _ in range(MANY // 50):
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(abandon(client, MODELS[dialect]))
        gc.collect()
        for _ in range(MANY):
            await soon(mock.wait_for_hangup())
        await until(
            lambda: (open_sockets(), len(asyncio.all_tasks()), threading.active_count()) == before
        )
        assert living(*OURS) <= objects + 10
        acting.acts[:] = [GREETING]
        assert (await soon(client.complete(MODELS[dialect], "Hi."))).text == "Hello."


async def test_many_abandoned_synchronous_streams_leave_no_sockets_or_objects(dialect):
    def abandon() -> None:
        for _ in client.stream(MODELS[dialect], "Hi."):
            break

    def abandon_many() -> None:
        for _ in range(MANY):
            abandon()

    acting = Acting([*HALF_TEXT, for_ever()])
    async with MockProvider(dialect, model=acting) as mock:
        client = sync_client(dialect, mock.url)
        await elsewhere(abandon)
        await soon(mock.wait_for_hangup())
        before, objects = (open_sockets(), threading.active_count()), living(*OURS)
        await elsewhere(abandon_many)
        for _ in range(MANY):
            await soon(mock.wait_for_hangup())
        await until(lambda: (open_sockets(), threading.active_count()) == before)
        assert living(*OURS) <= objects + 10
        acting.acts[:] = [GREETING]
        reply = await elsewhere(lambda: client.complete(MODELS[dialect], "Hi."))
        assert reply.text == "Hello."
        await elsewhere(client.close)


async def test_a_stream_that_is_made_and_never_read_sends_nothing(dialect):
    async with (
        MockProvider(dialect) as mock,
        async_client(dialect, mock.url) as client,
    ):
        client.stream(MODELS[dialect], "Hi.")

        def make() -> None:
            with sync_client(dialect, mock.url) as synchronous:
                synchronous.stream(MODELS[dialect], "Hi.")

        await elsewhere(make)
        gc.collect()
        assert mock.requests == []
