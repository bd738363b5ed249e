"""What is given again, to whom, and how."""

import asyncio
import math
from collections import Counter
from contextlib import aclosing

import pytest
from hypothesis import given

from polyvox.assembly import fold, unfold
from polyvox.caching import Cached, CacheStore, MemoryCache
from polyvox.caching.answers import Answer, pack, replay, unpack
from polyvox.embedding import EmbeddingRequest
from polyvox.errors import AbortedError, ConfigurationError, RateLimitError
from polyvox.events import Done, Start, TextDelta, Warned
from polyvox.layers import layered
from polyvox.messages import (
    AssistantBlock,
    AssistantMessage,
    Image,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    user,
)
from polyvox.model import Call, Interrupt
from polyvox.providers.simulated.embedding import HashedWords
from polyvox.quote import quote_of
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.usage import Cost, Usage
from strategies import Carries, answers

from .rig import USED, Asked, Clock, answer, ask, listen, saying, soon, turns

NOTHING = Usage(cost=Cost("known"))


async def test_the_same_request_is_asked_once(store: CacheStore):
    model = Cached(inner := Asked(), store)
    first = await ask(model, *saying("Hi."))
    again = await ask(model, *saying("Hi."))
    other = await ask(model, *saying("Ho."))
    assert [first.text, again.text, other.text] == ["answer 1", "answer 1", "answer 2"]
    assert [first.cached, again.cached] == [False, True]
    assert inner.asked == 2
    stats = model.stats
    assert (stats.hits, stats.misses, stats.stored, stats.faults) == (1, 2, 2, 0)
    assert stats.saved == USED.cost
    assert stats.bytes > 0


async def test_an_answer_given_again_is_a_stream_used_nothing_and_asked_nobody(store: CacheStore):
    thought = answer("Hello there.", id="a1", response_model="one-2", request_id="r1")
    thought.content = [Thinking("Hm.", "sig", producer="test/one"), *thought.content]
    model = Cached(Asked(thought), store)
    await ask(model, *saying("Hi."))
    request, call = saying("Hi.")
    events = await listen(model, request, call)
    check_grammar(events)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["Hello there."]
    assert events[0] == Start("test", "one", "a1")
    assert events[-1].message == AssistantMessage(
        thought.content,
        usage=NOTHING,
        provider="test",
        model="one",
        response_model="one-2",
        id="a1",
        request_id="r1",
        cached=True,
    )
    assert call.attempts == []


@given(answers(Carries(broken_calls=False)))
async def test_what_is_stored_is_the_answer_and_is_told_by_the_grammar(message: AssistantMessage):
    kept = unpack(pack(Answer(message, [Warned("bent", "seed")])))
    assert kept.message == message
    events = [event async for event in replay(kept, Call())]
    check_grammar(events)
    assert events[-1].message.content == message.content
    assert fold(event for event in events if not isinstance(event, Done)).content == message.content


async def test_two_tenants_never_share_an_answer(store: CacheStore):
    model = Cached(inner := Asked(), store)
    texts = [(await ask(model, *saying("Hi.", tenant))).text for tenant in ("a", "b", "", "a")]
    assert texts == ["answer 1", "answer 2", "answer 3", "answer 1"]
    assert inner.asked == 3


async def test_two_models_in_one_store_never_share_an_answer(store: CacheStore):
    one, two = (Cached(Asked(answer(name), name=name), store) for name in ("test/a", "test/b"))
    await ask(one, *saying("Hi."))
    assert (await ask(two, *saying("Hi."))).text == "test/b"


async def test_an_answer_of_a_fallback_is_not_given_to_a_call_that_wants_none():
    model = Cached(Asked())
    await ask(model, *saying("Hi."))
    assert (await ask(model, *saying("Hi.", fallbacks=False))).text == "answer 2"


