"""Many calls over one WebSocket: side by side, interrupted, steered, and with whatever is wrong."""

import json
from typing import Literal

import pytest
import websockets

from polyvox.gateway.live.bounds import Bounds
from polyvox.testing import Knobs, MockProvider

from .rig import Client, Paced, reaching, serving, turns

MODEL = "openai/gpt-5-mini"
Server = Literal["uvicorn", "granian"]


def check_order(client: Client, id: str) -> None:
    """The messages of a call are numbered from 1, without gaps, and the last one closes it."""
    messages = client.of(id)
    assert [each["seq"] for each in messages] == list(range(1, len(messages) + 1))
    assert messages[-1]["type"] == "closed"


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_calls_of_one_socket_run_side_by_side_each_in_its_order(server: Server):
    paced = [Paced(20), Paced(20)]
    async with (
        MockProvider("openai-chat", model=paced[0]) as one,
        MockProvider("anthropic-messages", model=paced[1]) as two,
        reaching(one.url, two.url) as client,
        serving(client, server=server) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a")
        await ours.start("b", "anthropic/claude-sonnet-4-5", body={"max_tokens": 99})
        paced[1].allow(10)
        while len(ours.text("b").split()) < 10:  # b goes on while a has said nothing
            await ours.next("event")
        assert ours.text("a") == ""
        paced[0].allow(20)
        paced[1].allow(10)
        ended = [await ours.next("closed"), await ours.next("closed")]
        assert {each["id"] for each in ended} == {"a", "b"}
        assert ours.text("a") == ours.text("b") == paced[0].text
        check_order(ours, "a")
        check_order(ours, "b")
        assert all(each["usage"]["output_tokens"] == 20 for each in ended)
        assert len(gateway.books.ended) == 2


async def test_a_request_may_be_in_any_dialect():
    async with (
        MockProvider("openai-chat", script=["Yes."]) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        body = {
            "model": MODEL,
            "max_tokens": 50,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "Is it?"}],
            "polyvox": {"tags": {"feature": "test"}},
        }
        await ours.say("start", id="a", dialect="anthropic-messages", body=body)
        assert (await ours.event("done"))["message"]["content"][0]["text"] == "Yes."
        sent = json.loads(mock.requests[0].body)
        assert [each["content"] for each in sent["messages"]] == ["Be brief.", "Is it?"]
        assert gateway.books.begun[0].tags == {"feature": "test"}


async def test_an_interrupt_keeps_what_had_arrived_and_upstream_is_hung_up_on():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a")
        paced.allow(3)
        while len(ours.text("a").split()) < 3:
            await ours.next("event")
        await ours.say("interrupt", id="a", reason="enough")
        failed = await ours.event("error")
        assert failed["error"]["kind"] == "aborted"
        assert failed["error"]["text"] == "enough"
        assert failed["message"]["content"][0]["text"] == "0 1 2 "
        await ours.next("closed")
        check_order(ours, "a")
        await mock.wait_for_hangup()
        assert gateway.books.ended[0].error == "aborted"


async def test_a_call_that_waits_for_its_turn_can_be_interrupted():
    async with (
        MockProvider("openai-chat", script=["Never."]) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        gateway.admission.resize(0, 10, 60.0)
        await ours.start("a")
        await ours.next("accepted")
        await ours.say("interrupt", id="a", reason="enough")
        assert (await ours.event("error"))["error"]["text"] == "enough"
        await ours.next("closed")
        assert gateway.admission.queued == 0
        assert not mock.requests


async def test_closing_the_socket_hangs_up_on_upstream():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
    ):
        async with gateway.connected() as ours:
            await ours.start("a")
            paced.allow(2)
            await ours.event("text_delta")
        await mock.wait_for_hangup()
        await gateway.calls.over()
        assert gateway.books.ended[0].error == "aborted"


async def test_a_detached_call_goes_on_when_the_socket_is_closed():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, bounds=Bounds(unsent_bytes=50)) as gateway,
    ):
        async with gateway.connected() as ours:
            await ours.start("a", polyvox={"detach": True})
            paced.allow(1)
            await ours.event("text_delta")
        paced.allow(9)
        await gateway.calls.over()
        assert gateway.books.ended[0].error is None
        assert mock.answers[0].completed


async def test_what_is_said_into_an_answer_is_answered_after_what_had_been_said():
    paced = Paced(10)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a")
        paced.allow(2)
        while len(ours.text("a").split()) < 2:
            await ours.next("event")
        await ours.say("steer", id="a", text="In words, please.")
        await ours.say("steer", id="a", text="And quickly.")
        await ours.event("error")
        paced.allow(12)
        await ours.event("done")
        closed = await ours.next("closed")
        check_order(ours, "a")
        assert closed["usage"]["output_tokens"] >= 10
        sent = json.loads(mock.requests[1].body)["messages"]
        assert [each["role"] for each in sent[:3]] == ["user", "assistant", "user"]
        told = " ".join(str(each["content"]) for each in sent)
        assert told.startswith("Hello? 0 1  In words, please.")
        assert told.endswith("And quickly.")
        assert len(gateway.books.ended) == 2


