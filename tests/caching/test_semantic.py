"""Answers to similar questions: when they are given, and when never."""

import asyncio
import math
from collections.abc import Callable
from functools import partial

import pytest
from msgspec.structs import replace

from polyvox.caching import Cached, SemanticCache, SimilarTexts, same_facts
from polyvox.caching.similar import direction
from polyvox.errors import AbortedError, ConfigurationError, RequestTimeoutError
from polyvox.events import Warned
from polyvox.messages import Image, Text, ToolMessage, UserMessage, assistant, user
from polyvox.model import Call, Interrupt
from polyvox.quote import quote_of
from polyvox.request import Request, ToolDefinition
from polyvox.testing import check_grammar

from .rig import USED, Asked, Clock, answer, ask, listen, saying, soon, turns

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def letters(text: str) -> list[float]:
    """A vector that hardly tells texts of the same letters apart."""
    return [float(text.lower().count(each)) for each in ALPHABET]


def semantic(inner: Asked | None = None, **settings: object) -> SemanticCache:
    given = {"embed": letters, "threshold": 0.9} | settings
    return SemanticCache(inner or Asked(), **given)


async def test_a_similar_question_gets_the_answer_of_the_first_and_its_reader_is_told_so():
    model = semantic(inner := Asked())
    await ask(model, *saying("Why is the sky blue?"))
    request, call = saying("why is the blue sky?")
    events = await listen(model, request, call)
    check_grammar(events)
    assert events[-1].message.text == "answer 1"
    assert events[-1].message.cached
    assert [event.text for event in events if isinstance(event, Warned)] == [
        "this is the stored answer to a similar question (likeness 1.000)"
    ]
    assert (inner.asked, call.attempts) == (1, [])
    assert (model.stats.hits, model.stats.misses, model.stats.saved) == (1, 1, USED.cost)


async def test_another_question_is_asked():
    model = semantic(inner := Asked())
    await ask(model, *saying("Why is the sky blue?"))
    await ask(model, *saying("My jumpy cat?"))
    assert inner.asked == 2


async def test_the_nearest_of_several_is_given():
    model = semantic(Asked(), threshold=0.5)
    for text in ("aaaaab", "aaabbb", "abbbbb"):
        await ask(model, *saying(text, caching="refresh"))
    given = [(await ask(model, *saying(text))).text for text in ("baaaaa", "ababab", "bbabbb")]
    assert given == ["answer 1", "answer 2", "answer 3"]


async def test_two_tenants_never_share_an_answer():
    model = semantic(inner := Asked())
    for tenant in ("a", "b", ""):
        await ask(model, *saying("Why is the sky blue?", tenant))
    assert inner.asked == 3
    await ask(model, *saying("Why is the blue sky?", "b"))
    assert inner.asked == 3


BASE = Request(messages=[user("Hi."), assistant("Hello."), user("Why is the sky blue?")])
LIKE = user("Why is the blue sky?")


@pytest.mark.parametrize(
    "change",
    [
        lambda request: replace(request, system=[Text("Be brief.")]),
        lambda request: replace(request, tools=[ToolDefinition("weather")]),
        lambda request: replace(request, temperature=0.5),
        lambda request: replace(request, options={"test": {"a": 1}}),
        lambda request: replace(request, messages=request.messages[2:]),
        lambda request: replace(
            request, messages=[user("Ho."), assistant("Hello."), *request.messages[2:]]
        ),
        lambda request: replace(
            request,
            messages=[
                *request.messages[:2],
                UserMessage([*LIKE.content, Image(url="https://img.example/a.png")]),
            ],
        ),
    ],
)
async def test_only_the_last_text_may_differ(change: Callable[[Request], Request]):
    model = semantic(inner := Asked())
    await ask(model, BASE, Call())
    like = replace(BASE, messages=[*BASE.messages[:2], LIKE])
    assert (await ask(model, like, Call())).cached
    assert not (await ask(model, change(like), Call())).cached
    assert inner.asked == 2


