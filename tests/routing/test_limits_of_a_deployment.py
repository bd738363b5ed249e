"""max_parallel, rpm and tpm of one deployment; and that what is taken is given back, however a call ends."""

import asyncio
from contextlib import aclosing

import pytest

from polyvox.errors import NetworkError, RateLimitError, ServerError
from polyvox.events import Failed, Start, TextDelta, TextStart
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Interrupt
from polyvox.routing import Deployment, Pool, Retrying, RetryPolicy, Router
from polyvox.routing.pool import MOST_LOOKED_AT, Busy, Seat
from polyvox.usage import Usage

from .rig import Clock, Voice, ask, error_of, request, text_of

HALF = [Start(), TextStart(0), TextDelta(0, "Hel"), asyncio.Event()]


def in_flight(router: Router) -> list[int]:
    return [status.in_flight for status in router.status()]


async def test_no_more_calls_at_once_than_allowed():
    first, second = Voice(HALF), Voice(HALF)
    router = Router([Deployment(first, max_parallel=2), second])
    streams = [router.stream(request(), Call()) for _ in range(5)]
    for stream in streams:
        await anext(stream)
    assert (first.asked, second.asked) == (2, 3)
    assert router.status()[0].state == "full"
    await streams[0].aclose()
    again = router.stream(request(), Call())
    await anext(again)
    assert (first.asked, second.asked) == (3, 3)
    for stream in [again, *streams]:
        await stream.aclose()


async def test_when_all_are_full_nobody_knows_when():
    router = Router([Deployment(Voice(HALF), max_parallel=1)])
    async with aclosing(router.stream(request(), Call())) as stream:
        await anext(stream)
        error = await error_of(router)
    assert (type(error), error.retry_after) == (RateLimitError, None)
    assert "test/voice is full" in str(error)


async def test_no_more_requests_in_a_minute_than_allowed():
    clock = Clock()
    router = Router(Pool([Deployment(Voice(), rpm=2)], clock=clock))
    assert [await text_of(router) for _ in range(2)] == ["Hello."] * 2
    error = await error_of(router)
    assert error.retry_after == 61
    assert "is limited for 61 s" in str(error)
    clock.now += 61
    assert await text_of(router) == "Hello."


async def test_each_attempt_within_counts_as_a_request():
    voice = Voice(ServerError("x"), ServerError("x"), "Hello.")
    model = Retrying(voice, RetryPolicy(base=0))
    router = Router(Pool([Deployment(model, rpm=3)], clock=Clock()))
    await text_of(router)
    assert type(await error_of(router)) is RateLimitError


async def test_tokens_are_reserved_by_the_quote_and_settled_by_the_attempts():
    clock = Clock()
    voice = Voice([Start(), asyncio.Event()], "Hello.", cost=Usage(500, 500), usage=Usage(60, 40))
    router = Router(Pool([Deployment(voice, tpm=1_000)], clock=clock))
    first = asyncio.create_task(ask(router))
    await voice.was_asked.wait()
    assert type(await error_of(router)) is RateLimitError, "all is reserved"
    first.cancel()
    await asyncio.wait([first])
    voice.cost = Usage(450, 450)
    assert await text_of(router) == "Hello.", "100 of 1,000 were used"
    assert type(await error_of(router)) is RateLimitError, "200 of 1,000, and 900 are wanted"
    voice.cost = Usage(400, 400)
    assert await text_of(router) == "Hello."


async def test_what_was_used_beyond_the_quote_is_a_debt():
    clock = Clock()
    voice = Voice(cost=Usage(5, 5), usage=Usage(900, 600))
    router = Router(Pool([Deployment(voice, tpm=1_000)], clock=clock))
    await text_of(router)
    assert (await error_of(router)).retry_after == 61


async def test_a_call_that_was_never_sent_uses_up_nothing():
    clock = Clock()

    class Unsent(Voice):
        async def stream(self, request, call):
            yield Failed(NetworkError("no route"), AssistantMessage([]))

    router = Router(Pool([Deployment(Unsent(), rpm=1, tpm=10)], clock=clock))
    for _ in range(2):
        assert type((await ask(router))[-1].error) is NetworkError
        clock.now += 10


async def test_one_with_room_is_asked_in_place_of_one_without():
    small, large = Voice("small", cost=Usage(500, 0)), Voice("large", cost=Usage(500, 0))
    pool = Pool([Deployment(small, tpm=600), Deployment(large, tpm=5_000)], clock=Clock())
    with taken(pool) as seat:
        assert seat.lane.place == 0
        with taken(pool) as other:
            assert other.lane.place == 1
    assert pool.status()[0].state == "ready", "a smaller call may have room there"


def test_a_large_call_does_not_look_at_everyone():
    voice = Voice(cost=Usage(500, 0))
    clock = Clock()
    pool = Pool([Deployment(voice, tpm=600) for _ in range(200)], "round-robin", clock=clock)
    for _ in range(200):
        taken(pool)
    voice.quoted = 0
    assert pool.take(request(), Call()) == Busy(clock.now + 61)
    assert voice.quoted == MOST_LOOKED_AT


