"""Embeddings as programs ask for them: all three faces, batches, and every way that they fail."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator
from typing import Any

import pytest

import polyvox
from polyvox import AsyncClient, Client, Interrupt, Timeouts
from polyvox.dialects import Quirks
from polyvox.dialects.quirks import EmbedQuirks
from polyvox.embedding import EmbeddingRequest, Embeddings
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    MissingKeyError,
    NetworkError,
    NotFoundError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
)
from polyvox.http import HttpRequest
from polyvox.model import Call
from polyvox.providers import Registry
from polyvox.providers.batches import CONCURRENT, cut
from polyvox.providers.simulated.embedding import vector_of
from polyvox.routing import Retrying, RetryPolicy
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import FREE

SERVED = ["openai-chat", "openai-responses", "gemini", "ollama"]
KEY = "sk-canary-0123456789"
MODEL = "lab/m1"


@pytest.fixture(params=SERVED)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


def lab(url: str, dialect: str = "openai-chat", **embed: Any) -> dict[str, Any]:
    quirks = Quirks(embed=EmbedQuirks(**embed)) if embed else Quirks()
    return {"lab": polyvox_row(url, dialect, quirks)}


def polyvox_row(url: str, dialect: str, quirks: Quirks) -> Any:
    from polyvox.providers import Provider

    return Provider(
        name="lab", title="Lab", base_url=url, dialect=dialect, auth="none", quirks=quirks
    )


def near(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


# All three faces


async def test_texts_become_vectors_in_their_order(dialect: str):
    async with (
        MockProvider(dialect) as mock,
        AsyncClient(providers=lab(mock.url, dialect)) as client,
    ):
        result = await client.embed(MODEL, ["cats", "dogs and cats"], dimensions=8)
    assert result.vectors == [vector_of("cats", 8), vector_of("dogs and cats", 8)]
    assert (result.provider, result.model) == ("lab", "m1")
    assert result.usage.input_tokens == 4
    assert result.usage.basis == "reported"
    assert result.dropped == ()
    [asked] = mock.requests
    assert asked.embedding is not None
    assert (asked.embedding.inputs, asked.embedding.model) == (["cats", "dogs and cats"], "m1")


def test_the_synchronous_client_does_the_same(dialect: str):
    with MockProvider(dialect) as mock, Client(providers=lab(mock.url, dialect)) as client:
        assert client.embed(MODEL, "cats").vectors == [vector_of("cats")]


def test_a_script_needs_one_line(monkeypatch: pytest.MonkeyPatch):
    with MockProvider("openai-chat") as mock:
        monkeypatch.setenv("OPENAI_BASE_URL", mock.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        result = polyvox.embed("openai/text-embedding-3-small", ["cats", "dogs"])
    assert len(result.vectors) == 2
    assert (result.usage.input_tokens, str(result.usage.cost)) == (2, "$0.00000004")
    assert json.loads(mock.requests[0].body)["encoding_format"] == "base64"


def test_a_price_that_nobody_knows_stays_unknown():
    with MockProvider("openai-chat") as mock, Client(providers=lab(mock.url)) as client:
        assert client.embed(MODEL, "cats").usage.cost.status == "unknown"


def test_gemini_knows_what_the_vectors_are_for():
    with MockProvider("gemini") as mock, Client(providers=lab(mock.url, "gemini")) as client:
        result = client.embed(MODEL, "cats", task="query")
    assert result.dropped == ()
    assert mock.requests[0].embedding is not None
    assert mock.requests[0].embedding.task == "query"


def test_a_task_that_the_provider_has_no_word_for_is_told_as_dropped():
    with MockProvider("ollama") as mock, Client(providers=lab(mock.url, "ollama")) as client:
        [(field, text)] = client.embed(MODEL, "cats", task="query").dropped
    assert field == "task"
    assert "no word" in text


async def test_an_embedder_of_ones_own_is_asked_like_any_other():
    class Lengths:
        name = "own/lengths"

        async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
            return Embeddings(vectors=[[float(len(text))] for text in request.inputs])

    async with AsyncClient() as client:
        assert (await client.embed(Lengths(), ["a", "abc"])).vectors == [[1.0], [3.0]]


# What is wrong before anything is sent


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([], "inputs is empty"),
        ("", r"inputs\[0\] is empty"),
        (["a", ""], r"inputs\[1\] is empty"),
        (["a", 7], r"inputs\[1\] is a int"),
        (["a", None], r"inputs\[1\] is a NoneType"),
        (7, "inputs is a int"),
        ({"a": 1}, "inputs is a dict"),
        (b"a", "inputs is a bytes"),
    ],
)
async def test_inputs_that_are_none_are_named_before_anything_is_sent(inputs: Any, text: str):
    async with (
        MockProvider("openai-chat") as mock,
        AsyncClient(providers=lab(mock.url)) as client,
    ):
        with pytest.raises(BadRequestError, match=text) as caught:
            await client.embed(MODEL, inputs)
        assert caught.value.hint
        assert mock.requests == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"dimensions": 0}, "dimensions is 0"),
        ({"dimensions": "8"}, "dimensions"),
        ({"task": "searching"}, "It may be 'query', 'document'"),
        ({"options": {"openai": 7}}, "options"),
        ({"dimension": 8}, "Did you mean 'dimensions'"),
    ],
)
def test_settings_that_are_none_are_named(settings: dict[str, Any], text: str):
    with pytest.raises(BadRequestError) as caught:
        polyvox.embed("simulated/embedding", "a", **settings)
    assert text in str(caught.value)


def test_a_provider_without_embeddings_says_so_and_names_others():
    with Client() as client, pytest.raises(NotFoundError, match="no embeddings") as caught:
        client.embed("anthropic/claude-sonnet-4-5", "a")
    assert caught.value.provider == "anthropic"
    assert "openai/text-embedding-3-small" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("text-embedding-3-small", ConfigurationError),
        ("simulated/echo", ConfigurationError),
        ("nobody/m1", ConfigurationError),
        ("mistral/mistral-embed", MissingKeyError),
    ],
)
def test_names_that_mean_nothing_raise_as_for_models(
    name: str, error: type[PolyvoxError], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with Client() as client, pytest.raises(error):
        client.embed(name, "a")


def test_an_embedding_model_does_not_talk():
    with Client() as client, pytest.raises(ConfigurationError, match="vectors"):
        client.complete("simulated/embedding", "Hello?")


# Batches


class Answer:
    status = 200

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.status = status
        self.headers = {"x-request-id": "req_1"}
        self.body = self._body(body)

    async def _body(self, body: bytes) -> AsyncGenerator[bytes]:
        yield body

    async def aclose(self) -> None:
        await self.body.aclose()


class Office:
    """A transport whose requests wait until they are answered by hand, in any order."""

    def __init__(self) -> None:
        self.open: dict[str, asyncio.Future[Answer]] = {}
        self.most = 0
        self.cancelled: list[str] = []
        self.changed = asyncio.Event()

    async def send(self, request: HttpRequest) -> Answer:
        first = json.loads(request.body)["input"][0]
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.open[first] = answer
        self.most = max(self.most, len(self.open))
        self.changed.set()
        try:
            return await answer
        except asyncio.CancelledError:
            self.cancelled.append(first)
            raise
        finally:
            del self.open[first]
            self.changed.set()

    async def until(self, *firsts: str) -> None:
        while set(self.open) != set(firsts):
            self.changed.clear()
            await self.changed.wait()

    def answer(self, first: str, *numbers: float) -> None:
        entries = [{"index": i, "embedding": [n]} for i, n in enumerate(numbers)]
        usage = {"prompt_tokens": 10 * len(numbers), "total_tokens": 10 * len(numbers)}
        body = json.dumps({"data": entries, "model": "m1", "usage": usage}).encode()
        self.open[first].set_result(Answer(body))

    def refuse(self, first: str, error: Exception | None = None) -> None:
        if error is not None:
            self.open[first].set_exception(error)
            return
        body = json.dumps({"error": {"message": f"slow down, {KEY}"}}).encode()
        self.open[first].set_result(Answer(body, 429))


def asked(office: Office, inputs: list[str], call: Call | None = None, **settings: Any):
    """One embedding under way, in batches of one text."""
    timeouts, layers = settings.pop("timeouts", None), settings.pop("layers", None)
    registry = Registry(
        office, providers=lab("http://lab.test/v1", batch=1, **settings), timeouts=timeouts
    )
    embedder = registry.embedder(MODEL, layers=layers)
    return asyncio.create_task(embedder.embed(EmbeddingRequest(inputs=inputs), call or Call()))


async def test_more_texts_than_a_request_holds_are_sent_in_several_and_stay_in_order():
    texts = [f"text {number}" for number in range(5)]
    async with (
        MockProvider("openai-chat") as mock,
        AsyncClient(providers=lab(mock.url, batch=2)) as client,
    ):
        result = await client.embed(MODEL, texts)
    assert result.vectors == [vector_of(text) for text in texts]
    assert sorted(len(json.loads(asked.body)["input"]) for asked in mock.requests) == [1, 2, 2]
    assert result.usage.input_tokens == 10


async def test_answers_out_of_turn_are_put_in_order_and_a_few_are_asked_at_once():
    office, texts = Office(), list("abcdef")
    task = asked(office, texts)
    await office.until(*"abcd")
    office.answer("d", 3)
    await office.until(*"abce")
    for place, text in ((0, "a"), (1, "b"), (2, "c"), (4, "e")):
        office.answer(text, place)
    await office.until("f")
    office.answer("f", 5)
    result = await task
    assert result.vectors == [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]]
    assert result.usage.input_tokens == 60
    assert office.most == CONCURRENT


async def test_the_first_failure_ends_the_rest_and_says_what_was_charged():
    office, call = Office(), Call()
    task = asked(office, list("abcdefg"), call)
    await office.until(*"abcd")
    office.answer("a", 1)
    await office.until(*"bcde")
    office.refuse("b")
    with pytest.raises(RateLimitError) as caught:
        await task
    assert sorted(office.cancelled) == ["c", "d", "e"]
    error = caught.value
    assert (error.provider, error.model, error.status) == ("lab", "m1", 429)
    assert error.message is not None
    assert error.message.content == []
    assert error.message.stop_reason == "error"
    # 10 tokens of "a", nothing for "b", estimates for the three that were broken off.
    usages = [attempt.usage.input_tokens for attempt in call.attempts]
    assert (len(usages), usages[:2]) == (5, [10, 0])
    assert error.message.usage.input_tokens == sum(usages) > 10
    assert error.message.usage.basis == "partial"


async def test_only_the_request_that_failed_is_sent_again():
    office, call = Office(), Call()
    at_once = RetryPolicy(base=0)
    task = asked(office, list("abc"), call, layers=lambda model: Retrying(model, at_once))
    await office.until(*"abc")
    office.answer("a", 1)
    office.answer("c", 3)
    await office.until("b")
    office.refuse("b")
    await office.until()
    await office.until("b")
    office.answer("b", 2)
    result = await task
    assert result.vectors == [[1.0], [2.0], [3.0]]
    assert result.usage.input_tokens == 30
    assert sorted(attempt.status or 200 for attempt in call.attempts) == [200, 200, 200, 429]


async def test_the_key_is_masked_in_what_a_provider_repeats():
    office = Office()
    registry = Registry(
        office, keys={"openai": KEY}, base_urls={"openai": "http://lab.test/v1"}, environ={}
    )
    embedder = registry.embedder("openai/m1")
    task = asyncio.create_task(embedder.embed(EmbeddingRequest(inputs=["a"]), Call()))
    await office.until("a")
    office.refuse("a")
    with pytest.raises(RateLimitError, match="slow down") as caught:
        await task
    assert KEY not in str(caught.value)


async def test_a_connection_that_breaks_is_told_as_itself():
    office = Office()
    task = asked(office, ["a"])
    await office.until("a")
    office.refuse("a", NetworkError("connection reset"))
    with pytest.raises(NetworkError, match="reset") as caught:
        await task
    assert caught.value.message is not None
    assert caught.value.message.usage.input_tokens == 0


async def test_a_cancelled_task_leaves_what_was_charged_with_its_call():
    office, call = Office(), Call()
    task = asked(office, list("ab"), call)
    await office.until(*"ab")
    office.answer("a", 1)
    await office.until("b")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert office.cancelled == ["b"]
    assert call.partial is not None
    assert call.partial.usage.input_tokens > 10
    assert call.partial.stop_reason == "aborted"


async def test_an_interrupt_ends_all_that_is_under_way():
    office, interrupt = Office(), Interrupt()
    task = asked(office, list("abcdef"), Call(interrupt=interrupt))
    await office.until(*"abcd")
    interrupt.set("enough")
    with pytest.raises(AbortedError, match="enough") as caught:
        await task
    assert office.open == {}
    assert caught.value.message is not None
    assert caught.value.message.stop_reason == "aborted"


async def test_an_interrupt_set_before_costs_nothing_and_sends_nothing():
    office, interrupt = Office(), Interrupt()
    interrupt.set("never mind")
    call = Call(interrupt=interrupt)
    with pytest.raises(AbortedError, match="never mind") as caught:
        await asked(office, list("ab"), call)
    assert (office.most, call.attempts) == (0, [])
    assert caught.value.message is not None
    assert str(caught.value.message.usage.cost) == "$0.00"


@pytest.mark.parametrize(
    ("timeouts", "phase"),
    [(Timeouts(first_byte=0.01), "first_byte"), (Timeouts(total=0.01), "total")],
)
async def test_a_provider_that_never_answers_is_a_timeout(timeouts: Timeouts, phase: str):
    with pytest.raises(RequestTimeoutError) as caught:
        await asked(Office(), list("ab"), timeouts=timeouts)
    assert caught.value.phase == phase
    assert caught.value.message is not None
    assert caught.value.message.usage.basis == "partial"


def test_a_timeout_is_for_all_of_it():
    with (
        MockProvider("openai-chat", knobs=Knobs(delay_headers=3600)) as mock,
        Client(providers=lab(mock.url)) as client,
        pytest.raises(RequestTimeoutError) as caught,
    ):
        client.embed(MODEL, "a", timeout=0.05)
    assert caught.value.phase == "total"


def test_batches_hold_so_many_texts_and_so_many_tokens():
    assert cut(list("abcde"), 2, None) == [["a", "b"], ["c", "d"], ["e"]]
    # Four characters are a token by the estimate, half of the tokens are planned with.
    four = "x" * 16
    assert cut([four] * 5, 100, 16) == [[four, four], [four, four], [four]]
    assert cut(["a", "x" * 400, "b"], 100, 16) == [["a"], ["x" * 400], ["b"]]
    assert cut([], 2, None) == []


# Answers that are none


@pytest.mark.parametrize(
    ("vectors", "text"),
    [
        ([[1.0]], "2 texts were sent, but 1 vectors came back"),
        ([[1.0], [2.0], [3.0]], "2 texts were sent, but 3 vectors came back"),
        ([[1.0], [2.0, 3.0]], r"different lengths: \[1, 2\]"),
        ([[], []], "empty"),
        ([["x"], [1.0]], "no embeddings"),
        (["AADAfw==", "AACAPw=="], "no number"),
    ],
)
async def test_an_answer_that_does_not_fit_is_a_protocol_error(vectors: list[Any], text: str):
    office, call = Office(), Call()
    registry = Registry(office, providers=lab("http://lab.test/v1"))
    request = EmbeddingRequest(inputs=["a", "b"])
    task = asyncio.create_task(registry.embedder(MODEL).embed(request, call))
    await office.until("a")
    entries = [{"index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    body = {"data": entries, "usage": {"prompt_tokens": 9}}
    office.open["a"].set_result(Answer(json.dumps(body).encode()))
    with pytest.raises(ProtocolError, match=text) as caught:
        await task
    assert caught.value.request_id == "req_1"
    assert caught.value.message is not None
    assert caught.value.message.usage.input_tokens > 0


async def test_batches_whose_vectors_differ_in_length_are_a_protocol_error():
    office = Office()
    task = asked(office, list("ab"))
    await office.until(*"ab")
    office.answer("a", 1)
    await office.until("b")
    entry = {"embedding": [1.0, 2.0]}
    office.open["b"].set_result(Answer(json.dumps({"data": [entry]}).encode()))
    with pytest.raises(ProtocolError, match="different lengths") as caught:
        await task
    assert caught.value.message is not None
    assert caught.value.message.usage.input_tokens > 10


async def test_a_length_that_was_not_kept_is_told():
    office = Office()
    registry = Registry(office, providers=lab("http://lab.test/v1"))
    request = EmbeddingRequest(inputs=["a"], dimensions=8)
    task = asyncio.create_task(registry.embedder(MODEL).embed(request, Call()))
    await office.until("a")
    office.answer("a", 1)
    assert (await task).dropped == (
        ("dimensions", "not kept: the vectors have 1 dimensions, not 8"),
    )


@pytest.mark.parametrize(
    ("knobs", "error"),
    [
        (Knobs(status=401), AuthenticationError),
        (Knobs(status=429), RateLimitError),
        (Knobs(body="empty"), ProtocolError),
        (Knobs(body="html"), ProtocolError),
        (Knobs(malformed_chunk=0), ProtocolError),
        (Knobs(cut_after=20), NetworkError),
    ],
)
async def test_what_goes_wrong_at_a_provider_is_the_same_error_everywhere(
    dialect: str, knobs: Knobs, error: type[PolyvoxError]
):
    async with (
        MockProvider(dialect, knobs=knobs) as mock,
        AsyncClient(providers=lab(mock.url, dialect)) as client,
    ):
        with pytest.raises(error) as caught:
            await client.embed(MODEL, "a")
    assert (caught.value.provider, caught.value.model) == ("lab", "m1")
    assert caught.value.message is not None


# simulated/embedding


def test_simulated_vectors_are_near_for_texts_that_share_words():
    one, same, other = polyvox.embed(
        "simulated/embedding",
        ["The cat sat on the mat.", "A cat is on the mat", "Quarterly revenue rose"],
    ).vectors
    assert near(one, same) > 0.5 > near(one, other)


@pytest.mark.parametrize("text", ["cats", "!", "猫", "\ud800", "a" * 10_000])
@pytest.mark.parametrize("dimensions", [1, 2, 256])
def test_simulated_vectors_have_length_one(text: str, dimensions: int):
    [vector] = polyvox.embed("simulated/embedding", text, dimensions=dimensions).vectors
    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-6)


def test_simulated_embeddings_are_free_and_counted():
    usage = polyvox.embed("simulated/embedding", ["one two", "three"]).usage
    assert (usage.input_tokens, usage.cost, usage.basis) == (3, FREE, "reported")


def test_many_texts_at_once():
    texts = [f"number {number}" for number in range(12_345)]
    result = polyvox.embed("simulated/embedding", texts, dimensions=4)
    assert result.vectors[-1] == vector_of("number 12344", 4)


# Counting tokens


@pytest.mark.parametrize(
    ("counting", "exact"),
    [
        ("anthropic-messages", True),
        ("gemini", True),
        ("openai-responses", True),
        ("openai-chat", False),
        ("ollama", False),
    ],
)
def test_tokens_are_counted_by_the_provider_where_it_can(counting: str, exact: bool):
    quirks = Quirks(count_tokens=True)
    with MockProvider(counting) as mock:
        rows = {"lab": polyvox_row(mock.url, counting, quirks)}
        with Client(providers=rows) as client:
            count = client.count_tokens(MODEL, "one two three", system="Be brief.")
    assert count.estimated is not exact
    assert len(mock.requests) == exact
    if exact:
        assert count.tokens == 5
