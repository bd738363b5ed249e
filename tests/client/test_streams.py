"""The streams of both clients, over models made here."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator

import pytest

from polyvox import AsyncClient, Client
from polyvox.assembly import unfold
from polyvox.errors import NetworkError, PolyvoxError, ProtocolError
from polyvox.events import Done, Event, Failed, Start, TextDelta, TextStart
from polyvox.messages import assistant
from polyvox.model import Call
from polyvox.request import Request


class Playing:
    """Plays events, and tells how far it was read and whether it was closed."""

    name = "test/playing"

    def __init__(self, *events: Event, then_wait: bool = False) -> None:
        self.events = events
        self.then_wait = then_wait
        self.given = 0
        self.closed = threading.Event()
        self.waiting = threading.Event()
        self.threads: set[int] = set()

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        try:
            for event in self.events:
                self.threads.add(threading.get_ident())
                await asyncio.sleep(0)
                self.given += 1
                yield event
            if self.then_wait:
                self.waiting.set()
                await asyncio.get_running_loop().create_future()
        finally:
            self.closed.set()


HELLO = assistant("Hello")
EVENTS = list(unfold(HELLO, lambda text: text))
HALF = [Start(), TextStart(0), TextDelta(0, "Hel")]


@pytest.fixture
def client():
    with Client() as client:
        yield client


@pytest.fixture
async def async_client():
    async with AsyncClient() as client:
        yield client


async def test_an_async_stream_gives_every_event_and_then_the_message(async_client):
    async with async_client.stream(Playing(*EVENTS), "hi") as stream:
        assert [event async for event in stream] == EVENTS
    assert stream.message == HELLO


def test_a_sync_stream_gives_every_event_and_then_the_message(client):
    with client.stream(Playing(*EVENTS), "hi") as stream:
        assert list(stream) == EVENTS
    assert stream.message == HELLO


async def test_the_running_message_is_what_has_arrived(async_client):
    async with async_client.stream(Playing(*EVENTS), "hi") as stream:
        async for event in stream:
            if isinstance(event, TextDelta) and event.text == "e":
                assert stream.message.text == "He"


async def test_text_gives_the_pieces_alone(async_client):
    async with async_client.stream(Playing(*EVENTS), "hi") as stream:
        assert [piece async for piece in stream.text()] == list("Hello")


def test_sync_text_gives_the_pieces_alone(client):
    with client.stream(Playing(*EVENTS), "hi") as stream:
        assert list(stream.text()) == list("Hello")


def a_failure() -> Failed:
    error, message = NetworkError("reset"), assistant("Hel")
    error.message = message
    return Failed(error, message)


async def test_a_failure_is_raised_with_the_partial_message(async_client):
    with pytest.raises(NetworkError) as caught:
        await async_client.complete(Playing(*HALF, a_failure()), "hi")
    assert caught.value.message.text == "Hel"


def test_a_failure_is_raised_from_a_sync_stream_after_what_came_before(client):
    stream = client.stream(Playing(*HALF, a_failure()), "hi")
    seen = []
    with pytest.raises(NetworkError):
        seen.extend(event for event in stream)
    assert stream.message.text == "Hel"


async def test_a_stream_without_an_ending_is_an_error(async_client):
    with pytest.raises(ProtocolError, match="test/playing"):
        await async_client.complete(Playing(*HALF), "hi")


async def test_leaving_early_closes_the_model(async_client):
    model = Playing(*EVENTS)
    async with async_client.stream(model, "hi") as stream:
        async for event in stream:
            if isinstance(event, TextDelta):
                break
    assert model.closed.is_set()
    assert stream.message.text == "H"
    assert stream.message.stop_reason == "aborted"


def test_leaving_a_sync_stream_early_closes_the_model(client):
    model = Playing(*HALF, then_wait=True)
    with client.stream(model, "hi") as stream:
        for event in stream:
            if isinstance(event, TextDelta):
                break
    assert model.closed.is_set()
    assert stream.message.text == "Hel"


async def test_a_cancelled_task_keeps_the_partial_message(async_client):
    model = Playing(*HALF, then_wait=True)
    stream = async_client.stream(model, "hi")
    task = asyncio.create_task(stream.result())
    await asyncio.to_thread(model.waiting.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.closed.is_set()
    assert (stream.message.text, stream.message.stop_reason) == ("Hel", "aborted")


def test_a_sync_stream_runs_in_the_callers_thread_and_reads_nothing_ahead(client):
    model = Playing(*EVENTS)
    with client.stream(model, "hi") as stream:
        next(stream)
        assert model.threads == {threading.get_ident()}
        assert model.given <= 2
        list(stream)
    assert model.threads == {threading.get_ident()}


async def test_the_sync_client_works_where_a_loop_is_running(client):
    model = Playing(*EVENTS)
    assert client.complete(model, "hi") == HELLO
    with client.stream(Playing(*EVENTS), "hi") as stream:
        assert list(stream) == EVENTS
    assert threading.get_ident() not in model.threads


def test_many_threads_may_use_one_client(client):
    wrong: list[object] = []

    def work() -> None:
        for _ in range(20):
            with client.stream(Playing(*EVENTS), "hi") as stream:
                if list(stream) != EVENTS:
                    wrong.append(stream.message)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_streams_of_one_client_may_be_read_in_turns(client):
    with client.stream(Playing(*EVENTS), "a") as one, client.stream(Playing(*EVENTS), "b") as other:
        assert list(zip(one, other, strict=True)) == [(e, e) for e in EVENTS]


def test_an_exhausted_stream_stays_exhausted(client):
    stream = client.stream(Playing(*EVENTS), "hi")
    assert list(stream) == EVENTS
    assert list(stream) == []
    stream.close()


def test_a_closed_client_says_so():
    client = Client()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.complete(Playing(*EVENTS), "hi")


def test_ctrl_c_in_a_completion_leaves_the_client_usable(client):
    class Interrupted(Playing):
        async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
            try:
                yield Start()
                asyncio.get_running_loop().call_soon(_press_ctrl_c)
                await asyncio.get_running_loop().create_future()
            finally:
                self.closed.set()

    model = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        client.complete(model, "hi")
    assert model.closed.is_set()
    assert client.complete(Playing(*EVENTS), "hi") == HELLO


def _press_ctrl_c() -> None:
    raise KeyboardInterrupt


def test_every_ending_is_seen_as_an_event_or_an_exception(client):
    with client.stream(Playing(*EVENTS), "hi") as stream:
        assert isinstance(list(stream)[-1], Done)
    with pytest.raises(PolyvoxError):
        list(client.stream(Playing(a_failure()), "hi"))


def test_a_client_that_nobody_closed_leaves_nothing_behind_when_the_program_ends(polyvox_mock):
    server = polyvox_mock("openai-chat", script=["Hello."])
    program = (
        "import polyvox, sys\n"
        f"client = polyvox.Client(keys={{'openai': 'k'}}, base_urls={{'openai': {server.url!r}}})\n"
        "print(client.complete('openai/gpt-5-mini', 'hi').text)\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ran.stdout, ran.stderr, ran.returncode) == ("Hello.\n", "", 0)


def test_a_stream_keeps_its_client():
    stream = Client().stream(Playing(*EVENTS), "hi")
    gc.collect()
    assert list(stream) == EVENTS