async def test_what_can_not_be_done_is_told_and_the_rest_goes_on():
    paced = Paced(5)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, bounds=Bounds(calls=1)) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a")
        told: list[tuple[str | None, str]] = []
        hints: list[str] = []

        async def wrong(data: str) -> None:
            await ours.socket.send(data)
            message = await ours.next("error")
            told.append((message.get("id"), message["error"]["text"]))
            hints.append(message["error"].get("hint", ""))

        await wrong("no JSON")
        await wrong('{"type": "stop"}')
        await wrong('{"type": "start", "id": "b", "messages": "Hi", "modle": "x"}')
        await wrong('{"type": "interrupt", "id": "z"}')
        await wrong('{"type": "resume", "id": "z", "call": "call_1"}')
        await wrong('{"type": "start", "id": "a", "model": "x", "messages": "Hi"}')
        await wrong('{"type": "start", "id": "b", "model": "x", "messages": "Hi"}')
        paced.allow(5)
        await ours.next("closed", "a")
        await wrong('{"type": "start", "id": "b", "model": "x", "messages": [{"role": "judge"}]}')
        await wrong(
            '{"type": "start", "id": "b", "model": "x", "messages": "", "body": {"top": 1}}'
        )
        await wrong('{"type": "start", "id": "b", "model": "x", "dialect": "openai", "body": {}}')
        assert [id for id, _ in told] == [None] * 3 + ["z", "z", "a"] + ["b"] * 4
        words = [text for _, text in told]
        assert "this is no message" in words[0]
        assert "'stop'" in words[1]
        assert "modle" in words[2]
        assert "Say what it is" in hints[0]
        assert hints[1].startswith("Known are: approve, hello, interrupt,")
        assert hints[2] == "Did you mean 'model'?"
        assert words[3:7] == [
            "no call 'z' is under way on this connection",
            "there is no call 'call_1' to go on with",
            "a call 'a' is under way on this connection",
            "1 calls are under way on this connection, the most there may be",
        ]
        assert "judge" in words[7]
        assert words[8:] == ["body.top means nothing", "there is no dialect 'openai'"]
        check_order(ours, "a")


@pytest.mark.parametrize(
    ("data", "meant"),
    [
        ('{"type": "strat", "id": "a"}', "start"),
        ('{"type": "start", "id": "a", "mesages": "Hi"}', "messages"),
        ('{"type": "steer", "id": "a", "txt": "Hi"}', "text"),
        ('{"type": "approve", "id": "a", "approval": "b", "decision": {"aprove": 1}}', "approve"),
    ],
)
async def test_a_slip_in_a_message_is_told_what_was_meant(data: str, meant: str):
    async with (
        reaching("http://127.0.0.1:9") as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        await ours.socket.send(data)
        assert (await ours.next("error"))["error"]["hint"] == f"Did you mean {meant!r}?"


async def test_a_refused_call_is_an_error_event_and_costs_nothing():
    async with (
        MockProvider("openai-chat") as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a", "nobody")
        assert (await ours.event("error"))["error"]["kind"] == "not_found"
        closed = await ours.next("closed")
        assert closed["cost"]["status"] == "free"


async def test_who_sends_nothing_but_nonsense_is_left():
    async with (
        reaching("http://127.0.0.1:9") as client,
        serving(client, bounds=Bounds(bad_messages=3)) as gateway,
        gateway.connected() as ours,
    ):
        for _ in range(3):
            await ours.socket.send("{")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await ours.next("pong")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert [each["type"] for each in ours.messages] == ["error"] * 3


async def test_a_message_that_is_too_long_closes_the_connection():
    async with (
        reaching("http://127.0.0.1:9") as client,
        serving(client, bounds=Bounds(message_bytes=100)) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a", messages="x" * 200)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await ours.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("server", ["uvicorn", "granian"])
async def test_a_slow_reader_slows_the_model_down_and_nothing_grows(server: Server):
    size, words = 4_000, 1_000  # more than the operating system takes in on the way
    paced = Paced(words, size)
    paced.allow(words)
    kept = 100_000
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client, bounds=Bounds(unsent_bytes=kept), server=server) as gateway,
        gateway.connected(max_queue=1, max_size=None) as ours,
    ):
        await ours.start("a")
        await ours.next("accepted")
        (line,) = gateway.live._house.tasks.values()
        while not paced.said:
            await turns()
        said = -1
        while said != paced.said:  # until the model itself has come to a halt
            said = paced.said
            await turns(2_000)
        assert 0 < said < words
        assert line._bytes < kept + 2 * len(paced._text[-1])
        await ours.next("closed")
        assert ours.text("a") == paced.text


async def test_pings_are_answered_and_sent_when_nothing_else_is():
    async with (
        reaching("http://127.0.0.1:9") as client,
        serving(client, bounds=Bounds(idle_seconds=0.01)) as gateway,
        gateway.connected() as ours,
    ):
        await ours.next("ping")
        await ours.say("pong")
        await ours.say("ping")
        await ours.next("pong")


async def test_what_is_being_stopped_takes_nothing_new_and_lets_what_is_under_way_end():
    paced = Paced(5)
    async with (
        MockProvider("openai-chat", model=paced) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
        gateway.connected() as idle,
    ):
        await ours.start("a")
        paced.allow(1)
        await ours.event("text_delta")
        gateway.draining.set("the gateway is being stopped")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await idle.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        await ours.start("b")
        refused = await ours.next("error", "b")
        assert refused["error"]["kind"] == "overloaded"
        assert refused["error"]["retry_after"] > 0
        with pytest.raises(websockets.InvalidStatus) as status:
            async with gateway.connected():
                pass
        assert status.value.response.status_code == 503
        paced.allow(4)
        await ours.next("closed", "a")
        assert ours.text("a") == paced.text
        with pytest.raises(websockets.ConnectionClosed):
            await ours.next()


async def test_a_stalled_provider_does_not_hold_up_the_end_of_a_call():
    knobs = Knobs(cut_after=400, cut_mode="stall")
    async with (
        MockProvider("openai-chat", script=["word " * 200], knobs=knobs) as mock,
        reaching(mock.url) as client,
        serving(client) as gateway,
        gateway.connected() as ours,
    ):
        await ours.start("a")
        await ours.event("start")
        await ours.say("interrupt", id="a")
        await ours.next("closed")
        await mock.wait_for_hangup()
