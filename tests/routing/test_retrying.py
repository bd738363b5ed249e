"""Asking again: when, after which pause, and what is told in the end."""

import asyncio
import time
from contextlib import aclosing
from random import Random

import pytest

from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import (
    Failed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from polyvox.messages import AssistantMessage, Text, ToolCall
from polyvox.model import Call, Interrupt
from polyvox.quote import quote_of
from polyvox.routing import Retrying, RetryPolicy
from polyvox.usage import Cost, Usage

from .rig import PATIENCE, Voice, ask, error_of, request, text_of

AT_ONCE = RetryPolicy(base=0)
FAILED = Failed(ServerError("broke"), AssistantMessage([Text("")], "error"))

RETRYABLE = [
    RateLimitError,
    OverloadedError,
    ServerError,
    NetworkError,
    RequestTimeoutError,
    ProtocolError,
]
FINAL = [
    AbortedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
    NotFoundError,
    PermissionDeniedError,
]


@pytest.mark.parametrize("kind", RETRYABLE)
async def test_a_retryable_failure_is_asked_again_and_only_the_answer_is_seen(
    kind: type[PolyvoxError],
):
    voice = Voice(kind("x"), kind("x"), "Hello.")
    assert await text_of(Retrying(voice, AT_ONCE)) == "Hello."
    assert voice.asked == 3


@pytest.mark.parametrize("kind", FINAL)
async def test_any_other_failure_is_told_at_once(kind: type[PolyvoxError]):
    voice = Voice(kind("x"), "Hello.")
    error = await error_of(Retrying(voice, AT_ONCE))
    assert (type(error), voice.asked, len(error.attempts)) == (kind, 1, 1)
    assert "Asked" not in str(error)


async def test_out_of_quota_is_not_asked_again():
    error = RateLimitError("no money")
    error.retryable = False
    voice = Voice(error)
    assert (await error_of(Retrying(voice, AT_ONCE))).attempts
    assert voice.asked == 1


@pytest.mark.parametrize("attempts", [1, 2, 5])
async def test_it_gives_up_after_so_many_attempts(attempts: int):
    voice = Voice(ServerError("x"))
    error = await error_of(Retrying(voice, RetryPolicy(attempts=attempts, base=0)))
    assert voice.asked == len(error.attempts) == attempts


async def test_the_error_says_what_was_tried():
    limited = RateLimitError("slow down", status=429, hint="Be patient.")
    voice = Voice(ServerError("x", status=500), ServerError("x", status=500), limited)
    error = await error_of(Retrying(voice, AT_ONCE))
    first, second = (error.hint or "").splitlines()
    assert first == "Be patient."
    assert second.startswith("Asked 3 times in 0.")
    assert second.endswith(" s: test/voice server (500) x 2, test/voice rate_limit (429).")


async def test_the_account_of_one_inside_another_is_told_once():
    error = await error_of(
        Retrying(Retrying(Voice(ServerError("x", hint="Hm.")), AT_ONCE), AT_ONCE)
    )
    assert len(error.attempts) == 9
    assert str(error).count("Asked") == 1
    assert (error.hint or "").startswith("Hm.\nAsked 9 times")


async def test_an_account_is_short_however_much_was_tried():
    kinds = [kind("x") for kind in RETRYABLE]
    error = await error_of(Retrying(Voice(*kinds), RetryPolicy(attempts=len(kinds), base=0)))
    assert str(error).endswith("test/voice timeout, and 1 other outcomes.")


async def test_attempts_before_the_call_are_not_counted():
    call = Call()
    await text_of(Voice("Before."), call)
    error = await error_of(Retrying(Voice(ServerError("x")), AT_ONCE), call)
    assert (len(error.attempts), len(call.attempts)) == (3, 4)


CONTENT_FIRST = {
    "text": [Start(), TextStart(0), TextDelta(0, "Hel"), TextEnd(0, Text("Hel")), FAILED],
    "a tool call": [
        Start(),
        ToolCallStart(0, "c1", "weather"),
        ToolCallDelta(0, '{"ci'),
        ToolCallEnd(0, ToolCall("c1", "weather", {}, '{"ci')),
        FAILED,
    ],
}


@pytest.mark.parametrize("turn", CONTENT_FIRST.values(), ids=CONTENT_FIRST)
async def test_after_the_first_content_nothing_is_asked_again(turn):
    voice = Voice(turn, "Hello.")
    heard = await ask(Retrying(voice, AT_ONCE))
    assert heard == turn
    assert (voice.asked, len(heard[-1].error.attempts)) == (1, 1)


async def test_a_block_that_broke_off_before_its_first_piece_is_asked_again():
    voice = Voice([Start(), TextStart(0), TextEnd(0, Text("")), FAILED], "Hello.")
    assert await text_of(Retrying(voice, AT_ONCE)) == "Hello."


async def test_the_last_failure_is_told_with_its_beginning():
    turn = [Start("test", "voice"), FAILED]
    assert await ask(Retrying(Voice(turn), AT_ONCE)) == turn


async def test_an_answer_without_content_is_an_answer():
    voice = Voice("", "Hello.")
    assert await text_of(Retrying(voice, AT_ONCE)) == ""
    assert voice.asked == 1


async def test_a_wait_longer_than_allowed_is_the_callers_affair():
    voice = Voice(RateLimitError("slow down", retry_after=61))
    error = await error_of(Retrying(voice))
    assert (voice.asked, error.retry_after) == (1, 61)


@pytest.mark.parametrize(("asked", "longest"), [(1, 0.5), (2, 1), (3, 2), (7, 30), (2_000, 30)])
def test_the_pause_is_drawn_from_nothing_up_to_a_length_that_doubles(asked: int, longest: float):
    policy, random = RetryPolicy(attempts=5_000), Random(1)
    pauses = [policy.pause(asked, ServerError("x"), random) for _ in range(2_000)]
    assert all(pause is not None and 0 <= pause <= longest for pause in pauses)
    assert min(pauses) < longest * 0.05
    assert max(pauses) > longest * 0.95


def test_a_provider_that_names_a_time_is_never_asked_before_it():
    error, random = RateLimitError("slow down", retry_after=7.0), Random(1)
    pauses = [RetryPolicy().pause(1, error, random) for _ in range(100)]
    assert all(pause is not None and 7 <= pause <= 7.5 for pause in pauses)


async def test_an_interrupt_ends_the_wait_at_once():
    voice, interrupt = Voice(RateLimitError("slow down", retry_after=59)), Interrupt()
    asking = asyncio.create_task(error_of(Retrying(voice), Call(interrupt=interrupt)))
    await voice.was_asked.wait()
    await asyncio.sleep(0)
    interrupt.set("enough")
    error = await asking
    assert (type(error), error.text, len(error.attempts)) == (AbortedError, "enough", 1)
    assert error.message is not None
    assert error.message.stop_reason == "aborted"
    assert voice.asked == 1


async def test_nobody_waits_for_an_attempt_that_the_deadline_would_not_allow():
    voice = Voice(RateLimitError("slow down", retry_after=59))
    error = await error_of(Retrying(voice), Call.timeout(50))
    assert (type(error), voice.asked) == (RateLimitError, 1)


async def test_the_policys_time_is_a_deadline_for_the_model_within():
    voice = Voice()
    before = time.monotonic()
    await text_of(Retrying(voice, RetryPolicy(seconds=20)), Call.timeout(40))
    await text_of(Retrying(voice, RetryPolicy(seconds=40)), Call.timeout(20))
    await text_of(Retrying(voice, RetryPolicy(seconds=20)))
    for call in voice.calls:
        assert call.deadline is not None
        assert before + 20 <= call.deadline <= time.monotonic() + 20


async def test_cancelling_while_it_waits_asks_nobody_any_more():
    voice = Voice(RateLimitError("slow down", retry_after=59))
    asking = asyncio.create_task(ask(Retrying(voice)))
    await voice.was_asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asking, PATIENCE)
    assert voice.asked == 1


async def test_closing_the_stream_closes_the_one_within():
    voice = Voice([Start(), TextStart(0), TextDelta(0, "Hel"), asyncio.Event()])
    async with aclosing(Retrying(voice).stream(request(), Call())) as events:
        assert await anext(events) == Start()
    assert voice.closed == 1


async def test_its_quote_and_its_name_are_those_of_the_model():
    worst = Usage(10, 20, cost=Cost("known", 7))
    retrying = Retrying(Voice(cost=worst, name="openai/gpt-5-mini"))
    assert (quote_of(retrying, request()), retrying.name) == (worst, "openai/gpt-5-mini")


@pytest.mark.parametrize(
    ("field", "value"),
    [("attempts", 0), ("base", -1), ("cap", float("nan")), ("max_wait", -1), ("seconds", -0.1)],
)
def test_a_policy_out_of_range_is_an_error_that_names_the_field(field: str, value: float):
    with pytest.raises(ConfigurationError, match=f"{field} is {value}"):
        RetryPolicy(**{field: value})