def taken(pool: Pool) -> Seat:
    seat = pool.take(request(), Call())
    assert isinstance(seat, Seat)
    return seat


# ---------------------------------------------------------------------- given back in every state

LIMITED = {"max_parallel": 1, "rpm": 100, "tpm": 100_000}


async def test_an_answer_gives_its_place_back():
    router = Router([Deployment(Voice(), **LIMITED)])
    for _ in range(5):
        await text_of(router)
    assert in_flight(router) == [0]


async def test_a_failure_gives_its_place_back():
    router = Router([Deployment(Voice(ServerError("x"), "Hello."), **LIMITED)])
    await error_of(router)
    assert in_flight(router) == [0]
    await text_of(router)


@pytest.mark.parametrize("turn", [[asyncio.Event()], [Start(), asyncio.Event()], HALF])
async def test_a_cancelled_call_gives_its_place_back(turn):
    voice = Voice(turn, "Hello.")
    router = Router([Deployment(voice, **LIMITED)])
    asking = asyncio.create_task(ask(router))
    await voice.was_asked.wait()
    await asyncio.sleep(0)
    assert in_flight(router) == [1]
    asking.cancel()
    await asyncio.wait([asking])
    assert (in_flight(router), voice.closed) == ([0], 1)
    assert await text_of(router) == "Hello."


async def test_closing_the_stream_gives_its_place_back_after_each_event():
    for events in range(1, 4):
        voice = Voice(HALF)
        router = Router([Deployment(voice, **LIMITED)])
        async with aclosing(router.stream(request(), Call())) as stream:
            for _ in range(events):
                await anext(stream)
        assert (in_flight(router), voice.closed) == ([0], 1)


async def test_a_stream_that_is_never_read_takes_no_place():
    router = Router([Deployment(Voice(), **LIMITED)])
    stream = router.stream(request(), Call())
    await stream.aclose()
    assert in_flight(router) == [0]


async def test_a_call_cancelled_while_it_waits_for_a_place_takes_none():
    voice = Voice(HALF, "Hello.")
    router = Router([Deployment(voice, **LIMITED)], wait_seconds=20)
    async with aclosing(router.stream(request(), Call())) as stream:
        await anext(stream)
        waiting = [asyncio.create_task(ask(router)) for _ in range(3)]
        while len(router.pool._waiting) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for task in waiting[:2]:
            task.cancel()
        await asyncio.wait(waiting[:2])
        assert in_flight(router) == [1]
    await waiting[2]
    assert (in_flight(router), voice.asked) == ([0], 2)
    assert not router.pool._waiting


async def test_those_who_wait_are_let_in_one_by_one():
    router = Router([Deployment(Voice(), max_parallel=1)], wait_seconds=20)
    assert await asyncio.gather(*(text_of(router) for _ in range(100))) == ["Hello."] * 100
    assert in_flight(router) == [0]


async def test_an_interrupted_call_gives_its_place_back():
    interrupt = Interrupt()
    interrupt.set()
    router = Router([Deployment(Voice(HALF), **LIMITED)], wait_seconds=20)
    async with aclosing(router.stream(request(), Call())) as stream:
        await anext(stream)
        assert (await error_of(router, Call(interrupt=interrupt))).kind == "aborted"
    assert in_flight(router) == [0]


async def test_a_model_that_breaks_the_rules_and_raises_gives_its_place_back():
    class Raising(Voice):
        async def stream(self, request, call):
            raise ZeroDivisionError
            yield

    router = Router([Deployment(Raising(), **LIMITED)])
    with pytest.raises(ZeroDivisionError):
        await ask(router)
    assert in_flight(router) == [0]


async def test_those_who_wait_go_on_as_soon_as_a_trial_is_answered():
    gate = asyncio.Event()
    trial = [gate, Start(), TextStart(0), TextDelta(0, "Hi"), asyncio.Event()]
    voice = Voice(RateLimitError("x", retry_after=0.001), trial, "Hello.")
    router = Router([voice], wait_seconds=20)
    await error_of(router)
    stream = router.stream(request(), Call())
    beginning = asyncio.ensure_future(anext(stream))
    while voice.asked < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    waiting = [asyncio.create_task(text_of(router)) for _ in range(3)]
    while len(router.pool._waiting) < 3:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert router.status()[0].state == "trying"
    gate.set()
    await beginning
    assert await asyncio.gather(*waiting) == ["Hello."] * 3
    await stream.aclose()


async def test_a_place_offered_to_a_call_that_is_just_being_cancelled_goes_to_the_next():
    voice = Voice(HALF, "Hello.")
    router = Router([Deployment(voice, **LIMITED)], wait_seconds=20)
    stream = router.stream(request(), Call())
    await anext(stream)
    waiting = [asyncio.create_task(text_of(router)) for _ in range(2)]
    while len(router.pool._waiting) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await stream.aclose()
    waiting[0].cancel()
    assert await waiting[1] == "Hello."
    await asyncio.wait(waiting)
    assert in_flight(router) == [0]