NEAR_MISSES = [
    ("Coffee with milk?", "Coffee without milk?"),
    ("May I return it within 30 days?", "May I return it within 90 days?"),
    ("Is this mushroom safe?", "Is this mushroom not safe?"),
    ("Can I take it?", "Can't I take it?"),
    ("Can I take it?", "Can\u2019t I take it?"),
    ("What is 3 minus 5?", "What is 5 minus 3?"),
    ("It costs 1.5 euros?", "It costs 15 euros?"),
    ("Is it open before noon?", "Is it open after noon?"),
    ("Two tickets, please?", "Three tickets, please?"),
    ("How do I enable it?", "How do I disable it?"),
    ("What is the maximum?", "What is the minimum?"),
    ("Who came first?", "Who came last?"),
    ("Who was born on 1999-01-02?", "Who was born on 1999-02-01?"),
]


@pytest.mark.parametrize(("one", "other"), NEAR_MISSES)
async def test_near_misses_are_asked_however_near_they_are(one: str, other: str):
    def all_alike(text: str) -> list[float]:
        return [1.0, 2.0]

    model = semantic(inner := Asked(), embed=all_alike)
    assert (await ask(model, *saying(one))).text == "answer 1"
    assert (await ask(model, *saying(other))).text == "answer 2"
    assert (await ask(model, *saying(one))).text == "answer 1"
    assert inner.asked == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I brew coffee?", "How is coffee brewed?"),
        ("Opening hours on 24 December?", "When do you open on December 24?"),
        ("I don't know why.", "I do not know why."),
        # What the words don't tell: here the threshold is all there is.
        ("The weather in Oslo?", "The weather in Bergen?"),
        ("Does Ann owe Bob?", "Does Bob owe Ann?"),
    ],
)
def test_what_the_words_do_not_tell_apart(one: str, other: str):
    assert same_facts(one, other)


async def test_the_test_of_the_words_may_be_the_users_own():
    seen: list[tuple[str, str]] = []

    def alike(one: str, other: str) -> bool:
        seen.append((one, other))
        return "Oslo" not in one

    model = semantic(inner := Asked(), embed=lambda text: [1.0], alike=alike)
    for text in ("Rain in Bergen?", "Rain in Oslo?", "Rain in Rome?"):
        await ask(model, *saying(text))
    assert seen[0] == ("Rain in Oslo?", "Rain in Bergen?")
    assert inner.asked == 2


class Vectors:
    async def __call__(self, text: str) -> list[float]:
        return letters(text)


async def test_a_coroutine_function_may_give_the_vectors():
    async def embed(text: str) -> list[float]:
        return letters(text)

    for given in (embed, partial(embed), Vectors()):
        model = semantic(inner := Asked(), embed=given)
        await ask(model, *saying("Why is the sky blue?"))
        await ask(model, *saying("Why is the blue sky?"))
        assert inner.asked == 1


@pytest.mark.parametrize(
    "vector", [[], [0.0, 0.0], [math.nan], [math.inf, 1.0], ["a"], None, ValueError("no")]
)
async def test_a_text_without_a_vector_is_asked_and_the_fault_counted(vector: object):
    def embed(text: str) -> object:
        if isinstance(vector, Exception):
            raise vector
        return vector

    model = semantic(inner := Asked(), embed=embed)
    for _ in range(2):
        await ask(model, *saying("Hi there."))
    assert (inner.asked, model.stats.faults, model.stats.stored) == (2, 2, 0)


async def test_vectors_of_another_length_are_never_compared():
    vectors = iter([[1.0, 0.0], [1.0, 0.0, 0.0]])
    model = semantic(inner := Asked(), embed=lambda text: next(vectors))
    for text in ("Hi there.", "Hi, there."):
        await ask(model, *saying(text))
    assert inner.asked == 2


async def hangs(text: str) -> list[float]:
    await asyncio.Event().wait()
    raise AssertionError


async def test_who_waits_for_a_vector_can_be_interrupted_and_has_a_deadline():
    model = semantic(inner := Asked(), embed=hangs)
    interrupt = Interrupt()
    task = asyncio.create_task(ask(model, *saying("Hi.", interrupt=interrupt)))
    await turns()
    interrupt.set("enough")
    with pytest.raises(AbortedError, match="enough"):
        await soon(task)
    with pytest.raises(RequestTimeoutError):
        await ask(model, saying("Hi.")[0], Call.timeout(0.01))
    assert inner.asked == 0


async def test_a_vector_that_does_not_come_is_a_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("polyvox.caching.semantic._EMBED_SECONDS", 0.01)
    model = semantic(embed=hangs)
    assert (await ask(model, *saying("Hi."))).text == "answer 1"
    assert model.stats.faults == 1


