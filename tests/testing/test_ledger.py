"""The books of a mock provider, read in the process and over HTTP, and answers that wait for others."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec
import pytest

import polyvox
from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.testing import Knobs, Ledger, MockProvider

Get = Callable[..., Any]


@pytest.fixture
async def get() -> AsyncIterator[Get]:
    """Ask a mock for its books over HTTP."""
    async with aiohttp.ClientSession() as session:

        async def getter(mock: MockProvider, **query: Any) -> tuple[int, Ledger]:
            url = urljoin(mock.url, "/_mock/record")
            async with session.get(url, params=query) as response:
                return response.status, msgspec.json.decode(await response.read(), type=Ledger)

        yield getter


def client_of(mock: MockProvider) -> polyvox.AsyncClient:
    return polyvox.AsyncClient(base_urls={"openai": mock.url}, keys={"openai": "sk-any-0000"})


async def test_the_books_tell_when_each_request_came_and_ended_and_what_was_told_of_it(get: Get):
    usage = {"input_tokens": 11, "output_tokens": 7, "cache_read_tokens": 3}
    turn = {"message": {"content": "Hello.", "usage": usage}}
    async with MockProvider("openai-chat", [turn, turn]) as mock, client_of(mock) as client:
        await client.complete("openai/m", "Hi.", system="Be brief.")
        await client.complete("openai/m", "Hi again.")
        _, ledger = await get(mock, in_flight=0)
        first, second = ledger.served
        assert first.came < first.ended <= second.came < second.ended
        assert (first.overlap, first.status, first.completed) == (1, 200, True)
        assert first.request.system[0].text == "Be brief."
        assert first.request.messages[0].text == "Hi."
        assert (first.usage.input_tokens, first.usage.cache_read_tokens) == (11, 3)
        assert (ledger.usage.input_tokens, ledger.usage.output_tokens) == (22, 14)
        assert (ledger.total, ledger.most_in_flight, ledger.in_flight) == (2, 1, 0)
        assert ledger.served == mock.ledger().served


@pytest.mark.parametrize(
    ("dialect", "knobs"),
    [
        ("openai-chat", {}),
        ("openai-chat", {"content_encoding": "gzip"}),
        ("openai-chat", {"usage": "every"}),
        ("anthropic-messages", {}),
        ("openai-responses", {}),
        ("gemini", {"write_size": 7}),
        ("ollama", {}),
        ("bedrock-converse", {}),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_was_told_of_usage_is_read_out_of_what_was_sent(
    dialect: str, knobs: dict[str, Any], stream: bool, ask: Callable[..., Any]
):
    turn = {"message": {"content": "Hello.", "usage": {"input_tokens": 11, "output_tokens": 7}}}
    more = {"stream_options": {"include_usage": True}} if dialect == "openai-chat" else {}
    async with MockProvider(dialect, [turn], knobs=Knobs(**knobs)) as mock:
        await (await (await ask(mock, stream=stream, **more)).head()).body()
        (each,) = mock.ledger().served
        assert (each.usage.input_tokens, each.usage.output_tokens) == (11, 7)


@pytest.mark.parametrize("knobs", [{"usage": "none"}, {"status": 500}, {"body": "html"}])
async def test_where_nothing_was_told_of_usage_there_is_none(
    knobs: dict[str, Any], ask: Callable[..., Any]
):
    async with MockProvider("openai-chat", ["Hello."], knobs=Knobs(**knobs)) as mock:
        await (await (await ask(mock)).head()).body()
        assert mock.ledger().served[0].usage is None


async def test_a_client_that_leaves_is_seen_by_whoever_waits_for_that(
    get: Get, ask: Callable[..., Any]
):
    async with MockProvider("openai-chat", knobs=Knobs(cut_after=0, cut_mode="stall")) as mock:
        left = await ask(mock)
        await left.head()
        waiting = asyncio.create_task(get(mock, in_flight=0, sockets=0))
        _, ledger = await get(mock, in_flight=1, total=1, sockets=1)
        assert (ledger.sockets, ledger.served[0].ended) == (1, None)
        assert mock.ledger().sockets == 1
        assert not waiting.done()
        await left.hang_up()
        status, ledger = await waiting
        assert (status, ledger.served[0].hung_up) == (200, "client")


async def test_a_record_that_does_not_come_true_is_given_with_another_status(get: Get):
    async with MockProvider("openai-chat") as mock:
        status, ledger = await get(mock, in_flight=3, within=0)
        assert (status, ledger.in_flight, ledger.total) == (504, 0, 0)


@pytest.mark.parametrize(
    ("method", "path", "status", "problem"),
    [
        ("GET", "record?in_fligth=0", 400, "in_fligth can't be waited for"),
        ("GET", "record?sockets=none", 400, "none"),
        ("GET", "record?within=-1", 400, "within is -1"),
        ("GET", "record?within=nan", 400, "within is nan"),
        ("GET", "recrod", 404, "GET /_mock/record"),
        ("POST", "record", 404, "POST /_mock/release"),
    ],
)
async def test_a_watcher_is_told_what_is_wrong(method: str, path: str, status: int, problem: str):
    async with MockProvider("openai-chat") as mock, aiohttp.ClientSession() as session:
        url = urljoin(mock.url, f"/_mock/{path}")
        async with session.request(method, url) as response:
            assert response.status == status
            assert problem in (await response.json())["error"]
        assert mock.requests == []


async def test_the_books_hold_no_key(get: Get):
    path = "/v1beta/models/m:generateContent?key=sk-secret-0001"
    async with MockProvider("gemini") as mock, aiohttp.ClientSession() as session:
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi."}]}]}
        address, headers = urljoin(mock.url, path), {"x-goog-api-key": "sk-secret-0002"}
        async with session.post(address, json=body, headers=headers) as answer:
            await answer.read()
        _, ledger = await get(mock)
        assert ledger.served[0].path.endswith("?key=***")
        assert b"secret" not in msgspec.json.encode(ledger)


async def test_held_answers_begin_when_so_many_wait_together():
    knobs = Knobs(hold_until=3)
    async with MockProvider("openai-chat", knobs=knobs) as mock, client_of(mock) as client:
        for _ in range(2):
            asked = (client.complete("openai/m", text) for text in "abc")
            assert [reply.text for reply in await asyncio.gather(*asked)] == ["a", "b", "c"]
        assert mock.ledger().most_in_flight == 3


async def test_who_asks_one_after_the_other_gets_an_error_and_not_an_answer():
    knobs = Knobs(hold_until=2, hold_limit=0)
    async with MockProvider("openai-chat", knobs=knobs) as mock, client_of(mock) as client:
        for _ in range(2):
            with pytest.raises(
                BadRequestError, match="until 2 requests wait, and 1 did within 0 s"
            ):
                await client.complete("openai/m", "Hi.")


async def test_one_who_has_left_does_not_count_among_those_who_wait(get: Get):
    async with (
        MockProvider("openai-chat", knobs=Knobs(hold_until=2)) as mock,
        client_of(mock) as client,
    ):
        first = asyncio.create_task(client.complete("openai/m", "first"))
        await get(mock, in_flight=1, total=1)
        first.cancel()
        await get(mock, in_flight=0)
        second = asyncio.create_task(client.complete("openai/m", "second"))
        await get(mock, in_flight=1, total=2)
        assert not second.done()
        mock.release()
        assert (await second).text == "second"


def test_in_synchronous_code_held_answers_are_released_from_another_thread(polyvox_mock: Any):
    server = polyvox_mock("openai-chat", knobs=Knobs(hold_until=9))

    with (
        polyvox.Client(base_urls={"openai": server.url}, keys={"openai": "sk-any-0000"}) as client,
        ThreadPoolExecutor() as threads,
    ):
        asking = threads.submit(client.complete, "openai/m", "Hi.")
        server.wait_for_request()
        assert server.ledger().in_flight == 1
        server.release()
        assert asking.result().text == "Hi."


async def test_a_script_may_be_for_each_model_by_its_name():
    scripts = {"a": ["A1", "A2"], "b": [{"message": {"content": "B"}, "repeat": True}]}
    for given in (scripts, json.dumps(scripts)):
        async with MockProvider("openai-chat", given) as mock, client_of(mock) as client:
            said = [(await client.complete(f"openai/{name}", "Hi.")).text for name in "abab"]
            assert said == ["A1", "B", "A2", "B"]
            with pytest.raises(BadRequestError, match="there is no script for 'c'"):
                await client.complete("openai/c", "Hi.")


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ({}, "a script for no model"),
        ({"a": []}, "for 'a': a script is a list of at least one turn"),
        ('{"a": [{"knobs": {}}]}', r"for 'a': script\[0\] needs exactly one of"),
        ({"a": [{"message": {"content": "x"}, "knobs": {"hold": 1}}]}, "no knob 'hold'"),
    ],
)
def test_a_wrong_script_of_a_model_is_named(script: Any, problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        MockProvider("openai-chat", script)
