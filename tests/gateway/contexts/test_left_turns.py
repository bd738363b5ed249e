"""Who leaves a call that goes on with a conversation finds in it what they saw."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from gateway.inside import Books
from polyvox import AsyncClient
from polyvox.errors import PolyvoxError
from polyvox.events import TextDelta
from polyvox.gateway.asking.asking import Asking
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.models import Models
from polyvox.gateway.asking.plan import Asked, Plan
from polyvox.gateway.asking.wishes import Wishes
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.contexts.shapes import KeptMessage
from polyvox.limits import MemoryLimits
from polyvox.messages import AssistantMessage, Text, user
from polyvox.request import Request
from polyvox.testing import Knobs, MockProvider

from .conftest import ADA

LONG = "word " * 400


@asynccontextmanager
async def stalling(contexts: Contexts) -> AsyncIterator[tuple[Asking, MockProvider]]:
    """Calls to a provider that says something, and then no more."""
    knobs = Knobs(cut_after=4_000, cut_mode="stall")
    async with MockProvider("anthropic-messages", script=[LONG], knobs=knobs) as mock:
        row = {"dialect": mock.dialect.name, "base_url": mock.url}
        async with AsyncClient(providers={"up": row}, keys={"up": "any"}) as client:  # type: ignore[dict-item]
            models = Models(client, ("*",), lambda: ["up/m"])
            yield (
                Asking(models, Gates(MemoryLimits()), Books(), Calls(), contexts=contexts),
                mock,
            )


def where(text: str = "Where?") -> Asked:
    request = Request(messages=[user(text)], model="up/m")
    return Asked(access=ADA, request=request, wishes=Wishes(context="trip"))


async def kept(contexts: Contexts) -> list[KeptMessage]:
    return await contexts.messages(ADA, "trip")


async def read(asking: Asking, heard: asyncio.Event) -> None:
    """Read for ever."""
    async with aclosing(asking.events(where())) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                heard.set()


async def reading(asking: Asking) -> "asyncio.Task[None]":
    """A task that has read some of the answer."""
    heard = asyncio.Event()
    task = asyncio.create_task(read(asking, heard))
    await heard.wait()
    return task


async def cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def check(messages: list[KeptMessage]) -> None:
    """What the user said, and what had arrived."""
    said, answer = (each.message for each in messages)
    assert said.text == "Where?"
    assert isinstance(answer, AssistantMessage)
    assert answer.text
    assert LONG.startswith(answer.text)
    assert (answer.stop_reason, answer.error) == ("aborted", "the reader left")


async def test_a_stream_whose_reader_leaves_keeps_what_had_arrived(contexts: Contexts):
    async with stalling(contexts) as (asking, _):
        async with aclosing(asking.events(where())) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
        check(await kept(contexts))


async def test_a_stream_whose_task_is_cancelled_keeps_what_had_arrived(contexts: Contexts):
    async with stalling(contexts) as (asking, _):
        await cancelled(await reading(asking))
        check(await kept(contexts))


async def test_the_next_call_goes_on_with_what_was_left(contexts: Contexts):
    async with stalling(contexts) as (asking, _):
        await cancelled(await reading(asking))
        request = Request(messages=[user("And?")])
        async with contexts.turn(ADA, "trip", request, None) as turn:
            texts = [each.text for each in turn.request.messages]
    assert texts[0] == "Where?"
    assert texts[1].startswith("word")
    assert texts[2] == "And?"


async def test_a_whole_answer_whose_caller_leaves_keeps_what_had_arrived(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
):
    answer = AssistantMessage([Text("Os")])
    waits = asyncio.Event()

    class Leaving:
        async def whole(self, model: object, request: object, call: object) -> AssistantMessage:
            try:
                waits.set()
                await asyncio.Event().wait()
            finally:
                call.leave(answer)  # type: ignore[attr-defined]
            raise AssertionError

    async with stalling(contexts) as (asking, _):
        monkeypatch.setattr(asking, "executor", Leaving())
        task = asyncio.ensure_future(asking.whole(where()))
        await waits.wait()
        await cancelled(task)  # type: ignore[arg-type]
    said, left = (each.message for each in await kept(contexts))
    assert (said.text, left.text) == ("Where?", "Os")


async def test_who_leaves_before_anything_arrived_leaves_nothing(contexts: Contexts):
    async with (
        MockProvider("openai-chat", knobs=Knobs(hold_until=99)) as mock,
        AsyncClient(
            providers={"up": {"dialect": "openai-chat", "base_url": mock.url}},  # type: ignore[dict-item]
            keys={"up": "any"},
        ) as client,
    ):
        models = Models(client, ("*",), lambda: ["up/m"])
        asking = Asking(models, Gates(MemoryLimits()), Books(), Calls(), contexts=contexts)
        task = asyncio.create_task(read(asking, asyncio.Event()))
        await mock.wait_for_request()
        await cancelled(task)
    assert await kept(contexts) == []


async def test_a_second_cancel_while_it_is_kept_loses_nothing(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
):
    """A server that stops in a hurry cancels once more; what is being kept is kept all the same."""
    begun, go = asyncio.Event(), asyncio.Event()
    settled: Callable[..., object] = Plan._settled  # pyright: ignore[reportPrivateUsage]

    async def slowly(self: Plan, *given: object, **more: object) -> None:
        await settled(self, *given, **more)  # type: ignore[misc]
        begun.set()
        await go.wait()

    async with stalling(contexts) as (asking, _):
        monkeypatch.setattr(Plan, "_settled", slowly)
        task = await reading(asking)
        task.cancel()
        await begun.wait()
        await cancelled(task)
        check(await kept(contexts))


async def test_a_database_that_fails_then_is_no_failure_of_the_call(
    contexts: Contexts, monkeypatch: pytest.MonkeyPatch
):
    async def fails(lease: object, messages: object) -> bool:
        raise PolyvoxError("the database is away")

    async with stalling(contexts) as (asking, _):
        monkeypatch.setattr(contexts, "_add", fails)
        await cancelled(await reading(asking))
        assert await kept(contexts) == []
        assert len(asking.calls) == 0
