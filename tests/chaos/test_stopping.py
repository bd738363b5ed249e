"""Stopping a call in each of its states, by each means: the provider sees it, and what came is kept."""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress

import pytest

from polyvox import AsyncClient, Client
from polyvox.errors import AbortedError, RequestTimeoutError
from polyvox.events import TextDelta, ToolCallDelta
from polyvox.messages import AssistantMessage, Text, ToolCall
from polyvox.model import Interrupt
from polyvox.testing import Knobs, MockProvider
from polyvox.transport import AiohttpTransport

from .rig import (
    GREETING,
    HALF_CALL,
    HALF_TEXT,
    MODELS,
    Acting,
    Cue,
    Tapped,
    async_client,
    elsewhere,
    for_ever,
    settings,
    soon,
    until,
)

SILENT_HEAD = Knobs(cut_after=0, cut_mode="stall")

# state -> what the server does, and how one sees in the transport that it has come to that
STATES: dict[str, tuple[list[Cue], Knobs, Callable[[Tapped], bool]]] = {
    "queued": ([], Knobs(), lambda tap: tap.asked == 2),
    "waiting for headers": ([], Knobs(), lambda tap: tap.asked == 1),
    "waiting for the first chunk": (HALF_TEXT, SILENT_HEAD, lambda tap: tap.answered == 1),
    "in the text": (HALF_TEXT, Knobs(), lambda tap: b"lo wor" in tap.read),
    "between tool fragments": (HALF_CALL, Knobs(), lambda tap: b"Osl" in tap.read),
}
ARRIVED = {
    "in the text": [Text("Hello wor")],
    "between tool fragments": [ToolCall("call_1", "weather", unparsed='{"city": "Osl')],
}


class Stage:
    """A server in one state of an answer, and a client with a single connection."""

    def __init__(self, dialect: str, state: str, mock: MockProvider, tap: Tapped) -> None:
        self.model, self.state, self.mock, self.tap = MODELS[dialect], state, mock, tap
        self.dialect = dialect

    async def reached(self) -> None:
        """The call has come to the state."""
        if self.state not in ("queued", "waiting for the first chunk"):
            await soon(self.mock.wait_for_request())
        await until(lambda: STATES[self.state][2](self.tap))

    def check(self, message: AssistantMessage) -> None:
        """What arrived is there, cannot be run, and is paid for."""
        assert message.stop_reason == "aborted"
        assert message.content == ARRIVED.get(self.state, [])
        assert not any(call.executable for call in message.tool_calls)
        assert message.usage.basis == "partial"
        assert message.usage.cost.status == "known"
        assert message.usage.cost.nanos > 0
        assert f"{message.provider}/{message.model}" == self.model


@asynccontextmanager
async def stage(dialect: str, state: str):
    cues, knobs, _ = STATES[state]
    model = Acting([*cues, for_ever()])
    async with AiohttpTransport(max_connections=1) as transport:
        tap = Tapped(transport)
        async with MockProvider(dialect, model=model, knobs=knobs) as mock:
            scene = Stage(dialect, state, mock, tap)
            client = async_client(dialect, mock.url, transport=tap)
            if state == "queued":
                blocker = asyncio.create_task(client.complete(scene.model, "First."))
                await soon(mock.wait_for_request())
            yield scene, client
            if state == "queued":
                assert len(mock.requests) == 1, "the queued request must not be sent any more"
                blocker.cancel()
                with suppress(asyncio.CancelledError):
                    await blocker
            if mock.requests:  # a deadline may pass before anything is sent
                await soon(mock.wait_for_hangup())
            model.acts[:] = [GREETING]
            mock.knobs = Knobs()
            assert (await soon(client.complete(scene.model, "Again."))).text == "Hello."


async def by_stream(client: AsyncClient, model: str, interrupt: Interrupt | None = None):
    async with client.stream(model, "Hi.", interrupt=interrupt) as stream:
        return await stream.result()


async def by_complete(client: AsyncClient, model: str, interrupt: Interrupt | None = None):
    return await client.complete(model, "Hi.", interrupt=interrupt)


@pytest.mark.parametrize("ask", [by_stream, by_complete])
@pytest.mark.parametrize("state", STATES)
async def test_an_interrupt_from_another_thread_ends_a_call_in_every_state(dialect, state, ask):
    async with stage(dialect, state) as (scene, client):
        interrupt = Interrupt()
        call = asyncio.create_task(ask(client, scene.model, interrupt))
        await scene.reached()
        threading.Thread(target=interrupt.set, args=("enough",)).start()
        with pytest.raises(AbortedError, match="enough") as caught:
            await soon(call)
        scene.check(caught.value.message)
        assert (caught.value.provider, caught.value.retryable) == (scene.model.split("/")[0], False)


@pytest.mark.parametrize("ask", [by_stream, by_complete])
@pytest.mark.parametrize("state", STATES)
async def test_cancelling_the_task_ends_a_call_in_every_state(dialect, state, ask):
    async with stage(dialect, state) as (scene, client):
        call = asyncio.create_task(ask(client, scene.model))
        await scene.reached()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(call)


@pytest.mark.parametrize("state", STATES)
async def test_a_cancelled_stream_keeps_its_message(dialect, state):
    async with stage(dialect, state) as (scene, client):
        stream = client.stream(scene.model, "Hi.")
        call = asyncio.create_task(stream.result())
        await scene.reached()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(call)
        scene.check(stream.message)


