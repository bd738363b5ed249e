"""How many calls are let in, who waits, and who must come again."""

import asyncio

import pytest

from polyvox.errors import OverloadedError, RateLimitError
from polyvox.gateway.operations.admission import Admission
from polyvox.model import Interrupt


async def soon(admission: Admission, *, queued: int) -> None:
    """Until so many wait."""
    while admission.queued != queued:  # noqa: ASYNC110 -- it goes round with the loop
        await asyncio.sleep(0)


async def test_calls_within_the_bound_come_in_at_once():
    admission = Admission(2, 0, 10)
    await admission.enter()
    await admission.enter()
    assert (admission.in_flight, admission.queued) == (2, 0)


async def test_whoever_would_have_to_wait_does_not_come_in_at_once_and_does_not_wait():
    admission = Admission(1, 1, 10)
    assert admission.enter_at_once()
    assert not admission.enter_at_once()
    assert (admission.in_flight, admission.queued) == (1, 0)


async def test_nobody_comes_in_at_once_before_those_who_wait():
    admission = Admission(1, 2, 10)
    assert admission.enter_at_once()
    first = asyncio.create_task(admission.enter())
    await soon(admission, queued=1)
    admission.resize(2, 2, 10)  # who waits has the room now, and not heard of it yet
    assert not admission.enter_at_once()
    await first
    assert admission.in_flight == 2


async def test_whoever_finds_the_queue_full_is_told_429_and_when_to_come_again():
    admission = Admission(1, 0, 10)
    await admission.enter()
    with pytest.raises(RateLimitError) as caught:
        await admission.enter()
    assert (caught.value.status, caught.value.retry_after) == (429, 1.0)
    assert admission.refused["full"] == 1


async def test_whoever_waited_in_vain_is_told_503_and_waits_no_more():
    admission = Admission(1, 1, 0.0)
    await admission.enter()
    with pytest.raises(OverloadedError) as caught:
        await admission.enter()
    assert (caught.value.status, caught.value.retry_after) == (503, 1.0)
    assert (admission.in_flight, admission.queued) == (1, 0)


async def test_those_who_wait_come_in_in_their_order():
    admission = Admission(1, 3, 60)
    await admission.enter()
    order: list[int] = []

    async def call(number: int) -> None:
        await admission.enter()
        order.append(number)
        admission.leave()

    calls = [asyncio.create_task(call(number)) for number in range(3)]
    await soon(admission, queued=3)
    admission.leave()
    await asyncio.gather(*calls)
    assert order == [0, 1, 2]
    assert (admission.in_flight, admission.queued) == (0, 0)


async def test_nobody_overtakes_those_who_wait():
    admission = Admission(1, 2, 60)
    await admission.enter()
    first = asyncio.create_task(admission.enter())
    await soon(admission, queued=1)
    admission.leave()  # the place is handed on, not given to whoever comes next
    second = asyncio.create_task(admission.enter())
    await first
    assert admission.in_flight == 1
    assert not second.done()
    admission.leave()
    await second


async def test_whoever_is_cancelled_while_waiting_takes_no_place():
    admission = Admission(1, 1, 60)
    await admission.enter()
    waiting = asyncio.create_task(admission.enter())
    await soon(admission, queued=1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    admission.leave()
    assert (admission.in_flight, admission.queued) == (0, 0)


async def test_a_place_handed_to_somebody_who_is_cancelled_goes_to_the_next():
    admission = Admission(1, 2, 60)
    await admission.enter()
    gone = asyncio.create_task(admission.enter())
    await soon(admission, queued=1)
    following = asyncio.create_task(admission.enter())
    await soon(admission, queued=2)
    admission.leave()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await following
    admission.leave()
    assert (admission.in_flight, admission.queued) == (0, 0)


async def test_ten_thousand_calls_leave_no_place_taken():
    admission = Admission(7, 10_000, 60)
    most = 0

    async def call(number: int) -> None:
        nonlocal most
        await admission.enter()
        try:
            most = max(most, admission.in_flight)
            await asyncio.sleep(0)
        finally:
            admission.leave()

    calls = [asyncio.create_task(call(number)) for number in range(10_000)]
    await asyncio.sleep(0)
    for each in calls[::3]:
        each.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert most == 7
    assert (admission.in_flight, admission.queued) == (0, 0)


async def test_while_the_worker_drains_nobody_new_comes_in():
    draining = Interrupt()
    admission = Admission(5, 5, 60, draining=draining)
    await admission.enter()
    draining.set()
    with pytest.raises(OverloadedError, match="being stopped") as caught:
        await admission.enter()
    assert caught.value.status == 503
    admission.leave()
    assert admission.in_flight == 0


async def test_more_room_lets_in_those_who_wait():
    admission = Admission(1, 5, 60)
    await admission.enter()
    waiting = [asyncio.create_task(admission.enter()) for _ in range(3)]
    await soon(admission, queued=3)
    admission.resize(3, 5, 60)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (admission.in_flight, admission.queued) == (3, 1)
    admission.resize(4, 5, 60)
    await asyncio.gather(*waiting)
