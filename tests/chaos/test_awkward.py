"""Answers that come whole in an awkward form are answers; what is cut short says so."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from polyvox import Client
from polyvox.assembly import unfold
from polyvox.errors import AbortedError
from polyvox.events import Done, Failed, Warned
from polyvox.messages import AssistantMessage, Text, ToolCall, assistant, user
from polyvox.model import Interrupt
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import Usage

from .rig import (
    MODELS,
    Acting,
    async_client,
    elsewhere,
    listen,
    soon,
    sync_client,
)

ANSWER = AssistantMessage(
    [
        Text("Hello, wörld 🌍👩‍👩‍👧‍👦 \u2028 \u0085."),
        ToolCall("call_1", "weather", {"city": "Reykjavik", "when": ["now", 1.5, None]}),
        ToolCall("call_2", "weather", {}),
        ToolCall("call_3", "weather", {"city": "Ōsaka 🏯"}),
    ],
    "tool_calls",
    Usage(100, 50),
)

FORMS = {
    "as it should": Knobs(),
    "compressed": Knobs(content_encoding="gzip"),
    "compressed, in writes of one byte": Knobs(content_encoding="gzip", write_size=1),
    "in writes of one byte": Knobs(write_size=1),
    "in chunks of one character": Knobs(text_piece=1, arguments_piece=1),
    "with a line of a megabyte": Knobs(huge_line=2**20),
    "with a comment after every chunk": Knobs(ping_every=1, write_size=3),
}
USAGE_PLACES = ["last", "with_finish", "every"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_an_answer_is_the_same_in_whatever_form_it_comes(dialect, form, stream):
    async with (
        MockProvider(dialect, [ANSWER], knobs=FORMS[form]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        *_, done = await soon(listen(client.model(MODELS[dialect]), stream=stream))
    assert isinstance(done, Done)
    assert done.message.content == ANSWER.content
    assert all(call.executable for call in done.message.tool_calls)
    assert (done.message.stop_reason, done.message.usage.basis) == ("tool_calls", "reported")
    assert (done.message.usage.input_tokens, done.message.usage.output_tokens) == (100, 50)


@pytest.mark.parametrize("place", USAGE_PLACES)
async def test_usage_counts_once_wherever_it_stands(place):
    dialect = "openai-chat"
    async with (
        MockProvider(dialect, [ANSWER], knobs=Knobs(usage=place, text_piece=2)) as mock,
        async_client(dialect, mock.url) as client,
    ):
        usage = (await soon(client.complete(MODELS[dialect], "Hi."))).usage
    assert (usage.input_tokens, usage.output_tokens, usage.basis) == (100, 50, "reported")


async def test_arguments_cut_by_the_token_limit_are_an_answer_whose_call_nobody_may_run(dialect):
    cut = ToolCall("call_1", "weather", unparsed='{"city": "Os')
    said = AssistantMessage([Text("Let me see."), cut], "length", Usage(10, 5))
    async with (
        MockProvider(dialect, [said, said]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        reply = await soon(client.complete(MODELS[dialect], "Hi."))
        *_, done = await soon(listen(client.model(MODELS[dialect])))
    assert done.message.stop_reason == reply.stop_reason == "length"
    (call,) = reply.tool_calls
    assert (call.executable, call.arguments, call.unparsed) == (False, {}, '{"city": "Os')


async def test_a_refusal_is_an_answer_that_says_so(dialect):
    said = AssistantMessage([Text("I can't help with that.")], "refusal", Usage(10, 5))
    async with (
        MockProvider(dialect, [said]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        reply = await soon(client.complete(MODELS[dialect], "Hi."))
    assert (reply.stop_reason, reply.text) == ("refusal", "I can't help with that.")
    assert reply.usage.cost.nanos > 0


# Around the depth at which Python itself gives up, wherever on the stack it is counted from.
DEPTHS = [*range(100, 1100, 50), 10_000]


async def test_arguments_of_any_depth_are_read_or_not_executable_and_can_be_sent_back(dialect):
    texts = ['{"a":' * depth + "1" + "}" * depth for depth in DEPTHS]
    acts = [list(unfold(assistant(ToolCall("c", "f", unparsed=text)))) for text in texts]
    async with (
        MockProvider(dialect, model=Acting(*acts, list(unfold(assistant("Fine."))))) as mock,
        async_client(dialect, mock.url) as client,
    ):
        replies = [await soon(client.complete(MODELS[dialect], "Hi.")) for _ in texts]
        for reply, text in zip(replies, texts, strict=True):
            (call,) = reply.tool_calls
            assert call.executable or call.unparsed == text
            # As history they go back whole, or the request is refused: nothing else may happen.
            *_, last = await soon(listen(client.model(MODELS[dialect]), [user("Hi."), reply]))
            assert isinstance(last, Done) or last.error.kind == "bad_request"
    assert replies[0].tool_calls[0].executable
    assert not replies[-1].tool_calls[0].executable


# What no knob of the mock bends: frames written by hand.


@asynccontextmanager
async def saying(*frames: bytes | dict) -> AsyncIterator[str]:
    """A server that answers every request with these frames, and its address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        for frame in frames:
            data = (
                frame if isinstance(frame, bytes) else b"data: %b\n\n" % json.dumps(frame).encode()
            )
            writer.write(data)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def chat(index: int, content: str, finish_reason: str | None = None) -> dict:
    delta = {"index": index, "delta": {"content": content}, "finish_reason": finish_reason}
    return {"id": "1", "model": "m", "choices": [delta]}


