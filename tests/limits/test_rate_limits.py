"""Rate limits: requests and tokens, at once or with a bounded wait."""

import asyncio

import pytest

from polyvox.errors import AbortedError, ConfigurationError, RateLimitError
from polyvox.limits import LimitStore, MemoryLimits, RateLimit, RateLimited
from polyvox.model import Call, Interrupt
from polyvox.quote import quote_of
from polyvox.usage import NO_USAGE

from .rig import HI, Clock, Priced, ask, dollars, soon


def tokens(number: int):
    return dollars(0, number)


async def test_so_many_requests_at_once_and_no_more(store: LimitStore):
    model = RateLimited(Priced(tokens(10)), RateLimit(requests=3, per="day"), store=store)
    for _ in range(3):
        await ask(model)
    with pytest.raises(RateLimitError, match="'global requests per day' has no room") as caught:
        await ask(model)
    assert caught.value.retryable
    assert caught.value.retry_after is not None
    assert 28_000 < caught.value.retry_after <= 28_800


async def test_the_error_says_when_there_will_be_room_and_then_there_is():
    clock = Clock()
    store = MemoryLimits(clock=clock)
    model = RateLimited(Priced(tokens(10)), RateLimit(requests=2), store=store)
    for _ in range(2):
        await ask(model)
    for _ in range(5):
        with pytest.raises(RateLimitError) as caught:
            await ask(model)
        assert caught.value.retry_after == 30
        clock.now += caught.value.retry_after
        await ask(model)


async def test_tokens_are_reserved_by_the_quote_and_settled_by_the_attempts(store: LimitStore):
    inner = Priced(tokens(600), tokens(100))
    model = RateLimited(inner, RateLimit(tokens=1000, per="day"), store=store)
    for _ in range(5):
        await ask(model)
    with pytest.raises(RateLimitError, match="tokens per day"):
        await ask(model)


async def test_tokens_that_nobody_counted_are_charged_as_reserved():
    model = RateLimited(Priced(tokens(600), NO_USAGE), RateLimit(tokens=1000))
    await ask(model)
    with pytest.raises(RateLimitError):
        await ask(model)


async def test_a_call_that_may_use_more_than_the_limit_goes_alone(store: LimitStore):
    inner = Priced(tokens(50_000), tokens(100))
    model = RateLimited(inner, RateLimit(tokens=1000, per=1e9), store=store)
    first = model.stream(HI, Call())
    await anext(first)
    with pytest.raises(RateLimitError):
        await ask(model)
    await first.aclose()


async def test_of_tokens_the_error_says_how_to_reserve_fewer_and_of_requests_it_does_not():
    for rate, says in ((RateLimit(tokens=10), True), (RateLimit(requests=1), False)):
        model = RateLimited(Priced(tokens(10)), rate)
        await ask(model)
        with pytest.raises(RateLimitError, match="There will be room in") as caught:
            await ask(model)
        assert ("max_tokens reserves less" in (caught.value.hint or "")) is says


async def test_an_attempt_more_is_a_request_more():
    model = RateLimited(Priced(tokens(30), *[tokens(10)] * 3), RateLimit(requests=4, per="hour"))
    await ask(model)
    await ask(model)
    with pytest.raises(RateLimitError) as caught:
        await ask(model)
    assert caught.value.retry_after is not None
    assert 2699 < caught.value.retry_after <= 2700  # six were made and one more is wanted


async def test_requests_and_tokens_are_reserved_together_or_not_at_all(store: LimitStore):
    inner = Priced(tokens(600))
    model = RateLimited(inner, RateLimit(requests=2, tokens=1000, per=1e9), store=store)
    await ask(model)
    for _ in range(5):
        with pytest.raises(RateLimitError, match="tokens"):
            await ask(model)
    inner.quoted, inner.used = tokens(0), (tokens(0),)
    await ask(model)
    with pytest.raises(RateLimitError, match="requests"):
        await ask(model)


async def test_each_subject_has_a_rate_of_its_own(store: LimitStore):
    limit = RateLimit(requests=1, per="day", scope="tenant")
    model = RateLimited(Priced(tokens(1)), limit, store=store)
    for tenant in "abc":
        await ask(model, Call(tenant=tenant))
        with pytest.raises(RateLimitError):
            await ask(model, Call(tenant=tenant))


async def test_a_burst_of_long_streams_is_limited_before_the_first_has_answered():
    gate = asyncio.Event()
    inner = Priced(tokens(300), gate=gate)
    model = RateLimited(inner, RateLimit(tokens=1000, per="day"))
    asked = [asyncio.create_task(ask(model)) for _ in range(50)]
    refused = await asyncio.gather(*asked[3:], return_exceptions=True)
    assert all(isinstance(each, RateLimitError) for each in refused)
    gate.set()
    assert [message.text for message in await asyncio.gather(*asked[:3])] == ["Hello."] * 3


async def test_a_call_may_wait_for_its_turn(store: LimitStore):
    inner = Priced(tokens(1))
    limit = RateLimit(requests=1, per=0.02)
    model = RateLimited(inner, limit, store=store, wait_seconds=30)
    await soon(asyncio.gather(*(ask(model) for _ in range(5))))
    assert inner.asked == 5


async def test_a_call_does_not_begin_to_wait_for_what_comes_too_late():
    clock = Clock()
    store = MemoryLimits(clock=clock)
    model = RateLimited(Priced(tokens(1)), RateLimit(requests=1), store=store, wait_seconds=30)
    await ask(model)
    clock.now += 0.5
    with pytest.raises(RateLimitError, match=r"room in 60 seconds"):
        await ask(model)
    model = RateLimited(Priced(tokens(1)), RateLimit(requests=1), wait_seconds=3600)
    await ask(model)
    with pytest.raises(RateLimitError):
        await ask(model, Call.timeout(30))


async def test_an_interrupt_ends_the_wait():
    interrupt = Interrupt()
    model = RateLimited(Priced(tokens(1)), RateLimit(requests=1, per="day"), wait_seconds=1e6)
    await ask(model)
    waiting = asyncio.create_task(ask(model, Call(interrupt=interrupt)))
    asyncio.get_running_loop().call_soon(interrupt.set)
    with pytest.raises(AbortedError):
        await waiting


def test_a_rate_limited_model_has_the_name_and_the_quote_of_the_one_inside():
    model = RateLimited(Priced(tokens(7)), RateLimit(requests=1))
    assert (model.name, quote_of(model, HI)) == ("test/priced", tokens(7))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "needs a number of requests or of tokens"),
        ({"requests": 0}, "requests is 0"),
        ({"tokens": -5}, "tokens is -5"),
        ({"requests": 1, "per": "fortnight"}, "per 'fortnight'\nIt is one of second"),
        ({"requests": 1, "per": 0}, "per 0"),
        ({"requests": 1, "scope": "planet"}, "no scope 'planet'"),
    ],
)
def test_a_rate_limit_that_makes_no_sense_is_refused(arguments: dict, complaint: str):
    with pytest.raises(ConfigurationError, match=complaint):
        RateLimit(**arguments)


def test_a_rate_limited_model_without_a_limit_is_refused():
    with pytest.raises(ConfigurationError, match="has no limit"):
        RateLimited(Priced(tokens(1)))
