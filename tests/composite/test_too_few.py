"""When too few answer: whether another try can help, and how long to wait for it."""

import pytest

from polyvox.assembly import failed
from polyvox.composite import Council, MixtureOfAgents
from polyvox.errors import AuthenticationError, PolyvoxError, RateLimitError, ServerError
from polyvox.events import Event

from .speakers import Speaker, error_of, never


def wait(seconds: float | None) -> list[Event]:
    return [failed(RateLimitError("full", retry_after=seconds))]


def refused() -> list[Event]:
    return [failed(AuthenticationError("no"))]


@pytest.mark.parametrize(
    ("quorum", "turns", "seconds", "retryable"),
    [
        (1, [wait(30), wait(10), wait(20)], 10, True),
        (2, [wait(30), wait(10), wait(20)], 20, True),
        (3, [wait(30), wait(10), wait(20)], 30, True),
        (1, [wait(30), wait(None)], None, True),
        (3, ["A.", wait(30), wait(10)], 30, True),
        (3, ["A.", "B.", wait(30)], 30, True),
        (1, [wait(30), refused()], 30, True),
        (2, [wait(30), refused()], None, False),
        (1, [refused(), refused()], None, False),
    ],
)
async def test_the_wait_is_the_shortest_after_which_enough_may_answer(
    quorum: int, turns: list, seconds: float | None, retryable: bool
):
    speakers = [Speaker(f"s{place}", turn) for place, turn in enumerate(turns)]
    moa = MixtureOfAgents(speakers, aggregator=Speaker("judge", "x"), quorum=quorum)
    error = await error_of(moa)
    assert (error.retryable, error.retry_after) == (retryable, seconds)


async def test_who_was_not_waited_for_may_answer_the_next_time():
    speakers = [Speaker("a", wait(5)), Speaker("slow", never())]
    error = await error_of(MixtureOfAgents(speakers, aggregator=Speaker("j", "x"), quorum=2))
    assert (error.retryable, error.retry_after) == (True, 5)


@pytest.mark.parametrize("error", [RateLimitError("full", retry_after=7.0), ServerError("x")])
async def test_a_council_without_opinions_says_how_long_to_wait_too(error: PolyvoxError):
    council = Council([Speaker("a", [failed(error)])], chairman=Speaker("chair", "x"))
    told = await error_of(council)
    assert (told.retryable, told.retry_after) == (True, error.retry_after)
    assert type(told) is type(error)


async def test_what_would_help_all_who_are_lost_is_the_hint():
    lost = [failed(RateLimitError("full", hint="Ask for less."))]
    speakers = [Speaker("a", lost), Speaker("b", lost)]
    error = await error_of(MixtureOfAgents(speakers, aggregator=Speaker("j", "x")))
    assert error.hint == "Ask for less."
    speakers = [Speaker("a", lost), Speaker("b", refused())]
    error = await error_of(MixtureOfAgents(speakers, aggregator=Speaker("j", "x")))
    assert error.hint is None