async def heard_from(dialect: str, *frames: bytes | dict):
    async with saying(*frames) as url, async_client(dialect, url) as client:
        return await soon(listen(client.model(MODELS[dialect])))


async def test_of_several_choices_the_first_is_kept_and_a_warning_names_the_others():
    *events, done = await heard_from(
        "openai-chat",
        *(chat(i, f"choice {i}") for i in (1, 0, 2)),
        *(chat(i, ".", "stop") for i in (2, 0, 1)),
        b"data: [DONE]\n\n",
    )
    assert isinstance(done, Done)
    assert done.message.text == "choice 0."
    assert len([event for event in events if isinstance(event, Warned)]) == 1


SPLIT_EMOJI = {
    "openai-chat": [
        b'data: {"choices":[{"index":0,"delta":{"content":"a \\ud83c"}}]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"\\udf0d b"},"finish_reason":"stop"}]}\n\n',
        b"data: [DONE]\n\n",
    ],
    "anthropic-messages": [
        b'data: {"type":"message_start","message":{"id":"1","model":"m","content":[]}}\n\n',
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n',
        *(
            b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%b"}}\n\n'
            % text
            for text in (b"a \\ud83c", b"\\udf0d b")
        ),
        b'data: {"type":"content_block_stop","index":0}\n\n',
        b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
        b'data: {"type":"message_stop"}\n\n',
    ],
}


async def test_an_emoji_split_across_deltas_is_whole_or_replaced_and_can_be_sent_on(dialect):
    *_, done = await heard_from(dialect, *SPLIT_EMOJI[dialect])
    assert isinstance(done, Done)
    assert done.message.text in ("a 🌍 b", "a \ufffd\ufffd b")
    done.message.text.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n\n\n",
        b": ping\n\n: ping\n\n",
        b"data: [DONE]\n\n",
        b"data:\n\n",
        b"data: null\n\n",
        b"data: []\n\n",
        b"data: {}\n\n",
        b"data: 0\n\n",
        b'data: "hello"\n\n',
        b"data: {\n\n",
        b"data: \xff\xfe\n\n",
        b"event: ping\ndata: {}\n\n",
        b"event: error\ndata: {}\n\n",
        b"{}",
        b"[]",
        b"null",
        b"hello",
        b"\xef\xbb\xbf<html></html>",
        b"\x00" * 100,
    ],
)
async def test_a_body_that_says_nothing_is_never_a_success(dialect, body):
    *_, last = await heard_from(dialect, body)
    assert isinstance(last, Failed), last
    assert last.message.content == []
    assert last.message.stop_reason == "error"


# One client for many threads.


async def test_one_client_serves_many_threads_and_an_interrupt_ends_the_call_it_was_given_to(
    dialect,
):
    interrupts = [Interrupt() for _ in range(8)]
    async with MockProvider(
        dialect, [ANSWER] * 8, knobs=Knobs(cut_after=300, cut_mode="stall")
    ) as mock:
        client = sync_client(dialect, mock.url)
        calls = [
            asyncio.create_task(asyncio.to_thread(_ended, client, dialect, interrupt))
            for interrupt in interrupts
        ]
        for _ in calls:
            await soon(mock.wait_for_request())
        for count, interrupt in enumerate(interrupts, start=1):
            assert sum(call.done() for call in calls) == count - 1
            interrupt.set(f"number {count}")
            error = await soon(calls[count - 1])
            assert isinstance(error, AbortedError)
            assert error.text == f"number {count}"
            await soon(mock.wait_for_hangup())
        await elsewhere(client.close)


def _ended(client: Client, dialect: str, interrupt: Interrupt) -> BaseException | None:
    try:
        client.complete(MODELS[dialect], "Hi.", interrupt=interrupt)
    except Exception as error:  # noqa: BLE001 - what it is, is the question
        return error
    return None
