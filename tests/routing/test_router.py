"""The router: who is asked, who in its place, and what is told when nobody answers."""

import asyncio
import time
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
from polyvox.routing import Deployment, Pool, Retrying, RetryPolicy, Router
from polyvox.usage import FREE, UNKNOWN_COST, Cost, Usage

from .rig import Clock, Voice, ask, error_of, request, text_of

ELSEWHERE = [
    AuthenticationError,
    BudgetExceededError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
]
NOWHERE = [
    AbortedError,
    BadRequestError,
    ConfigurationError,
    ContentFilterError,
    ContextWindowExceededError,
]


def states(router: Router) -> list[str]:
    return [status.state for status in router.status()]


@pytest.mark.parametrize("kind", ELSEWHERE)
async def test_when_one_fails_another_is_asked(kind: type[PolyvoxError]):
    first, second = Voice(kind("x")), Voice("Hello.")
    assert await text_of(Router([first, second])) == "Hello."
    assert (first.asked, second.asked) == (1, 1)


@pytest.mark.parametrize("kind", NOWHERE)
async def test_when_the_request_is_at_fault_nobody_else_is_asked(kind: type[PolyvoxError]):
    first, second = Voice(kind("x")), Voice("Hello.")
    router = Router([first, second], fallbacks=[second])
    for asked in (1, 2, 3):
        assert type(await error_of(router)) is kind
        assert (first.asked, second.asked) == (asked, 0)
    assert states(router) == ["ready"] * 3


async def test_out_of_quota_is_a_matter_of_the_deployment():
    broke = RateLimitError("no money", status=429)
    broke.retryable = False
    router = Router([Voice(broke), Voice("Hello.")])
    assert await text_of(router) == "Hello."
    assert router.status()[0].seconds_left == pytest.approx(300, abs=5)


async def test_the_beginning_of_an_answer_that_was_given_up_is_never_seen():
    failing = Voice(
        [
            Start("test", "one"),
            TextStart(0),
            TextEnd(0, Text("")),
            Failed(ServerError("x"), AssistantMessage([])),
        ]
    )
    heard = await ask(Router([failing, Voice("Hello.")]))
    assert [event for event in heard if isinstance(event, Start)] == [Start()]


