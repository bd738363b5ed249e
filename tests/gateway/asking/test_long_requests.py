"""What looks at all of a long request does so in a thread, so that others are answered meanwhile."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from functools import partialmethod
from typing import Any

import pytest

from polyvox import AsyncClient, estimate, verbatim
from polyvox.assembly import unfold
from polyvox.events import Event
from polyvox.gateway.tenants.access import Access, Level
from polyvox.limits import RateLimit
from polyvox.messages import assistant
from polyvox.model import Call
from polyvox.providers import ProviderModel
from polyvox.quote import worst_usage
from polyvox.request import Request
from polyvox.testing import MockProvider
from polyvox.usage import Usage

CHAT = "/v1/chat/completions"
PLENTY = Level("key:key_1", rates=(RateLimit(tokens=1_000_000, per="minute"),))


class Noting:
    """A model that notes in which thread it is asked for a quote, and of how many tokens."""

    name = "noting"

    def __init__(self) -> None:
        self.quoted: list[tuple[int, int]] = []

    def quote(self, request: Request) -> Usage:
        self.quoted.append((threading.get_ident(), estimate.request_tokens(request)))
        return worst_usage(request, 10)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        for event in unfold(assistant("Yes.")):
            yield event


async def test_a_long_one_is_quoted_in_a_thread_and_a_short_one_at_once(serve, monkeypatch) -> None:
    monkeypatch.setattr(verbatim, "LONG", 1_000)
    model = Noting()
    async with AsyncClient() as client, serve(client) as gateway:
        gateway.asking.models.add(model.name, model)
        gateway.keys.known["good"] = Access(key="key_1", levels=(PLENTY,))
        for text in ("Why?", "Why?" * 250):
            messages = [{"role": "user", "content": text}]
            status, _ = await gateway.post(CHAT, {"model": model.name, "messages": messages})
            assert status == 200
    (here, few), (elsewhere, many) = model.quoted
    assert here == threading.get_ident() != elsewhere
    assert many > few + 200


COUNTS = [
    ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "Why? " * 190_000}]}),
    (
        "/v1beta/models/{model}:countTokens",
        {"contents": [{"role": "user", "parts": [{"text": "Why? " * 190_000}]}]},
    ),
]


class Held:
    """Work that goes on, in the place of ``work``, until it is let go."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self.begun = asyncio.Event()
        self.may_end = threading.Event()

    def __call__(self, *given: Any) -> Any:
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.may_end.wait(30), "nobody else had a turn"
        return self._work(*given)


async def others_are_answered_during(held: Held, gateway: Any, path: str, body: Any) -> Any:
    """What is answered at last."""
    counting = asyncio.create_task(gateway.post(path, body))
    await held.begun.wait()
    headers = {"authorization": "Bearer good"}
    async with gateway.http.get(f"{gateway.url}/v1/models", headers=headers) as answer:
        assert answer.status == 200
        assert not counting.done()
    held.may_end.set()
    status, told = await counting
    assert status == 200, told
    return told


@pytest.mark.parametrize(("path", "body"), COUNTS)
async def test_while_a_long_prompt_is_counted_others_are_answered(
    serve, monkeypatch, path: str, body: dict[str, Any]
) -> None:
    held = Held(estimate.request_tokens)
    monkeypatch.setattr(estimate, "request_tokens", held)
    async with AsyncClient() as client, serve(client) as gateway:
        asked = {**body, "model": "simulated/echo"} if "{" not in path else body
        path = path.format(model="simulated/echo")
        told = await others_are_answered_during(held, gateway, path, asked)
    assert next(iter(told.values())) > 200_000


async def test_while_a_long_prompt_is_written_for_a_provider_that_counts_others_are_answered(
    serve, monkeypatch
) -> None:
    held = Held(ProviderModel._counting)
    monkeypatch.setattr(ProviderModel, "_counting", partialmethod(held))
    path, body = COUNTS[0]
    async with (
        MockProvider("anthropic-messages") as mock,
        AsyncClient(base_urls={"anthropic": mock.url}, keys={"anthropic": "k"}) as client,
        serve(client) as gateway,
    ):
        asked = {**body, "model": "anthropic/claude-sonnet-4-5"}
        assert await others_are_answered_during(held, gateway, path, asked)
    assert len(mock.requests) == 1