@pytest.mark.parametrize(
    ("scope", "calls", "texts"),
    [
        ("session", [{"session": "s"}, {"session": "t"}, {"session": "s"}], "121"),
        ("session", [{}, {}], "12"),
        ("tag:user", [{"tags": {"user": "u"}}, {"tags": {"user": "v"}}, {}, {}], "1234"),
        ("tag:user", [{"tags": {"user": "u", "x": "y"}}, {"tags": {"user": "u"}}], "11"),
        ("tenant", [{"session": "s"}, {"tags": {"user": "u"}}, {}], "111"),
    ],
)
async def test_the_scope_says_who_shares_within_a_tenant(scope: str, calls: list, texts: str):
    model = Cached(Asked(), scope=scope)
    said = [(await ask(model, *saying("Hi.", **call))).text[-1] for call in calls]
    assert "".join(said) == texts
    assert (await ask(model, *saying("Hi.", "other", **calls[0]))).text[-1] not in texts


async def test_a_call_may_skip_what_is_stored():
    model = Cached(Asked())
    texts = [
        (await ask(model, *saying("Hi.", caching=how))).text[-1]
        for how in ("skip", "use", "skip", "use")
    ]
    assert texts == ["1", "2", "3", "2"]
    assert (model.stats.skipped, model.stats.misses, model.stats.hits) == (2, 1, 1)


async def test_a_call_may_refresh_what_is_stored():
    model = Cached(Asked())
    texts = [
        (await ask(model, *saying("Hi.", caching=how))).text[-1]
        for how in ("use", "refresh", "use")
    ]
    assert texts == ["1", "2", "2"]


async def test_answers_are_kept_for_their_time_or_the_calls_own():
    clock = Clock(0.0)
    model = Cached(Asked(), MemoryCache(clock=clock), ttl=10)
    await ask(model, *saying("short", caching_ttl=5))
    await ask(model, *saying("usual"))
    await ask(model, *saying("long", caching_ttl=20))
    await ask(model, *saying("not at all", caching_ttl=0))
    found = []
    for clock.now in (0.0, 4.9, 5.0, 9.9, 10.0, 19.9, 20.0):
        hits = model.stats.hits
        for text in ("short", "usual", "long", "not at all"):
            await ask(model, *saying(text, caching_ttl=0))
        found.append(model.stats.hits - hits)
    assert found == [3, 3, 2, 2, 1, 1, 0]


@pytest.mark.parametrize("reason", ["content_filter", "pause"])
async def test_an_answer_cut_by_a_filter_or_to_be_gone_on_with_is_not_kept(reason: StopReason):
    await is_not_kept(answer("Half", stop_reason=reason))


@pytest.mark.parametrize(
    "content", [[], [Text("I call"), ToolCall("c", "weather", unparsed='{"ci')]]
)
async def test_an_answer_that_says_nothing_or_can_not_be_run_is_not_kept(content: list):
    await is_not_kept(AssistantMessage(content))


@pytest.mark.parametrize("error", [RateLimitError("slow down"), AbortedError("stop")])
async def test_errors_are_not_kept(error):
    model = Cached(inner := Asked(error))
    with pytest.raises(type(error)):
        await ask(model, *saying("Hi."))
    assert (await ask(model, *saying("Hi."))).text == "answer 2"
    assert inner.asked == 2
    assert model.stats.stored == 1


@pytest.mark.parametrize("reason", ["stop", "length", "stop_sequence", "refusal", "tool_calls"])
async def test_finished_answers_are_kept(reason: StopReason):
    model = Cached(inner := Asked(answer("All.", stop_reason=reason)))
    await ask(model, *saying("Hi."))
    assert (await ask(model, *saying("Hi."))).stop_reason == reason
    assert inner.asked == 1


async def is_not_kept(message: AssistantMessage) -> None:
    model = Cached(inner := Asked(message), store := MemoryCache())
    assert await ask(model, *saying("Hi.")) is message
    assert (len(store), model.stats.stored) == (0, 0)
    await ask(model, *saying("Hi."))
    assert inner.asked == 2