async def test_a_call_may_skip_or_refresh_and_say_for_how_long():
    clock = Clock(0.0)
    model = semantic(texts=SimilarTexts(clock=clock), ttl=10)
    texts = [
        (await ask(model, *saying("Why?", caching=how))).text[-1]
        for how in ("skip", "use", "skip", "use", "refresh", "use")
    ]
    assert texts == ["1", "2", "3", "2", "4", "4"]
    assert len(model.texts) == 1
    await ask(model, *saying("Who?", caching="refresh", caching_ttl=0))
    assert len(model.texts) == 1
    clock.now = 10.0
    assert (await ask(model, *saying("Why?"))).text == "answer 6"


@pytest.mark.parametrize(
    "request_",
    [
        Request(messages=[user("Hi."), assistant("Hello.")]),
        Request(messages=[ToolMessage("c", [Text("rain")])]),
        Request(messages=[user(Image(url="https://img.example/a.png"))]),
        Request(messages=[user("  ")]),
        Request(messages=[]),
    ],
)
async def test_without_a_text_of_the_user_at_the_end_it_is_passed_on(request_: Request):
    model = semantic(inner := Asked())
    for _ in range(2):
        await ask(model, request_, Call())
    assert (inner.asked, model.stats.skipped, len(model.texts)) == (2, 2, 0)


async def test_what_is_not_worth_keeping_is_not_kept():
    model = semantic(Asked(answer("Half", stop_reason="pause"), AbortedError("stop")))
    await ask(model, *saying("Hi there."))
    with pytest.raises(AbortedError):
        await ask(model, *saying("Hi there."))
    assert len(model.texts) == 0


async def test_below_an_exact_cache_a_similar_answer_is_not_stored_as_the_exact_one():
    exact = Cached(semantic(Asked()))
    await ask(exact, *saying("Why is the sky blue?"))
    await ask(exact, *saying("Why is the blue sky?"))
    assert (exact.stats.stored, exact.stats.misses) == (1, 2)


async def test_many_texts_are_searched_beside_the_event_loop():
    texts = SimilarTexts(max_entries=400)
    for number in range(400):
        vector = [0.0] * 600
        vector[number] = 1.0
        texts.add(b"g", f"text {number}", direction(vector), b"%d" % number, 60)
    wanted = [0.0] * 600
    wanted[77], wanted[78] = 1.0, 0.1
    found = await texts.find(b"g", direction(wanted), 0.9, lambda text: True)
    assert found is not None
    assert found[0] == b"77"
    assert await texts.find(b"other", direction(wanted), 0.9, lambda text: True) is None


def test_what_was_used_least_goes_first_by_number_and_by_size():
    up = direction([1.0, 0.0])
    texts = SimilarTexts(max_entries=2)
    for name in "abc":
        texts.add(b"g", name, up, b"", 60)
    assert list(texts._order) == [(b"g", "b"), (b"g", "c")]
    texts.add(b"h", "d", up, b"", 60)
    texts.add(b"h", "e", up, b"", 60)
    assert set(texts._groups) == {b"h"}
    small = SimilarTexts(max_bytes=2_000)
    for name in "abc":
        small.add(b"g", name, up, b"x" * 300, 60)
    assert len(small) == 2
    small.add(b"g", "large", up, b"x" * 3_000, 60)
    assert len(small) == 2
    small.clear()
    assert (len(small), small._bytes) == (0, 0)


def test_the_threshold_must_be_given_and_be_a_cosine():
    with pytest.raises(TypeError, match="threshold"):
        SemanticCache(Asked(), embed=letters)
    for threshold in (0, -1, 1.1, math.nan):
        with pytest.raises(ConfigurationError, match="threshold is"):
            semantic(threshold=threshold)


def test_what_may_be_used_is_told_by_the_model_within():
    assert quote_of(semantic(), BASE) == USED
    assert semantic().name == "test/one"


async def test_a_judge_of_likeness_that_fails_is_a_miss():
    def broken(one: str, other: str) -> bool:
        raise KeyError(one)

    model = SemanticCache(Asked(), embed=lambda text: [1.0, 0.0], threshold=0.9, alike=broken)
    await ask(model, *saying("One."))
    assert (await ask(model, *saying("Another."))).text == "answer 2"
    assert (model.stats.faults, model.stats.hits) == (1, 0)
