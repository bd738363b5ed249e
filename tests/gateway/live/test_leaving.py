"""Who closes the socket, or leaves an agent to its work, ends what is done for them, whatever it is."""

import asyncio

import pytest

from polyvox import AsyncClient
from polyvox.composite import Council
from polyvox.messages import ToolCall
from polyvox.testing import Knobs, MockProvider
from waiting import soon, until

from .rig import Gateway, reaching, serving
from .test_agents import CHAT, FIND, calling, helped, saying

LONG = "word " * 400
SILENT = {
    "before the head": Knobs(hold_until=99),
    "before the first piece": Knobs(delay_first_chunk=3_600),
    "in the middle": Knobs(cut_after=4_000, cut_mode="stall"),
}


@pytest.mark.parametrize("state", SILENT)
async def test_closing_the_socket_ends_a_call_in_every_state(state: str):
    async with (
        MockProvider("openai-chat", script=[LONG], knobs=SILENT[state]) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
    ):
        async with gateway.connected() as ours:
            await ours.start("a")
            await soon(mock.wait_for_request())
        await soon(mock.wait_for_hangup())
        await soon(gateway.calls.over())
        check_nothing_is_left(gateway)


def check_nothing_is_left(gateway: Gateway) -> None:
    assert (gateway.admission.in_flight, gateway.admission.queued) == (0, 0)
    assert [line.error for line in gateway.books.ended] == ["aborted"]


async def test_closing_the_socket_leaves_the_queue():
    async with (
        MockProvider("openai-chat", script=["Never."]) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
    ):
        gateway.admission.resize(0, 10, 60.0)
        async with gateway.connected() as ours:
            await ours.start("a")
            await until(lambda: gateway.admission.queued == 1)
        await until(lambda: gateway.admission.queued == 0)
        assert mock.requests == []


async def test_closing_the_socket_ends_every_branch_of_a_composite():
    held = Knobs(hold_until=99)
    async with (
        MockProvider("openai-chat", knobs=held) as one,
        MockProvider("anthropic-messages", knobs=held) as two,
        reaching(one.url, two.url) as client,
        serving(client) as gateway,
    ):
        gateway.asking.models.add("council", council(client))
        async with gateway.connected() as ours:
            await ours.start("a", "council")
            await soon(asyncio.gather(one.wait_for_request(), two.wait_for_request()))
        await soon(asyncio.gather(one.wait_for_hangup(), two.wait_for_hangup()))
        await soon(gateway.calls.over())
        check_nothing_is_left(gateway)


def council(client: AsyncClient) -> Council:
    members = [client.model("openai/gpt-5-mini"), client.model("anthropic/claude-sonnet-4-5")]
    return Council(members=members, chairman=client.model("openai/gpt-5"))


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_an_agent_over_http_stops_its_tools(stream: bool):
    async with helped(calling(ToolCall("call-1", "wait"))) as (gateway, mock, shed):
        asking = asyncio.create_task(
            gateway.ask("POST", "/v1/chat/completions", {**CHAT, "stream": stream})
        )
        await soon(shed.begun.wait())
        asking.cancel()
        await soon(shed.stopped.wait())
        await soon(gateway.calls.over())
        assert len(mock.requests) == 1
        check_nothing_is_left(gateway)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_an_agent_between_two_rounds_is_asked_for_no_more(stream: bool):
    async with helped(FIND, saying("Never.")) as (gateway, mock, shed):
        mock.knobs = Knobs(hold_until=99)
        asking = asyncio.create_task(
            gateway.ask("POST", "/v1/chat/completions", {**CHAT, "stream": stream})
        )
        await soon(mock.wait_for_request())
        mock.release()
        await soon(mock.wait_for_request())
        asking.cancel()
        await soon(mock.wait_for_hangup())
        await soon(gateway.calls.over())
        assert shed.found == ["rain"]
        assert len(gateway.books.attempts) == 2
        check_nothing_is_left(gateway)