async def test_an_answer_left_before_its_end_is_not_kept():
    model = Cached(Asked(), store := MemoryCache())
    request, call = saying("Hi.")
    async with aclosing(model.stream(request, call)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert len(store) == 0
    assert [attempt.error for attempt in call.attempts] == ["aborted"]


async def test_a_hit_left_before_its_end_leaves_what_was_told_and_used_nothing():
    model = Cached(Asked())
    await ask(model, *saying("Hi."))
    request, call = saying("Hi.")
    async with aclosing(model.stream(request, call)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    assert call.partial is not None
    assert (call.partial.text, call.partial.stop_reason) == ("answer 1", "aborted")
    assert (call.partial.usage, call.partial.cached) == (NOTHING, True)


async def test_a_hit_left_at_its_end_was_no_partial_answer():
    model = Cached(Asked())
    await ask(model, *saying("Hi."))
    request, call = saying("Hi.")
    async with aclosing(model.stream(request, call)) as events:
        async for event in events:
            if isinstance(event, Done):
                break
    assert call.partial is None


async def test_what_the_reader_was_warned_of_is_said_again():
    model = Cached(Asked(warning="seed is dropped"))
    for _ in range(2):
        events = await listen(model, *saying("Hi."))
        check_grammar(events)
        assert events[1] == Warned("seed is dropped")


async def test_an_interrupted_call_is_not_even_given_what_is_stored():
    model = Cached(Asked())
    await ask(model, *saying("Hi."))
    interrupt = Interrupt()
    interrupt.set("enough")
    (event,) = await listen(model, *saying("Hi.", interrupt=interrupt))
    assert (event.error.text, event.error.provider) == ("enough", "test")
    assert (event.message.stop_reason, event.message.usage) == ("aborted", NOTHING)


async def test_a_reader_who_changes_an_answer_changes_only_their_own():
    model = Cached(Asked())
    for _ in range(3):
        message = await ask(model, *saying("Hi."))
        assert message.text == "answer 1"
        message.content.append(Text("mine"))


async def test_a_conversation_goes_on_in_the_cache():
    model = Cached(inner := Asked())
    for _ in range(2):
        messages = [user("Hi.")]
        messages.append(await ask(model, Request(messages=messages), Call()))
        messages.append(user("And?"))
        last = await ask(model, Request(messages=messages), Call())
    assert last.text == "answer 2"
    assert inner.asked == 2


async def test_an_answer_that_comes_from_a_cache_within_is_not_stored_anew():
    inner = Cached(Asked())
    await ask(inner, *saying("Hi."))
    outer = Cached(inner)
    assert [(await ask(outer, *saying("Hi."))).text for _ in range(2)] == ["answer 1"] * 2
    assert (outer.stats.hits, outer.stats.stored, inner.stats.hits) == (0, 0, 2)


async def test_what_is_forgotten_is_asked_again(store: CacheStore):
    model = Cached(inner := Asked(), store)
    for text in ("Hi.", "Ho."):
        await ask(model, *saying(text))
    await model.forget(*saying("Hi."))
    for text in ("Hi.", "Ho."):
        await ask(model, *saying(text))
    assert inner.asked == 3


class Broken:
    """A store that has a fault in everything, or gives what is no answer."""

    def __init__(self, given: bytes | None = None) -> None:
        self.given = given

    async def get(self, key: bytes) -> bytes | None:
        if self.given is None:
            raise RuntimeError("no store today")
        return self.given

    async def put(self, key: bytes, value: bytes, ttl: float) -> None:
        raise OSError("no room")

    async def delete(self, key: bytes) -> None: ...
    async def clear(self) -> None: ...


@pytest.mark.parametrize(
    "given", [None, b"", b"{", b'{"message": 1}', b"\xff\xfe", b"[" * 100_000, b"null"]
)
async def test_faults_of_a_store_are_misses_and_are_counted(given: bytes | None):
    model = Cached(Asked(), Broken(given))
    for number in (1, 2):
        assert (await ask(model, *saying("Hi."))).text == f"answer {number}"
        assert (model.stats.faults, model.stats.misses) == (2 * number, number)
    assert (model.stats.hits, model.stats.stored) == (0, 0)


async def test_an_answer_that_is_no_json_is_given_but_not_kept():
    odd = AssistantMessage([Text("Odd.", meta={"what": object()})])
    model = Cached(inner := Asked(odd))
    assert (await ask(model, *saying("Hi."))) is odd
    assert model.stats.faults == 1
    await ask(model, *saying("Hi."))
    assert inner.asked == 2


async def test_a_request_that_is_no_json_is_passed_on_uncached():
    model = Cached(inner := Asked())
    odd = Request(messages=[user("Hi.")], options={"test": {"odd": object()}})
    for _ in range(2):
        await ask(model, odd, Call())
    assert (inner.asked, model.stats.skipped) == (2, 2)


async def test_half_an_emoji_is_cached_like_any_other_text():
    model = Cached(inner := Asked(answer("\ud83d!")))
    for _ in range(2):
        message = await ask(model, *saying("half: \ud83d"))
    assert message.text == "\ufffd!"
    assert inner.asked == 1


async def test_a_cancelled_task_is_cancelled_and_asks_no_more():
    gate = asyncio.Event()
    model = Cached(inner := Asked(gate=gate))
    task = asyncio.create_task(ask(model, *saying("Hi.")))
    await inner.begun.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await turns()
    assert inner.asked == 1


def test_what_may_be_used_is_told_by_the_model_within():
    model = Cached(Asked())
    assert quote_of(model, Request(messages=[])) == USED
    assert model.name == "test/one"


@pytest.mark.parametrize("ttl", [0, -1, math.nan])
def test_a_time_that_is_none_is_an_error(ttl: float):
    with pytest.raises(ConfigurationError, match="ttl is"):
        Cached(Asked(), ttl=ttl)


@pytest.mark.parametrize("scope", ["", "global", "tag:", "tag", "Tenant"])
def test_a_scope_that_there_is_not_is_an_error(scope: str):
    with pytest.raises(ConfigurationError, match="no scope"):
        Cached(Asked(), scope=scope)


def test_a_message_says_in_json_that_it_was_cached():
    message = answer("Hi.", cached=True)
    assert list(unfold(message))[-1].message.cached
    assert b'"cached":true' in pack(Answer(message))
    assert b'"cached"' not in pack(Answer(answer("Hi.")))


async def test_a_picture_is_warned_of_once_also_when_it_is_given_again():
    message = AssistantMessage(
        [Text("Here."), Image(b"\x89PNG\r\n\x1a\n")], usage=USED, provider="test", model="one"
    )
    model = Cached(Asked(message))
    first = await listen(model, *saying("Draw."))
    again = await listen(model, *saying("Draw."))
    assert [first[-1].message.cached, again[-1].message.cached] == [False, True]
    assert Counter(map(repr, again[:-1])) == Counter(map(repr, first[:-1]))


@pytest.mark.parametrize("content", [[Text("")], [Thinking("Hm.")], [Thinking("Hm."), Text("")]])
async def test_an_answer_that_says_nothing_is_not_kept(content: list[AssistantBlock]):
    empty = AssistantMessage(content, usage=USED, provider="test", model="one")
    inner = Asked(empty)
    model = Cached(inner)
    await ask(model, *saying("Hi."))
    assert (await ask(model, *saying("Hi."))).text == "answer 2"


async def test_a_call_cancelled_while_its_answer_is_stored_has_the_answer_in_its_books():
    storing = asyncio.Event()

    class Slow(MemoryCache):
        async def put(self, key: bytes, value: bytes, ttl: float) -> None:
            storing.set()
            await asyncio.Event().wait()

    request, call = saying("Hi.")
    task = asyncio.ensure_future(listen(Cached(Asked(), Slow()), request, call))
    await soon(storing.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert call.partial is not None
    assert call.partial.text == "answer 1"


async def test_vectors_are_never_taken_from_a_cache_nor_put_there():
    model = layered(HashedWords(), Cached)
    request = EmbeddingRequest(inputs=["cats"])
    first = await model.embed(request, Call())
    assert (await model.embed(request, Call())).vectors == first.vectors
