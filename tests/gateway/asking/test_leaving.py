"""A caller who leaves ends the call, whatever it is doing; unless it was told to go on."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from polyvox import AsyncClient
from polyvox.composite import Council
from polyvox.errors import AbortedError
from polyvox.gateway.asking.leaving import watched
from polyvox.gateway.operations.admission import Admission
from polyvox.gateway.web.crowd import Crowd
from polyvox.gateway.web.incoming import Incoming
from polyvox.messages import AssistantMessage
from polyvox.model import Call
from polyvox.testing import Knobs, MockProvider

CHAT = "/v1/chat/completions"
LONG = "word " * 400


def hello(model: str = "up/m", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}


def upstream(mock: MockProvider) -> AsyncClient:
    row = {"dialect": mock.dialect.name, "base_url": mock.url}
    rows = dict.fromkeys(("up", "up2", "up3"), row)
    return AsyncClient(providers=rows, keys=dict.fromkeys(rows, "any"))  # type: ignore[arg-type]


STATES = {
    "waiting for the head": (Knobs(hold_until=99), False),
    "waiting for the head of a stream": (Knobs(hold_until=99), True),
    "waiting for the first piece": (Knobs(delay_first_chunk=60), True),
    "in the middle of a stream": (Knobs(cut_after=2_000, cut_mode="stall"), True),
    "in the middle of a whole answer": (Knobs(cut_after=500, cut_mode="stall"), False),
}


@pytest.mark.parametrize("behind", ["openai-chat", "anthropic-messages"])
@pytest.mark.parametrize("state", STATES)
async def test_the_provider_sees_it_in_every_state(serve, state: str, behind: str) -> None:
    knobs, stream = STATES[state]
    async with (
        MockProvider(behind, script=[LONG], knobs=knobs) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        await leave_after(mock.wait_for_request, gateway, hello(stream=stream))
        await mock.wait_for_hangup()
        ended = await gateway.books.next_end()
        await gateway.calls.over()
        assert ended.error == "aborted"
        assert len(gateway.books.attempts) == 1
        assert gateway.books.attempts[0][1].error == "aborted"
        assert gateway.admission.in_flight == 0


async def test_what_had_come_by_then_is_in_the_books(serve) -> None:
    knobs = Knobs(cut_after=4_000, cut_mode="stall")
    async with (
        MockProvider("anthropic-messages", script=[LONG], knobs=knobs) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        await leave_after_text(gateway, hello(stream=True))
        await mock.wait_for_hangup()
        ended = await gateway.books.next_end()
    usage = gateway.books.attempts[0][1].usage
    assert ended.partial
    assert usage.basis == "partial"
    assert usage.output_tokens > 0


async def test_what_had_come_by_then_is_put_together_for_nobody(serve, monkeypatch) -> None:
    left: list[Call] = []
    made: list[AssistantMessage] = []
    leave = Call.leave

    def noted(call: Call, message: AssistantMessage | Callable[[], AssistantMessage]) -> None:
        if not callable(message):  # the provider's own script
            leave(call, message)
            return

        def make() -> AssistantMessage:
            made.append(message())
            return made[-1]

        leave(call, make)
        left.append(call)

    monkeypatch.setattr(Call, "leave", noted)
    knobs = Knobs(cut_after=4_000, cut_mode="stall")
    async with (
        MockProvider("openai-chat", script=[LONG], knobs=knobs) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        await leave_after_text(gateway, hello(stream=True))
        await gateway.books.next_end()
        await gateway.calls.over()
    (call,) = left
    assert made == []
    assert call.partial.text.startswith("word")


async def test_every_member_of_a_composite_sees_it(serve) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(hold_until=99)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        body = hello("council", stream=True)
        council = Council(
            members=[client.model("up/a"), client.model("up2/b")], chairman=client.model("up3/c")
        )
        gateway.asking.models.add("council", council)

        async def both_asked() -> None:
            await mock.wait_for_request()
            await mock.wait_for_request()

        await leave_after(both_asked, gateway, body)
        await mock.wait_for_hangup()
        await mock.wait_for_hangup()
        await gateway.calls.over()
        assert gateway.admission.in_flight == 0


async def test_who_waits_for_room_leaves_the_queue(serve) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(hold_until=99)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        gateway.admission.resize(1, 5, 30.0)
        first = asyncio.create_task(gateway.post(CHAT, hello()))
        await mock.wait_for_request()

        queue = Queue(gateway.admission)
        gateway.admission.enter = queue.enter
        await leave_after(queue.waits.wait, gateway, hello())
        await queue.left.wait()
        mock.release()
        assert (await first)[0] == 200
        assert len(mock.requests) == 1


async def test_a_detached_call_goes_on(serve) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(hold_until=99)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        await leave_after(mock.wait_for_request, gateway, hello(polyvox={"detach": True}))
        assert [view.detached for view in gateway.calls.seen_by(gateway.keys.known["good"])] == [
            True
        ]
        mock.release()
        ended = await gateway.books.next_end()
    assert ended.error is None


async def test_an_interrupt_keeps_what_had_come(serve) -> None:
    knobs = Knobs(cut_after=4_000, cut_mode="stall")
    async with (
        MockProvider("anthropic-messages", script=[LONG], knobs=knobs) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        headers = {"authorization": "Bearer good"}
        async with gateway.http.post(
            gateway.url + CHAT, json=hello(stream=True), headers=headers
        ) as answer:
            async for line in answer.content:
                if b"word" in line:
                    break
            call_id = answer.headers["x-polyvox-call-id"]
            gateway.calls.interrupt(call_id, gateway.keys.known["good"], "enough")
            rest = await answer.content.read()
        await mock.wait_for_hangup()
        ended = await gateway.books.next_end()
    assert b"enough" in rest
    assert b"aborted" in rest
    assert ended.error == "aborted"
    assert gateway.books.attempts[0][1].usage.output_tokens > 0


async def test_hundreds_who_leave_leave_nothing_behind(serve) -> None:
    async with (
        MockProvider(
            "openai-chat", script=[LONG] * 300, knobs=Knobs(cut_after=4_000, cut_mode="stall")
        ) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        for _ in range(3):
            await asyncio.gather(
                *(leave_after_text(gateway, hello(stream=True)) for _ in range(100))
            )
            for _ in range(100):
                await mock.wait_for_hangup()
        await gateway.calls.over()
        assert gateway.admission.in_flight == 0
        assert len(gateway.books.ended) == len(gateway.books.attempts) == 300
        assert {line.error for line in gateway.books.ended} == {"aborted"}


class Queue:
    """Tells of somebody who waits, and who goes again."""

    def __init__(self, admission: Admission) -> None:
        self._enter = admission.enter
        self.waits, self.left = asyncio.Event(), asyncio.Event()

    async def enter(self) -> None:
        self.waits.set()
        try:
            await self._enter()
        except asyncio.CancelledError:
            self.left.set()
            raise


async def leave_after(
    event: Callable[[], Awaitable[object]], gateway, body: dict[str, object]
) -> None:
    """Ask, and go when the event has come."""
    async with aiohttp.ClientSession() as http:
        headers = {"authorization": "Bearer good"}

        async def ask() -> None:
            async with http.post(gateway.url + CHAT, json=body, headers=headers) as answer:
                await answer.read()

        asking = asyncio.create_task(ask())
        await event()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def leave_after_text(gateway, body: dict[str, object]) -> None:
    """Ask, and go when some of the text is there."""
    async with aiohttp.ClientSession() as http:
        headers = {"authorization": "Bearer good"}
        async with http.post(gateway.url + CHAT, json=body, headers=headers) as answer:
            async for line in answer.content:
                if b"word" in line:
                    return


async def test_those_that_are_under_way_now_are_waited_for_and_no_later_ones(serve) -> None:
    async with (
        MockProvider("openai-chat", knobs=Knobs(hold_until=99)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        first = asyncio.create_task(gateway.post(CHAT, hello()))
        await mock.wait_for_request()
        over = asyncio.create_task(gateway.calls.over())
        await asyncio.sleep(0)
        mock.release()
        await first
        second = asyncio.create_task(gateway.post(CHAT, hello()))
        await mock.wait_for_request()
        await over
        assert len(gateway.calls) == 1
        mock.release()
        await second


class Caller:
    """Somebody who waits for an answer, for as long as they like."""

    def __init__(self) -> None:
        self.looked_at, self.left = asyncio.Event(), asyncio.Event()
        scope = {"method": "POST", "path": "/", "headers": [], "query_string": b""}
        self.incoming = Incoming(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, object]:
        self.looked_at.set()
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: object) -> None:
        raise NotImplementedError


async def test_who_has_been_here_for_a_while_is_seen_to_leave() -> None:
    caller = Caller()

    async def asked() -> None:
        with watched(caller.incoming, detached=False):
            await caller.looked_at.wait()
            caller.left.set()
            await asyncio.Event().wait()

    with pytest.raises(AbortedError):
        await asked()
    assert caller.incoming.left
    await asyncio.sleep(0)  # the task would be cancelled here, had it not been told that it is over


async def test_a_detached_call_learns_of_it_and_goes_on() -> None:
    caller = Caller()
    with watched(caller.incoming, detached=True):
        await caller.looked_at.wait()
        caller.left.set()
        for _ in range(3):  # as many turns of the loop as it takes to tell of it
            await asyncio.sleep(0)
        assert caller.incoming.left
    await asyncio.sleep(0)


async def test_who_is_answered_at_once_is_not_watched() -> None:
    short, long = Caller(), Caller()
    short.incoming.crowd = long.incoming.crowd = Crowd()
    with watched(long.incoming, detached=False):
        with watched(short.incoming, detached=False):
            pass
        await long.looked_at.wait()
        assert not short.looked_at.is_set()


async def test_a_cancel_from_elsewhere_stays_one() -> None:
    caller = Caller()

    async def asked() -> None:
        with watched(caller.incoming, detached=False):
            await asyncio.Event().wait()

    task = asyncio.create_task(asked())
    await caller.looked_at.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_who_is_answered_while_they_leave_is_not_cancelled_afterwards() -> None:
    caller = Caller()
    with watched(caller.incoming, detached=False):
        await caller.looked_at.wait()
        caller.left.set()
        while not caller.incoming.left:  # noqa: ASYNC110 - it ends in the very turn in which that is seen
            await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