HALVES = {
    "text": [Start(), TextStart(0), TextDelta(0, "Hel"), TextEnd(0, Text("Hel"))],
    "a tool call": [
        Start(),
        ToolCallStart(0, "c1", "weather"),
        ToolCallDelta(0, '{"ci'),
        ToolCallEnd(0, ToolCall("c1", "weather", {}, '{"ci')),
    ],
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
async def test_an_answer_that_breaks_off_is_never_continued_by_another(half):
    other = Voice("Hello.")
    router = Router(
        [Voice([*half, Failed(NetworkError("cut"), AssistantMessage([]))])], fallbacks=[other]
    )
    heard = await ask(router)
    assert heard[:-1] == half
    assert (type(heard[-1].error), len(heard[-1].error.attempts), other.asked) == (
        NetworkError,
        1,
        0,
    )
    assert router.status()[0].failed == 1


async def test_each_deployment_is_asked_once_and_no_more_of_them_than_allowed():
    voices = [Voice(ServerError("x"), name=f"test/{n}") for n in range(9)]
    error = await error_of(Router(voices, attempts=4))
    assert [voice.asked for voice in voices] == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert [attempt.name for attempt in error.attempts] == ["test/0", "test/1", "test/2", "test/3"]
    assert "Asked 4 times in 0." in str(error)


async def test_of_several_failures_the_one_worth_another_try_is_told():
    voices = [Voice(OverloadedError("full")), Voice(AuthenticationError("no"))]
    assert type(await error_of(Router(voices))) is OverloadedError
    assert type(await error_of(Router([voices[1], Voice(ServerError("x"))]))) is ServerError


async def test_fallbacks_are_asked_when_all_have_failed_in_their_order():
    main = [Voice(ServerError("x")), Voice(RateLimitError("x"))]
    fallbacks = [Voice(NetworkError("x")), Voice("Hello."), Voice("Never.")]
    assert await text_of(Router(main, fallbacks=fallbacks)) == "Hello."
    assert [voice.asked for voice in [*main, *fallbacks]] == [1, 1, 1, 1, 0]


async def test_fallbacks_are_asked_while_all_cool():
    main, fallback = Voice(RateLimitError("x")), Voice("Hello.")
    router = Router([main], fallbacks=[fallback])
    assert [await text_of(router) for _ in range(3)] == ["Hello."] * 3
    assert (main.asked, fallback.asked) == (1, 3)


@pytest.mark.parametrize(
    ("kind", "role"),
    [(ContextWindowExceededError, "on_context_window"), (ContentFilterError, "on_content_filter")],
)
async def test_a_failure_of_its_own_kind_has_its_own_fallbacks(kind: type[PolyvoxError], role: str):
    main, wide, general = [Voice(kind("x")), Voice("Not me.")], Voice("Hello."), Voice("Nor me.")
    router = Router(main, fallbacks=[general], **{role: [Voice(kind("x too")), wide]})
    assert await text_of(router) == "Hello."
    assert [voice.asked for voice in [*main, general]] == [1, 0, 0]


async def test_a_fallback_that_fails_in_another_way_leads_to_those_for_that():
    main = [Voice(ServerError("x")), Voice(ServerError("x"))]
    small, wide = Voice(ContextWindowExceededError("x")), Voice(ServerError("x"))
    last = Voice("Hello.")
    router = Router(main, fallbacks=[small, last], on_context_window=[wide])
    assert await text_of(router) == "Hello."
    assert [voice.asked for voice in [*main, small, wide, last]] == [1, 1, 1, 1, 1]


async def test_the_deployments_are_not_asked_again_after_a_fallback():
    main = [Voice(ContextWindowExceededError("x")), Voice("Too small as well.")]
    router = Router(main, on_context_window=[Voice(ServerError("x"))])
    assert type(await error_of(router)) is ServerError
    assert main[1].asked == 0


@pytest.mark.parametrize("kind", [ServerError, ContextWindowExceededError, ContentFilterError])
async def test_a_call_may_do_without_fallbacks(kind: type[PolyvoxError]):
    other = Voice("Hello.")
    router = Router(
        [Voice(kind("x"))], fallbacks=[other], on_context_window=[other], on_content_filter=[other]
    )
    assert type(await error_of(router, Call(fallbacks=False))) is kind
    assert (
        type(await error_of(Retrying(router, RetryPolicy(attempts=1)), Call(fallbacks=False)))
        is kind
    )
    assert other.asked == 0


async def test_when_all_cool_the_error_comes_at_once_and_says_for_how_long():
    clock = Clock()
    busy = [Voice(RateLimitError("x", retry_after=seconds, status=429)) for seconds in (20, 8)]
    router = Router(Pool(busy, clock=clock), name="chat")
    await error_of(router)
    clock.now += 3
    error = await error_of(router)
    assert (type(error), error.retryable, error.retry_after) == (RateLimitError, True, 5)
    assert str(error) == (
        "none of the 2 deployments of 'chat' can be asked now\n"
        "test/voice#1 is cooling for 17 s after rate_limit (429);"
        " test/voice#2 is cooling for 5 s after rate_limit (429)."
    )
    assert [voice.asked for voice in busy] == [1, 1]


async def test_the_error_names_a_few_of_many():
    router = Router([Voice(RateLimitError("x", retry_after=9), name=f"test/{n}") for n in range(5)])
    await error_of(router)
    error = await error_of(router)
    assert "test/2" in str(error)
    assert str(error).endswith("; and 2 more.")


async def test_it_may_wait_until_a_cooldown_is_over():
    voice = Voice(RateLimitError("x", retry_after=0.05), "Hello.")
    router = Router([voice], wait_seconds=20)
    await error_of(router)
    assert await text_of(router) == "Hello."


async def test_it_waits_no_longer_than_allowed():
    voice = Voice(RateLimitError("x", retry_after=50))
    router = Router([voice], wait_seconds=0.02)
    await error_of(router)
    error = await error_of(router)
    assert (type(error), voice.asked) == (RateLimitError, 1)
    assert 49 < (error.retry_after or 0) < 50


async def test_it_may_wait_until_a_call_has_ended():
    gate = asyncio.Event()
    voice = Voice([gate, Failed(BadRequestError("x"), AssistantMessage([]))], "Hello.")
    router = Router([Deployment(voice, max_parallel=1)], wait_seconds=20)
    first = asyncio.create_task(error_of_unfinished(router))
    await voice.was_asked.wait()
    second = asyncio.create_task(text_of(router))
    while not router.pool._waiting:  # noqa: ASYNC110
        await asyncio.sleep(0)
    gate.set()
    assert await second == "Hello."
    assert type(await first) is BadRequestError


async def error_of_unfinished(router: Router) -> PolyvoxError:
    return (await ask(router))[-1].error


async def test_an_interrupt_ends_the_waiting():
    router, interrupt = (
        Router([Voice(RateLimitError("x", retry_after=50))], wait_seconds=20),
        Interrupt(),
    )
    await error_of(router)
    asking = asyncio.create_task(error_of(router, Call(interrupt=interrupt)))
    while not router.pool._waiting:  # noqa: ASYNC110
        await asyncio.sleep(0)
    interrupt.set("enough")
    error = await asking
    assert (type(error), error.text) == (AbortedError, "enough")
    assert error.message is not None
    assert error.message.stop_reason == "aborted"
    assert not router.pool._waiting


async def test_the_deadline_ends_the_waiting():
    router = Router([Voice(RateLimitError("x", retry_after=50))], wait_seconds=20)
    await error_of(router)
    assert type(await error_of(router, Call.timeout(0.02))) is RequestTimeoutError


async def test_after_an_interrupt_or_the_deadline_nobody_else_is_asked_nor_blamed():
    for call in (Call(interrupt=Interrupt()), Call(deadline=time.monotonic() + 3600)):
        gate = asyncio.Event()
        first = Voice([gate, Failed(RequestTimeoutError("late"), AssistantMessage([]))])
        second = Voice("Hello.")
        router = Router([Deployment(first, cooldowns={}), second], fallbacks=[second])
        asking = asyncio.create_task(ask(router, call))
        await first.was_asked.wait()
        if call.interrupt:
            call.interrupt.set()
        else:
            first.calls[0].deadline = time.monotonic()
        gate.set()
        assert type((await asking)[-1].error) is RequestTimeoutError
        assert second.asked == 0


async def test_a_router_is_a_model_and_may_be_a_deployment():
    inner = Router([Voice(ServerError("x")), Voice(ServerError("x"))], name="inner")
    outer = Router([inner, Voice("Hello.")], name="outer")
    assert await text_of(outer) == "Hello."
    assert [status.name for status in outer.status()] == ["inner", "test/voice"]


async def test_retrying_around_a_router_asks_it_again():
    voice = Voice(ServerError("x"), "Hello.")
    assert await text_of(Retrying(Router([voice]), RetryPolicy(base=0))) == "Hello."


async def test_two_routers_over_one_pool_see_the_same():
    pool = Pool([Voice(RateLimitError("x", retry_after=50)), Voice("Hello.")])
    await text_of(Router(pool))
    assert states(Router(pool)) == ["cooling", "ready"]


async def test_two_routers_of_the_same_models_know_nothing_of_each_other():
    voices = [Voice(RateLimitError("x", retry_after=50)), Voice("Hello.")]
    await text_of(Router(voices))
    assert states(Router(voices)) == ["ready", "ready"]


async def test_the_status_tells_how_each_one_does():
    clock, gate = Clock(), asyncio.Event()
    slow = Voice(
        [gate, Start(), TextStart(0), TextDelta(0, "Hi"), asyncio.Event()], name="test/slow"
    )
    failing = Voice(ServerError("x", status=500), name="test/failing")
    router = Router(Pool([Deployment(failing, name="a"), slow], clock=clock))
    stream = router.stream(request(), Call())
    beginning = asyncio.ensure_future(anext(stream))
    await slow.was_asked.wait()
    clock.now += 4
    gate.set()
    await beginning
    first, second = router.status()
    assert (first.name, first.model, first.state, first.asked, first.failed) == (
        "a",
        "test/failing",
        "ready",
        1,
        1,
    )
    assert first.last_error == "server (500)"
    assert (second.state, second.in_flight, second.answered, second.latency) == ("ready", 1, 1, 4.0)
    await stream.aclose()
    assert router.status()[1].in_flight == 0


async def test_the_quote_is_that_of_the_dearest():
    cheap = Voice(cost=Usage(10, 90, cost=Cost("known", 5)), name="test/cheap")
    dear = Voice(cost=Usage(20, 30, cost=Cost("known", 7)), name="test/dear")
    quote = quote_of(Router([cheap], fallbacks=[dear]), request())
    assert (quote.input_tokens, quote.output_tokens, quote.cost.nanos) == (20, 90, 7)
    free = Voice(cost=Usage(cost=FREE), name="test/free")
    assert quote_of(Router([free, cheap]), request()).cost.nanos == 5
    unknown = Voice(cost=Usage(cost=UNKNOWN_COST), name="test/unknown")
    assert quote_of(Router([dear, unknown]), request()).cost.status == "unknown"


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: Router([]), "no deployments"),
        (lambda: Router([Voice()], strategy="fastest"), "no strategy 'fastest'"),
        (lambda: Router([Voice()], attempts=0), "attempts is 0"),
        (lambda: Router([Voice()], wait_seconds=-1), "wait_seconds is -1"),
        (lambda: Deployment(Voice(), weight=0), "weight of the deployment 'test/voice' is 0"),
        (lambda: Deployment(Voice(), rpm=0.5), "rpm of"),
        (lambda: Deployment(Voice(), cooldowns={"sever": None}), "no kind of error 'sever'"),
    ],
)
def test_a_wrong_argument_is_named(build, complaint: str):
    with pytest.raises(ConfigurationError, match=complaint):
        build()


async def test_threads_share_a_router():
    voices = [Deployment(Voice(), max_parallel=400, weight=n) for n in (1, 2, 3)]
    router = Router(Pool(voices, "weighted", random=Random(1)))

    def many() -> None:
        async def all_of_them() -> None:
            await asyncio.gather(*(text_of(router) for _ in range(100)))

        asyncio.run(all_of_them())

    await asyncio.gather(*(asyncio.to_thread(many) for _ in range(4)))
    assert sum(status.answered for status in router.status()) == 400
    assert [status.in_flight for status in router.status()] == [0, 0, 0]
