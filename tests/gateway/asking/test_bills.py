"""What providers tell of tokens, in all the ways they do, comes to the same amount to the nano-dollar."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web

from gateway.whole.doors import SPOKEN
from polyvox import AsyncClient
from polyvox.catalog import Catalog
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import Budget
from polyvox.limits.budget import BudgetLimit

from .accounts import standing

PRICES = {
    "input": 2,
    "output": 7,
    "cache_read": 0.3,
    "cache_write": 2.5,
    "cache_write_1h": 4,
    "reasoning": 11,
    "input_audio": 13,
    "output_audio": 17,
}
"""US dollars for a million tokens; a thousand nano-dollars for a token are one."""

DIALECTS = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "messages": "anthropic-messages",
    "gemini": "gemini",
    "ollama": "ollama",
}


class Told(msgspec.Struct, frozen=True):
    """An answer that says hello and tells its usage; ``nanos`` is what that comes to."""

    dialect: str
    nanos: int
    whole: Any = None
    frames: tuple[Any, ...] = ()


def chat(nanos: int, usage: Any) -> Told:
    message = {"role": "assistant", "content": "Hello."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}
    frames = (_chunk("Hello."), _chunk(finish="stop"), {**_chunk(), "choices": [], "usage": usage})
    return Told("chat", nanos, {**body, "usage": usage}, (*frames, "[DONE]"))


def _chunk(content: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion.chunk", "model": "m"}
    return {**head, "choices": [choice], **more}


def responses(nanos: int, usage: Any) -> Told:
    text = {"type": "output_text", "text": "Hello.", "annotations": []}
    item = {"type": "message", "id": "i", "role": "assistant", "content": [text]}
    body = {"id": "r", "object": "response", "status": "completed", "model": "m"}
    body |= {"output": [item], "usage": usage}
    place = {"item_id": "i", "output_index": 0, "content_index": 0}
    begun = {**body, "status": "in_progress", "output": [], "usage": None}
    frames = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.output_text.delta", **place, "delta": "Hello."},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": body},
    ]
    return Told("responses", nanos, body, tuple(frames))


def messages(nanos: int, usage: dict[str, Any], **later: Any) -> Told:
    text = {"type": "text", "text": "Hello."}
    body = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": [text]}
    body |= {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage | later}
    begun = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    frames = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {**text, "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", **_HELLO}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": later},
        {"type": "message_stop"},
    ]
    return Told("messages", nanos, body, tuple(frames))


_HELLO = {"text": "Hello."}


def gemini(nanos: int, usage: Any) -> Told:
    candidate = {"content": {"role": "model", "parts": [_HELLO]}}
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP"}
    body = {"candidates": [{**candidate, "finishReason": "STOP"}], "usageMetadata": usage}
    frames = ({"candidates": [candidate]}, {"candidates": [last], "usageMetadata": usage})
    return Told("gemini", nanos, body, frames)


def ollama(nanos: int, usage: dict[str, int]) -> Told:
    said = {"model": "m", "message": {"role": "assistant", "content": "Hello."}}
    ended = {"done": True, "done_reason": "stop", **usage}
    frames = ({**said, "done": False}, {"model": "m", "message": _EMPTY, **ended})
    return Told("ollama", nanos, {**said, **ended}, frames)


_EMPTY = {"role": "assistant", "content": ""}
_PLAIN = {"prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_050}
_ZERO = dict.fromkeys(_PLAIN, 0)
_PLAIN_NANOS = 1_000 * 2_000 + 50 * 7_000

BILLS = {
    "plain": chat(_PLAIN_NANOS, _PLAIN),
    "none at all, which is told": chat(0, _ZERO),
    "cached and thought over, as parts": chat(
        200 * 2_000 + 800 * 300 + 20 * 7_000 + 30 * 11_000,
        {
            **_PLAIN,
            "prompt_tokens_details": {"cached_tokens": 800},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
    ),
    "sound, as parts": chat(
        600 * 2_000 + 400 * 13_000 + 10 * 7_000 + 40 * 17_000,
        {
            **_PLAIN,
            "prompt_tokens_details": {"audio_tokens": 400},
            "completion_tokens_details": {"audio_tokens": 40},
        },
    ),
    "cached, as OpenAI's newer API has it": responses(
        200 * 2_000 + 800 * 300 + 20 * 7_000 + 30 * 11_000,
        {
            "input_tokens": 1_000,
            "input_tokens_details": {"cached_tokens": 800},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 30},
            "total_tokens": 1_050,
        },
    ),
    "read from and written into caches, in addition": messages(
        100 * 2_000 + 3_000 * 300 + 50 * 2_500 + 150 * 4_000 + 70 * 7_000,
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 3_000,
            "cache_creation_input_tokens": 200,
            "cache_creation": {"ephemeral_5m_input_tokens": 50, "ephemeral_1h_input_tokens": 150},
        },
        output_tokens=70,
    ),
    "told twice, at the beginning and at the end": messages(
        100 * 2_000 + 3_000 * 300 + 200 * 2_500 + 70 * 7_000,
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 3_000,
            "cache_creation_input_tokens": 200,
        },
        input_tokens=100,
        cache_read_input_tokens=3_000,
        cache_creation_input_tokens=200,
        output_tokens=70,
    ),
    "cached as a part, thoughts in addition": gemini(
        200 * 2_000 + 800 * 300 + 50 * 7_000 + 30 * 11_000,
        {
            "promptTokenCount": 1_000,
            "cachedContentTokenCount": 800,
            "candidatesTokenCount": 50,
            "thoughtsTokenCount": 30,
            "totalTokenCount": 1_080,
        },
    ),
    "counted by Ollama": ollama(_PLAIN_NANOS, {"prompt_eval_count": 1_000, "eval_count": 50}),
}

GROWING = ({"completion_tokens": 1}, {"completion_tokens": 30}, {"completion_tokens": 50})
PLACES: dict[str, tuple[Any, ...]] = {
    "beside the finish reason": (
        _chunk("Hello."),
        _chunk(finish="stop", usage=_PLAIN),
        "[DONE]",
    ),
    "beside the last piece": (
        _chunk("Hel"),
        _chunk("lo.", finish="stop", usage=_PLAIN),
        "[DONE]",
    ),
    "in every chunk, growing": (
        *(
            _chunk(piece, usage=_PLAIN | more)
            for piece, more in zip(("Hel", "lo", "."), GROWING, strict=True)
        ),
        _chunk(finish="stop"),
        "[DONE]",
    ),
    "twice": (
        _chunk("Hello."),
        _chunk(finish="stop", usage=_PLAIN),
        {**_chunk(), "choices": [], "usage": _PLAIN},
        "[DONE]",
    ),
    "in a chunk of its own, and nothing behind it": (
        _chunk("Hello."),
        _chunk(finish="stop"),
        {**_chunk(), "choices": [], "usage": _PLAIN},
    ),
}


@asynccontextmanager
async def provider(told: Told) -> AsyncIterator[str]:
    """A server that gives this answer to whatever it is asked; its address."""

    async def answer(request: web.Request) -> web.Response:
        asked = await request.json()
        streamed = ":streamGenerate" in request.path or asked.get("stream")
        if not streamed:
            return web.json_response(told.whole)
        if told.dialect == "ollama":
            lines = [json.dumps(frame) for frame in told.frames]
            return web.Response(text="\n".join(lines) + "\n", content_type="application/x-ndjson")
        return web.Response(text="".join(map(_framed, told.frames)), content_type=_SSE)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


_SSE = "text/event-stream"


def _framed(frame: Any) -> str:
    if isinstance(frame, str):
        return f"data: {frame}\n\n"
    name = f"event: {frame['type']}\n" if "type" in frame else ""
    return f"{name}data: {json.dumps(frame)}\n\n"


async def debited(serve: Any, told: Told, asked_in: str, *, stream: bool) -> int:
    """What a budget is debited for this answer, when it is asked for in this dialect."""
    async with provider(told) as url:
        rows: dict[str, Any] = {"up": {"dialect": DIALECTS[told.dialect], "base_url": url}}
        catalog = Catalog.load({"up/m": PRICES})
        async with (
            AsyncClient(providers=rows, keys={"up": "any"}, catalog=catalog) as client,
            serve(client) as gateway,
        ):
            budget = Budget(100, name="key:k")
            access = Access(key="k", levels=(Level("key:k", (budget,)),))
            gateway.keys.known["payer"] = access
            path, body = SPOKEN[asked_in]("up/m", stream)
            headers = {"authorization": "Bearer payer"}
            async with gateway.http.post(gateway.url + path, json=body, headers=headers) as answer:
                assert answer.status == 200, await answer.text()
                assert "Hel" in await answer.text()
            [(_, attempt)] = gateway.books.attempts
            [(used, held)] = await standing(gateway, BudgetLimit(budget))
            assert (used, held) == (attempt.usage.cost.nanos, 0)
            return int(used)


@pytest.mark.parametrize("bill", BILLS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("asked_in", ["its own dialect", "another dialect"])
async def test_a_budget_is_debited_what_was_told(
    serve, bill: str, stream: bool, asked_in: str
) -> None:
    told = BILLS[bill]
    other = "messages" if told.dialect == "chat" else "chat"
    dialect = told.dialect if asked_in == "its own dialect" else other
    assert await debited(serve, told, dialect, stream=stream) == told.nanos


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("asked_in", ["chat", "messages"])
async def test_it_is_debited_once_wherever_in_a_stream_it_was_told(
    serve, place: str, asked_in: str
) -> None:
    told = Told("chat", _PLAIN_NANOS, frames=PLACES[place])
    assert await debited(serve, told, asked_in, stream=True) == _PLAIN_NANOS


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("asked_in", ["chat", "messages"])
async def test_what_nobody_told_is_not_taken_for_nothing(
    serve, stream: bool, asked_in: str
) -> None:
    untold = chat(0, None)
    assert await debited(serve, untold, asked_in, stream=stream) > 0
