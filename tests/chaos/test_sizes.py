"""Large and strange content comes through whole, or is refused; it never harms the process."""

import asyncio

from polyvox import AsyncClient
from polyvox.assembly import unfold
from polyvox.messages import Text, ToolCall, assistant, user
from polyvox.testing import Knobs, MockProvider

from .rig import MODELS, Acting, async_client, sync_client

MEGABYTE = 2**20


async def test_a_prompt_of_ten_megabytes_arrives_whole(dialect: str):
    prompt = "The quick brown fox. " * (10 * MEGABYTE // 21)
    async with (
        MockProvider(dialect, ["Read."]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        reply = await client.complete(MODELS[dialect], prompt)
        (received,) = mock.requests
    assert reply.text == "Read."
    assert received.request.messages == [user(prompt)]


async def test_a_tool_argument_of_a_megabyte_in_a_hundred_thousand_pieces_comes_whole(dialect: str):
    call = ToolCall("call_1", "write", {"text": "x" * MEGABYTE, "number": 2**100})
    message = assistant(call)
    message.stop_reason = "tool_calls"
    async with (
        MockProvider(dialect, [message], knobs=Knobs(arguments_piece=11)) as mock,
        async_client(dialect, mock.url) as client,
    ):
        reply = await client.complete(MODELS[dialect], "Write.")
    assert reply.tool_calls == [call]


async def test_fifty_thousand_chunks_come_whole_and_in_order(dialect: str):
    words = [f"{i} " for i in range(50_000)]
    acting = Acting(list(unfold(assistant("".join(words)), lambda text: words)))
    async with (
        MockProvider(dialect, model=acting) as mock,
        async_client(dialect, mock.url) as client,
        client.stream(MODELS[dialect], "Count.") as stream,
    ):
        heard = [piece async for piece in stream.text()]
    assert heard == words
    assert stream.message.text == "".join(words)


async def test_arguments_nested_beyond_reason_are_not_executable_and_harm_nobody(dialect: str):
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    acting = Acting(list(unfold(assistant(ToolCall("c", "f", unparsed=deep)))))
    async with (
        MockProvider(dialect, model=acting) as mock,
        async_client(dialect, mock.url) as client,
    ):
        (call,) = (await client.complete(MODELS[dialect], "Hi.")).tool_calls
        assert not call.executable
        assert (await client.complete(MODELS[dialect], "Hi.")).tool_calls


async def test_strange_characters_come_through(dialect: str):
    text = "NUL \0, tab \t, \u2028, \u0085, \ufeff, 👩‍👩‍👧‍👦 and a half \ud83d."
    async with (
        MockProvider(
            dialect, model=Acting(list(unfold(assistant(text), lambda text: text)))
        ) as mock,
        async_client(dialect, mock.url) as client,
    ):
        reply = await client.complete(MODELS[dialect], [user(text), Text(text)])
    assert reply.text == text.replace("\ud83d", "\ufffd")


def test_one_client_serves_one_event_loop_after_another(dialect: str, polyvox_mock):
    server = polyvox_mock(dialect)
    client = async_client(dialect, server.url)

    async def talk() -> list[str]:
        replies = await asyncio.gather(
            *(client.complete(MODELS[dialect], f"{i}") for i in range(5))
        )
        return [reply.text for reply in replies]

    for _ in range(3):
        assert asyncio.run(talk()) == list("01234")
    asyncio.run(client.aclose())


async def test_one_client_serves_several_loops_at_once(dialect: str, polyvox_mock):
    server = polyvox_mock(dialect)

    async def talk(client: AsyncClient) -> str:
        return (await client.complete(MODELS[dialect], "here")).text

    async with async_client(dialect, server.url) as client:
        theirs = [asyncio.to_thread(asyncio.run, talk(client)) for _ in range(4)]
        assert await asyncio.gather(talk(client), *theirs) == ["here"] * 5


def test_a_synchronous_client_keeps_its_connection_from_call_to_call(dialect: str, polyvox_mock):
    server = polyvox_mock(dialect)
    with sync_client(dialect, server.url) as client:
        for _ in range(3):
            client.complete(MODELS[dialect], "Hi.")
        with client.stream(MODELS[dialect], "Hi.") as stream:
            assert list(stream.text()) == ["Hi."]
    assert len(server.requests) == 4