@pytest.mark.parametrize("state", STATES)
async def test_the_deadline_of_a_call_ends_it_in_every_state(dialect, state):
    # What passes is the time of the call, and nothing else can end it.
    async with stage(dialect, state) as (scene, client):
        stream = client.stream(scene.model, "Hi.", timeout=0.1)
        with pytest.raises(RequestTimeoutError) as caught:
            await soon(stream.result())
        assert caught.value.phase == "total"
        assert caught.value.message.stop_reason == "error"


@pytest.mark.parametrize("state", ARRIVED)
async def test_closing_a_stream_early_ends_the_call_and_keeps_its_message(dialect, state):
    async with stage(dialect, state) as (scene, client):
        async with client.stream(scene.model, "Hi.") as stream:
            async for event in stream:
                if isinstance(event, TextDelta | ToolCallDelta) and event.text in (
                    "lo wor",
                    '"Osl',
                ):
                    break
        scene.check(stream.message)
        assert stream.message.text == "".join(
            block.text for block in ARRIVED[state] if isinstance(block, Text)
        )


@pytest.mark.parametrize("state", [state for state in STATES if state != "queued"])
@pytest.mark.parametrize("ask", ["stream", "complete"])
async def test_an_interrupt_ends_a_synchronous_call_in_every_state(dialect, state, ask):
    async with stage_for_threads(dialect, state) as (scene, client):
        interrupt = Interrupt()

        def call():
            if ask == "complete":
                return client.complete(scene.model, "Hi.", interrupt=interrupt)
            with client.stream(scene.model, "Hi.", interrupt=interrupt) as stream:
                return stream.result()

        calling = asyncio.create_task(asyncio.to_thread(call))
        await scene.reached()
        interrupt.set("enough")
        with pytest.raises(AbortedError, match="enough") as caught:
            await soon(calling)
        scene.check(caught.value.message)


@pytest.mark.parametrize("state", ARRIVED)
async def test_closing_a_synchronous_stream_early_ends_the_call_and_keeps_its_message(
    dialect, state
):
    async with stage_for_threads(dialect, state) as (scene, client):

        def call():
            with client.stream(scene.model, "Hi.") as stream:
                for event in stream:
                    if isinstance(event, TextDelta | ToolCallDelta) and event.text in (
                        "lo wor",
                        '"Osl',
                    ):
                        break
            return stream.message

        scene.check(await elsewhere(call))


@asynccontextmanager
async def stage_for_threads(dialect: str, state: str):
    """As ``stage``, for a ``Client``, whose calls never queue: each has a loop, and so a pool, of its own."""
    cues, knobs, _ = STATES[state]
    model = Acting([*cues, for_ever()])
    transport = AiohttpTransport(max_connections=1)
    tap = Tapped(transport)
    async with MockProvider(dialect, model=model, knobs=knobs) as mock:
        scene = Stage(dialect, state, mock, tap)
        client = Client(**settings(dialect, mock.url), transport=tap)
        yield scene, client
        await soon(mock.wait_for_hangup())
        model.acts[:] = [GREETING]
        mock.knobs = Knobs()
        reply = await elsewhere(lambda: client.complete(scene.model, "Again."))
        assert reply.text == "Hello."
        await elsewhere(client.close)
    await transport.aclose()


async def test_a_stream_that_another_thread_is_reading_is_closed_by_an_interrupt_only(dialect):
    async with stage_for_threads(dialect, "in the text") as (scene, client):
        interrupt = Interrupt()
        stream = client.stream(scene.model, "Hi.", interrupt=interrupt)
        reading = asyncio.create_task(asyncio.to_thread(stream.result))
        await scene.reached()
        await until(lambda: stream.message.content == ARRIVED["in the text"])
        await until(lambda: stream._pump.waiting)
        with pytest.raises(RuntimeError, match="interrupt"):
            await elsewhere(stream.close)
        interrupt.set()
        with pytest.raises(AbortedError):
            await soon(reading)
        scene.check(stream.message)


@pytest.mark.parametrize("ask", ["stream", "complete"])
def test_ctrl_c_in_a_notebook_ends_the_call(dialect, ask, polyvox_mock):
    """Where a loop is running a helper thread works, and Ctrl-C stops the thread that waits for it."""
    server = polyvox_mock(dialect, ["Hello.", "Hello."])
    server.knobs = SILENT_HEAD

    def press() -> None:
        server.wait_for_request()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    async def cell() -> None:
        with Client(**settings(dialect, server.url)) as client:
            calls = {
                "complete": lambda: client.complete(MODELS[dialect], "Hi."),
                "stream": lambda: client.stream(MODELS[dialect], "Hi.").result(),
            }
            pressing = threading.Thread(target=press)
            pressing.start()
            with pytest.raises(KeyboardInterrupt):
                calls[ask]()
            pressing.join()
            server.wait_for_hangup()
            server.knobs = Knobs()
            assert client.complete(MODELS[dialect], "Again.").text == "Hello."

    # Not asyncio.run, which makes Ctrl-C a cancellation; notebooks leave it as it is.
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(cell())
    finally:
        loop.close()
