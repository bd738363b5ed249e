"""A lost connection: what could be resumed goes on, and every message comes exactly once."""

import itertools
from typing import Literal

import pytest

from polyvox.gateway.live.bounds import Bounds
from polyvox.testing import MockProvider

from .rig import Client, Gateway, Paced, reaching, serving, turns


async def lost(client: Client) -> None:
    """Kill the connection, as a network does that goes away."""
    client.socket.transport.abort()
    await client.socket.wait_closed()


async def resumed(gateway: Gateway, ours: Client, call: str, after: int) -> None:
    await ours.say("resume", id="again", call=call, after=after)
    await ours.next("accepted")


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_every_message_comes_once_however_often_the_connection_is_lost(
    server: Literal["uvicorn", "granian"],
):
    paced = Paced(40)
    seqs: list[int] = []
    text = ""
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, server=server) as gateway,
    ):
        async with gateway.connected() as ours:
            await ours.start("a", resumable=True)
            call = (await ours.next("accepted"))["call"]
            paced.allow(5)
            await ours.event("text_delta")
            await lost(ours)
        seqs += [each["seq"] for each in ours.of("a")]
        text += ours.text("a")
        for round in itertools.count():
            # With a bound on what is not read yet, its close would wait behind that for ten seconds.
            async with gateway.connected(max_queue=None) as ours:
                await resumed(gateway, ours, call, seqs[-1])
                paced.allow(5)
                for _ in range(4):
                    message = await ours.next()
                    if message["type"] == "closed":
                        break
                if round % 2:
                    await lost(ours)
                else:
                    paced.allow(1)
            new = [each["seq"] for each in ours.of("again")]
            # What was on its way when the connection was cut has not been read: it comes again.
            assert not set(new) & set(seqs)
            seqs += new
            text += ours.text("again")
            if ours.of("again") and ours.of("again")[-1]["type"] == "closed":
                break
        assert seqs == list(range(1, len(seqs) + 1))
        assert text == paced.text
        assert len(mock.requests) == 1
        assert gateway.books.ended[0].error is None


async def test_a_call_goes_on_while_nobody_listens_and_is_read_afterwards():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
    ):
        async with gateway.connected() as ours:
            await ours.start("a", resumable=True)
            call = (await ours.next("accepted"))["call"]
        paced.allow(10)
        await gateway.calls.over()
        async with gateway.connected() as ours:
            await resumed(gateway, ours, call, 0)
            await ours.next("closed")
            assert ours.text("again") == paced.text
            await resumed(gateway, ours, call, 3)  # and once more, from there
            await ours.next("closed")
            assert [each["seq"] for each in ours.of("again")].count(4) == 2


async def test_another_connection_takes_over_from_one_that_seems_to_be_there_still():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as old,
        gateway.connected() as new,
    ):
        await old.start("a", resumable=True)
        call = (await old.next("accepted"))["call"]
        paced.allow(3)
        while len(old.text("a").split()) < 3:
            await old.next("event")
        await resumed(gateway, new, call, 0)
        paced.allow(7)
        await new.next("closed")
        assert new.text("again") == paced.text
        await old.say("interrupt", id="a")
        assert "no call 'a'" in (await old.next("error"))["error"]["text"]
        await old.say("ping")
        assert (await old.next())["type"] == "pong"  # and nothing of the call before it


async def test_without_a_client_a_call_ends_when_its_time_is_over():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, bounds=Bounds(grace_seconds=0.0)) as gateway,
    ):
        async with gateway.connected() as ours:
            await ours.start("a", resumable=True)
            call = (await ours.next("accepted"))["call"]
            paced.allow(1)
            await ours.event("text_delta")
        await mock.wait_for_hangup()
        await gateway.calls.over()
        async with gateway.connected() as ours:
            await ours.say("resume", id="b", call=call)
            assert (await ours.next("error"))["error"]["kind"] == "not_found"


async def test_nobody_else_resumes_a_call():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
        gateway.connected("other") as theirs,
    ):
        await ours.start("a", resumable=True)
        call = (await ours.next("accepted"))["call"]
        await theirs.say("resume", id="b", call=call)
        assert (await theirs.next("error"))["error"]["kind"] == "not_found"
        paced.allow(10)
        await ours.next("closed")


async def test_what_is_kept_no_longer_is_told():
    paced = Paced(10)
    paced.allow(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, bounds=Bounds(kept_bytes=400)) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a", resumable=True)
        call = (await ours.next("accepted"))["call"]
        await ours.next("closed")
        await ours.say("resume", id="b", call=call, after=1)
        assert "message 1 is not kept" in (await ours.next("error"))["error"]["text"]
        await ours.say("resume", id="b", call=call, after=99)
        assert "message 99 is not kept" in (await ours.next("error"))["error"]["text"]


async def test_while_nobody_listens_no_more_is_kept_than_may_be():
    paced = Paced(2_000, 50)
    paced.allow(2_000)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, bounds=Bounds(kept_bytes=20_000)) as gateway,
    ):
        async with gateway.connected() as ours:
            await ours.start("a", resumable=True)
            call = (await ours.next("accepted"))["call"]
            await lost(ours)
        (line,) = gateway.live._house.tasks.values()
        while line.outbox is not None or line._unread < 20_000:
            await turns()
        await turns()
        assert line._bytes < 21_000
        after = ours.of("a")[-1]["seq"] if ours.of("a") else 0
        before = ours.text("a")
        async with gateway.connected() as ours:
            await ours.say("resume", id="again", call=call, after=after)
            answer = await ours.next()
            if answer["type"] == "error":  # the system had taken in more than was read
                assert "is not kept" in answer["error"]["text"]
            else:
                await ours.next("closed")
                assert before + ours.text("again") == paced.text


async def test_a_key_has_no_more_resumable_calls_than_it_may():
    paced = Paced(3)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, bounds=Bounds(resumable_calls=1)) as gateway,
        gateway.connected() as ours,
        gateway.connected("other") as theirs,
    ):
        await ours.start("a", resumable=True)
        await ours.start("b", resumable=True)
        assert (await ours.next("error", "b"))["error"]["kind"] == "rate_limit"
        await theirs.start("c", resumable=True)
        await theirs.next("accepted")
        paced.allow(6)
        await ours.next("closed")
        await ours.start("b", resumable=True)  # the one that is over makes room
        await ours.next("accepted", "b")
        paced.allow(3)
        await ours.next("closed", "b")
        await theirs.next("closed", "c")
