"""Identical calls at the same time: one asks."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

import polyvox
from polyvox.caching import Cached, DiskCache, MemoryCache
from polyvox.errors import (
    AbortedError,
    BadRequestError,
    OverloadedError,
    PolyvoxError,
    RequestTimeoutError,
)
from polyvox.events import TextDelta
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Interrupt, Model
from polyvox.testing import MockProvider, check_grammar

from .rig import Asked, answer, ask, listen, saying, soon, turns


class Rush:
    """Identical calls, the first of which is under way while the others wait."""

    def __init__(self, *script: AssistantMessage | PolyvoxError, **settings: object) -> None:
        self.gate = asyncio.Event()
        self.inner = Asked(*script, gate=self.gate)
        self.model = Cached(self.inner, **settings)
        self.tasks: list[asyncio.Task[AssistantMessage]] = []

    async def begin(self, count: int) -> None:
        self.tasks = [asyncio.create_task(ask(self.model, *saying("Hi."))) for _ in range(count)]
        await soon(self.inner.begun.acquire())
        await turns()

    async def add(self, **call: object) -> asyncio.Task[AssistantMessage]:
        task = asyncio.create_task(ask(self.model, *saying("Hi.", **call)))
        await turns()
        return task

    async def results(self) -> list[AssistantMessage | BaseException]:
        self.gate.set()
        results = await soon(asyncio.gather(*self.tasks, return_exceptions=True))
        assert len(self.model._flights) == 0
        return results


async def test_a_hundred_identical_calls_are_one_request_to_the_provider():
    async with (
        MockProvider("openai-chat", script=["Hello."]) as mock,
        provider_at(mock) as provider,
    ):
        model = Cached(provider)
        calls = [saying("Hi.") for _ in range(100)]
        answers = await soon(asyncio.gather(*(ask(model, *each) for each in calls)))
        assert [each.text for each in answers] == ["Hello."] * 100
        assert len(mock.requests) == 1
    assert sum(not each.cached for each in answers) == 1
    assert sum(len(call.attempts) for _, call in calls) == 1
    assert (model.stats.misses, model.stats.hits, model.stats.joined) == (1, 99, 99)


async def test_when_the_first_of_a_hundred_is_cancelled_the_provider_sees_two_requests():
    gate = asyncio.Event()
    behind = Asked(gate=gate)
    async with MockProvider("openai-chat", model=behind) as mock, provider_at(mock) as provider:
        model = Cached(provider)
        tasks = [asyncio.create_task(ask(model, *saying("Hi."))) for _ in range(100)]
        await soon(behind.begun.acquire())
        tasks[0].cancel()
        await soon(behind.begun.acquire())
        gate.set()
        first, *rest = await soon(asyncio.gather(*tasks, return_exceptions=True))
        assert isinstance(first, asyncio.CancelledError)
        assert [each.text for each in rest] == ["answer 2"] * 99
        assert len(mock.requests) == 2


@asynccontextmanager
async def provider_at(mock: MockProvider) -> AsyncIterator[Model]:
    settings = {"keys": {"openai": "sk-mock"}, "base_urls": {"openai": mock.url}}
    async with polyvox.AsyncClient(**settings) as client:
        yield client.model("openai/gpt-5-mini")


async def test_calls_of_other_tenants_do_not_wait_for_one_another():
    rush = Rush()
    await rush.begin(1)
    await rush.add(tenant="other")
    assert rush.inner.asked == 2
    await rush.results()


async def test_those_who_wait_get_streams():
    rush = Rush()
    await rush.begin(1)
    follower = asyncio.create_task(listen(rush.model, *saying("Hi.")))
    await turns()
    await rush.results()
    events = await soon(follower)
    check_grammar(events)
    assert events[-1].message.cached


async def test_when_the_one_that_asks_is_cancelled_the_next_asks_and_the_rest_wait_for_it():
    rush = Rush()
    await rush.begin(100)
    rush.tasks[0].cancel()
    first, *rest = await rush.results()
    assert isinstance(first, asyncio.CancelledError)
    assert rush.inner.asked == 2
    assert {each.text for each in rest} == {"answer 2"}
    assert sum(each.cached for each in rest) == 98


async def test_when_the_reader_of_the_one_that_asks_leaves_the_next_asks():
    model = Cached(inner := Asked())
    async with aclosing(model.stream(*saying("Hi."))) as events:
        await anext(events)
        followers = [asyncio.create_task(ask(model, *saying("Hi."))) for _ in range(3)]
        await turns()
        assert inner.asked == 1
    answers = await soon(asyncio.gather(*followers))
    assert [each.text for each in answers] == ["answer 2"] * 3
    assert inner.asked == 2


@pytest.mark.parametrize("error", [OverloadedError("full"), BadRequestError("no")])
async def test_when_the_one_that_asks_fails_the_next_asks(error: PolyvoxError):
    rush = Rush(error)
    await rush.begin(5)
    first, *rest = await rush.results()
    assert first is error
    assert [each.text for each in rest] == ["answer 2"] * 4
    assert rush.inner.asked == 2


async def test_after_three_failures_the_rest_ask_each_for_itself_and_errors_are_never_shared():
    errors = [OverloadedError(f"full {number}") for number in range(8)]
    rush = Rush(*errors)
    await rush.begin(8)
    failed = await rush.results()
    assert sorted(str(each) for each in failed) == [str(each) for each in errors]
    assert rush.inner.asked == 8


async def test_calls_that_were_interrupted_are_no_failures():
    rush = Rush(*(AbortedError("enough") for _ in range(5)))
    await rush.begin(8)
    results = await rush.results()
    assert [isinstance(each, AbortedError) for each in results] == [True] * 5 + [False] * 3
    assert rush.inner.asked == 6


async def test_an_answer_that_is_not_kept_is_not_shared():
    rush = Rush(answer("Half", stop_reason="pause"), answer("All."))
    await rush.begin(3)
    results = await rush.results()
    assert [each.text for each in results] == ["Half", "All.", "All."]


async def test_who_waits_can_be_interrupted():
    rush = Rush()
    await rush.begin(1)
    interrupt = Interrupt()
    waiting = await rush.add(interrupt=interrupt)
    interrupt.set("enough")
    with pytest.raises(AbortedError, match="enough") as caught:
        await soon(waiting)
    assert caught.value.message.stop_reason == "aborted"
    assert (await rush.results())[0].text == "answer 1"


async def test_who_waits_has_a_deadline():
    rush = Rush()
    await rush.begin(1)
    request, _ = saying("Hi.")
    with pytest.raises(RequestTimeoutError):
        await ask(rush.model, request, Call.timeout(0.02))
    assert rush.inner.asked == 1
    await rush.results()


async def test_who_waits_can_be_cancelled_and_is_out_of_the_row():
    rush = Rush()
    await rush.begin(4)
    rush.tasks[1].cancel()
    await turns()
    rush.tasks[0].cancel()
    results = await rush.results()
    assert [isinstance(each, asyncio.CancelledError) for each in results] == [True] * 2 + [
        False
    ] * 2
    assert rush.inner.asked == 2


@pytest.mark.parametrize("pause", range(6))
async def test_who_leaves_just_when_it_is_its_turn_passes_the_turn_on(pause: int):
    rush = Rush()
    await rush.begin(4)
    rush.tasks[0].cancel()
    for _ in range(pause):
        await asyncio.sleep(0)
    rush.tasks[1].cancel()
    results = await rush.results()
    assert [each.text for each in results[2:]] == [f"answer {rush.inner.asked}"] * 2
    assert rush.inner.asked in (2, 3)


async def test_all_may_leave_and_nothing_is_left():
    rush = Rush()
    await rush.begin(5)
    for task in rush.tasks:
        task.cancel()
    await rush.results()
    await turns()
    assert rush.inner.asked <= 5


async def test_who_has_waited_long_enough_for_a_slow_reader_asks_for_itself():
    model = Cached(inner := Asked(), patience=0.01)
    async with aclosing(model.stream(*saying("Hi."))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
        assert (await ask(model, *saying("Hi."))).text == "answer 2"
        rest = [event async for event in events]
    assert rest[-1].message.text == "answer 1"
    assert inner.asked == 2
    assert (await ask(model, *saying("Hi."))).text == "answer 1"


async def test_a_refresh_neither_waits_nor_is_waited_for():
    rush = Rush()
    await rush.begin(2)
    await rush.add(caching="refresh")
    assert rush.inner.asked == 2
    await rush.results()


async def test_the_store_is_asked_once_by_those_who_come_together(tmp_path):
    kept = DiskCache(tmp_path / "answers.db", timeout=30)
    await ask(Cached(Asked(), kept), *saying("Hi."))
    model = Cached(inner := Asked(), kept)
    texts = [(await ask(model, *saying("Hi."))).text for _ in range(2)]
    together = await asyncio.gather(*(ask(model, *saying("Hi.")) for _ in range(20)))
    assert {*texts, *(each.text for each in together)} == {"answer 1"}
    assert (inner.asked, model.stats.hits, model.stats.joined) == (0, 22, 19)
    await kept.aclose()


def test_calls_from_several_event_loops_share_one_answer():
    model = Cached(Asked(), MemoryCache())
    inner = model.model
    started, released = threading.Event(), threading.Event()
    texts: list[str] = []

    class Slow(Asked):
        async def stream(self, request, call):
            started.set()
            await asyncio.to_thread(released.wait, 60)
            async for event in inner.stream(request, call):
                yield event

    model.model = Slow()

    def run() -> None:
        texts.append(asyncio.run(ask(model, *saying("Hi."))).text)

    threads = [threading.Thread(target=run) for _ in range(4)]
    threads[0].start()
    assert started.wait(60)
    for thread in threads[1:]:
        thread.start()
    while sum(len(flight.waiting) for flight in model._flights._under_way.values()) < 3:
        threading.Event().wait(0.001)
    released.set()
    for thread in threads:
        thread.join(60)
    assert texts == ["answer 1"] * 4
    assert inner.asked == 1
