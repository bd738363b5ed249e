"""Between two who speak the same dialect everything goes through as it is, known or not."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from polyvox import AsyncClient


class Raw:
    """A server that says these bytes to whatever it is asked, and keeps what it was asked."""

    def __init__(self, body: bytes, media_type: str) -> None:
        self.body = body
        self.media_type = media_type
        self.asked: list[tuple[dict[str, str], dict[str, object]]] = []
        self.url = ""

    async def handle(self, http: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in http.headers.items()}
        self.asked.append((headers, await http.json()))
        return web.Response(body=self.body, content_type=self.media_type)


@asynccontextmanager
async def raw(body: bytes, media_type: str = "application/json") -> AsyncIterator[Raw]:
    server = Raw(body, media_type)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def behind(url: str, dialect: str, **row: object) -> AsyncClient:
    return AsyncClient(
        providers={"up": {"dialect": dialect, "base_url": url, **row}}, keys={"up": "theirs"}
    )


CHAT = {
    "id": "c1",
    "object": "chat.completion",
    "model": "exact-name",
    "brand_new": {"a": [1, 2.50, None]},
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi.", "mood": "good"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "new_tokens": 1},
}


async def test_unknown_fields_of_request_and_answer_survive(serve) -> None:
    body = json.dumps(CHAT).encode()
    asked = {
        "model": "up/m1",
        "messages": [{"role": "user", "content": "Hi", "name": "ann", "future": {"x": 1}}],
        "max_tokens": 5,
        "future_option": {"deep": [1, {"er": True}]},
        "temperature": 0.10000000000000001,
        "polyvox": {"tags": {"feature": "x"}},
    }
    async with raw(body) as up, behind(up.url, "openai-chat") as client, serve(client) as gateway:
        answer = await gateway.http.post(
            gateway.url + "/v1/chat/completions",
            json=asked,
            headers={"authorization": "Bearer good"},
        )
        assert await answer.read() == body
    headers, sent = up.asked[0]
    assert sent == {name: value for name, value in asked.items() if name != "polyvox"} | {
        "model": "m1"
    }
    assert headers["authorization"] == "Bearer theirs"
    assert gateway.books.begun[0].tags == {"feature": "x"}
    assert gateway.books.attempts[0][1].usage.input_tokens == 7


def frames(*values: object) -> bytes:
    told = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return b"".join(b"data: " + text.encode() + b"\n\n" for text in told)


def piece(delta: dict[str, object], finish: str | None = None, **more: object) -> dict[str, object]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **more}


USAGE = {"id": "c1", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}
STREAM = (
    ": a comment\n\n",
    piece({"role": "assistant", "content": "Hi"}),
    piece({"content": " there", "mood": "good"}, brand_new=[1]),
    piece({}, "stop"),
)


def chat_stream(*, usage: bool) -> bytes:
    comment, *pieces = STREAM
    body = comment.encode() + frames(*pieces)
    return body + (frames(USAGE) if usage else b"") + frames("[DONE]")


@pytest.mark.parametrize("asks", [True, False])
async def test_a_stream_goes_through_and_usage_only_to_those_who_asked(serve, asks: bool) -> None:
    async with (
        raw(chat_stream(usage=True), "text/event-stream") as up,
        behind(up.url, "openai-chat") as client,
        serve(client) as gateway,
    ):
        asked: dict[str, object] = {
            "model": "up/m1",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
        }
        if asks:
            asked["stream_options"] = {"include_usage": True, "future": 1}
        answer = await gateway.http.post(
            gateway.url + "/v1/chat/completions",
            json=asked,
            headers={"authorization": "Bearer good"},
        )
        assert await answer.read() == chat_stream(usage=asks)
        assert answer.headers["content-type"].startswith("text/event-stream")
    assert up.asked[0][1]["stream_options"] == {
        **asked.get("stream_options", {}),
        "include_usage": True,
    }
    assert gateway.books.attempts[0][1].usage.output_tokens == 2


async def test_events_of_anthropic_that_nobody_knows_survive(serve) -> None:
    body = b"".join(
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        for event in (
            {
                "type": "message_start",
                "message": {
                    "id": "m",
                    "type": "message",
                    "role": "assistant",
                    "content": [],
                    "model": "claude-x",
                    "stop_reason": None,
                    "usage": {"input_tokens": 3, "output_tokens": 1, "novel": 2},
                },
            },
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "text", "text": ""},
            },
            {"type": "novel_event", "data": 1},
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": "Hi"},
            },
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 4},
            },
            {"type": "message_stop"},
        )
    )
    async with (
        raw(body, "text/event-stream") as up,
        behind(up.url, "anthropic-messages", auth="x-api-key") as client,
        serve(client) as gateway,
    ):
        answer = await gateway.http.post(
            gateway.url + "/v1/messages",
            json={
                "model": "up/claude-x",
                "max_tokens": 9,
                "messages": [{"role": "user", "content": "Hi"}],
                "stream": True,
                "novel_wish": 1,
            },
            headers={
                "x-api-key": "good",
                "anthropic-version": "2023-06-01",
                "anthropic-beta": "new-1",
            },
        )
        assert await answer.read() == body
    headers, sent = up.asked[0]
    assert sent["novel_wish"] == 1
    assert headers["anthropic-beta"] == "new-1"
    assert gateway.books.attempts[0][1].usage.output_tokens == 4


async def test_a_provider_that_answers_a_stream_whole_is_told_in_a_stream(serve) -> None:
    async with (
        raw(json.dumps(CHAT).encode()) as up,
        behind(up.url, "openai-chat") as client,
        serve(client) as gateway,
    ):
        answer = await gateway.http.post(
            gateway.url + "/v1/chat/completions",
            json={"model": "up/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
            headers={"authorization": "Bearer good"},
        )
        text = await answer.text()
    assert text.endswith("data: [DONE]\n\n")
    assert '"content":"Hi."' in text


@pytest.mark.parametrize("cut", range(1, 40, 3))
async def test_a_stream_that_breaks_off_ends_with_an_error(serve, cut: int) -> None:
    whole = frames(*STREAM[1:3])
    body = whole[: len(whole) - cut]
    async with (
        raw(body, "text/event-stream") as up,
        behind(up.url, "openai-chat") as client,
        serve(client) as gateway,
    ):
        answer = await gateway.http.post(
            gateway.url + "/v1/chat/completions",
            json={"model": "up/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
            headers={"authorization": "Bearer good"},
        )
        text = await answer.text()
    assert '"error"' in text.split("\n\n")[-2]
    assert "[DONE]" not in text
    assert gateway.books.ended[0].error == "protocol"
    assert gateway.books.ended[0].partial


async def test_an_error_of_the_provider_in_the_stream_is_told_once(serve) -> None:
    error = {"error": {"message": "It broke.", "type": "server_error"}}
    body = frames(STREAM[1], error)
    async with (
        raw(body, "text/event-stream") as up,
        behind(up.url, "openai-chat") as client,
        serve(client) as gateway,
    ):
        answer = await gateway.http.post(
            gateway.url + "/v1/chat/completions",
            json={"model": "up/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
            headers={"authorization": "Bearer good"},
        )
        assert await answer.read() == body


async def test_the_same_request_to_another_dialect_is_told_in_its_words(serve) -> None:
    async with (
        raw(b"{}") as up,
        behind(up.url, "anthropic-messages", auth="x-api-key") as client,
        serve(client) as gateway,
        aiohttp.ClientSession() as http,
    ):
        await http.post(
            gateway.url + "/v1/chat/completions",
            json={"model": "up/m", "messages": [{"role": "user", "content": "Hi"}], "stop": ["x"]},
            headers={"authorization": "Bearer good"},
        )
    assert up.asked[0][1]["stop_sequences"] == ["x"]
