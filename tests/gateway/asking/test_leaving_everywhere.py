"""Whatever is asked, in whatever dialect, and however many are asked for it: who leaves ends all of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from polyvox import AsyncClient
from polyvox.assembly import unfold
from polyvox.composite import Council, MixtureOfAgents
from polyvox.events import TextDelta
from polyvox.messages import AssistantMessage, Text
from polyvox.model import Model
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import Usage
from waiting import soon, until

from .rig import BEHIND, CALLERS, Acting, asking, upstream
from .test_passing_on import behind as provider

LONG = "word " * 400
SILENT = {
    "before the head": Knobs(hold_until=99),
    "in the middle": Knobs(cut_after=1_500, cut_mode="stall"),
}


@asynccontextmanager
async def left(gateway: Any, asked: Callable[[Any], Awaitable[object]]) -> AsyncIterator[None]:
    """Somebody asks, and leaves when the block is over."""
    async with aiohttp.ClientSession() as http:
        task = asyncio.create_task(asked(_With(gateway, http)))  # type: ignore[arg-type]
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _With:
    """A gateway, asked over connections of one's own."""

    def __init__(self, gateway: Any, http: aiohttp.ClientSession) -> None:
        self.url, self.http = gateway.url, http


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("caller", CALLERS)
async def test_a_call_in_any_dialect(serve, caller: str, behind: str, stream: bool) -> None:
    async with (
        MockProvider(behind, knobs=Knobs(hold_until=99)) as mock,
        upstream(mock) as client,
        serve(client) as gateway,
    ):
        async with left(gateway, lambda at: asking(at, caller, stream=stream)):
            await soon(mock.wait_for_request())
        await soon(mock.wait_for_hangup())
        await soon(gateway.calls.over())
        assert gateway.admission.in_flight == 0
        assert gateway.books.ended[0].error == "aborted"


@pytest.mark.parametrize(
    ("path", "body", "behind"),
    [
        ("/v1/embeddings", {"input": "x"}, "openai-chat"),
        ("/api/embed", {"input": "x"}, "ollama"),
        (
            "/v1/messages/count_tokens",
            {"messages": [{"role": "user", "content": "Hi"}]},
            "anthropic-messages",
        ),
    ],
)
async def test_what_is_no_call(serve, path: str, body: dict[str, Any], behind: str) -> None:
    async with (
        MockProvider(behind, knobs=Knobs(delay_first_chunk=3_600)) as mock,
        provider(mock.url, behind, quirks={"count_tokens": True}) as client,
        serve(client) as gateway,
    ):

        async def ask(at: Any) -> None:
            headers = {"authorization": "Bearer good"}
            asked = {**body, "model": "up/m"}
            async with at.http.post(gateway.url + path, json=asked, headers=headers) as answer:
                await answer.read()

        async with left(gateway, ask):
            await soon(mock.wait_for_request())
        await soon(mock.wait_for_hangup())
        await soon(gateway.calls.over())
        await until(lambda: gateway.admission.in_flight == 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_that_is_being_made(serve, stream: bool) -> None:
    """The provider takes the connection, and never says a word of TLS."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        begun.set()
        while await reader.read(1_000):
            pass
        over.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    rows: dict[str, Any] = {"up": {"dialect": "openai-chat", "base_url": url}}
    async with (
        server,
        AsyncClient(providers=rows, keys={"up": "any"}) as client,
        serve(client) as gateway,
    ):
        async with left(gateway, lambda at: asking(at, "openai-chat", stream=stream)):
            await soon(begun.wait())
        await soon(over.wait())
        await soon(gateway.calls.over())
        assert gateway.admission.in_flight == 0
        assert gateway.books.ended[0].error == "aborted"


def council(client: AsyncClient) -> Model:
    return Council(
        members=[client.model("up/a"), client.model("up2/b")], chairman=client.model("up3/c")
    )


def mixture(client: AsyncClient) -> Model:
    return MixtureOfAgents(
        proposers=[client.model("up/a"), client.model("up2/b")], aggregator=client.model("up3/c")
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("state", SILENT)
@pytest.mark.parametrize("many", [council, mixture])
async def test_every_branch_of_what_many_answer(
    serve, many: Callable[[AsyncClient], Model], state: str, stream: bool
) -> None:
    async with (
        MockProvider("openai-chat", script=[LONG] * 9, knobs=SILENT[state]) as one,
        MockProvider("anthropic-messages", script=[LONG] * 9, knobs=SILENT[state]) as two,
        MockProvider("gemini") as three,
        upstream(one, two, three) as client,
        serve(client) as gateway,
    ):
        gateway.asking.models.add("many", many(client))
        async with left(gateway, lambda at: asking(at, "openai-chat", "many", stream=stream)):
            await soon(asyncio.gather(one.wait_for_request(), two.wait_for_request()))
        await soon(asyncio.gather(one.wait_for_hangup(), two.wait_for_hangup()))
        await soon(gateway.calls.over())
        assert gateway.admission.in_flight == 0
        assert three.requests == []
        assert len(gateway.books.attempts) == 2


@pytest.mark.parametrize("many", [council, mixture])
async def test_the_last_word_of_what_many_answer(
    serve, many: Callable[[AsyncClient], Model]
) -> None:
    async with (
        MockProvider("openai-chat") as one,
        MockProvider("anthropic-messages") as two,
        MockProvider("gemini", knobs=Knobs(hold_until=99)) as three,
        upstream(one, two, three) as client,
        serve(client) as gateway,
    ):
        gateway.asking.models.add("many", many(client))
        async with left(gateway, lambda at: asking(at, "openai-chat", "many", stream=True)):
            await soon(three.wait_for_request())
        await soon(three.wait_for_hangup())
        await soon(gateway.calls.over())
        assert gateway.admission.in_flight == 0


@pytest.mark.parametrize("detach", [False, True])
async def test_what_it_costs_is_what_had_come_or_with_detach_all_of_it(serve, detach: bool) -> None:
    said = AssistantMessage([Text(LONG)], usage=Usage(100, 400))
    go_on = asyncio.Event()
    events = list(unfold(said, lambda text: [text[:50], text[50:]]))
    second = [place for place, event in enumerate(events) if isinstance(event, TextDelta)][1]
    acting = Acting([*events[:second], go_on, *events[second:]])
    async with (
        MockProvider("openai-chat", model=acting) as mock,
        AsyncClient(keys={"openai": "any"}, base_urls={"openai": mock.url}) as client,
        serve(client) as gateway,
    ):
        heard = asyncio.Event()

        async def ask(at: Any) -> None:
            body = {
                "model": "openai/gpt-4o-mini",
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": True,
                "polyvox": {"detach": detach},
            }
            headers = {"authorization": "Bearer good"}
            url = gateway.url + "/v1/chat/completions"
            async with at.http.post(url, json=body, headers=headers) as answer:
                async for line in answer.content:
                    if b"word" in line:
                        heard.set()

        async with left(gateway, ask):
            await soon(heard.wait())
        if not detach:
            await soon(mock.wait_for_hangup())
        go_on.set()
        ended = await soon(gateway.books.next_end())
        await soon(gateway.calls.over())
    (usage,) = [attempt.usage for _, attempt in gateway.books.attempts]
    whole = 100 * 150 + 400 * 600  # nano-dollars: what gpt-4o-mini costs
    assert usage.cost.status == "known"
    if detach:
        assert (ended.error, usage.basis) == (None, "reported")
        assert usage.cost.nanos == whole
    else:
        assert (ended.error, ended.partial, usage.basis) == ("aborted", True, "partial")
        assert 0 < usage.cost.nanos < whole
