"""Models that LiteLLM reaches: LiteLLM itself, over its own HTTP, against our mock providers.

LiteLLM does not go with the newest openai SDK; `make test` runs this file where LiteLLM is.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from polyvox import AsyncClient, Client
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    ContentFilterError,
    ContextWindowExceededError,
    MissingKeyError,
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
from polyvox.events import Done, Event, Failed, TextDelta, ThinkingDelta, Warned
from polyvox.http import Timeouts
from polyvox.messages import Text, Thinking, ToolCall, assistant, tool_result, user
from polyvox.model import Call, Interrupt
from polyvox.providers.litellm import LiteLLMModel
from polyvox.providers.simulated.embedding import vector_of
from polyvox.request import Reasoning, Request, ToolDefinition
from polyvox.testing import Knobs, MockProvider, check_grammar
from polyvox.usage import FREE, Cost

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
litellm = pytest.importorskip("litellm", reason="LiteLLM is in .venv-bench: see `make test`")

# LiteLLM's own warnings: raised as errors, some would be swallowed in there and change the answer.
pytestmark = pytest.mark.filterwarnings("default")

MODELS = {
    "openai-chat": "openai/gpt-4o-mini",
    "anthropic-messages": "anthropic/claude-sonnet-4-5",
}
KEY = "sk-canary-0123456789"
NOBODY = "http://127.0.0.1:1/v1"
USAGE = {
    "input_tokens": 3000,
    "output_tokens": 20,
    "cache_read_tokens": 64,
    "cache_write_tokens": 2000,
    "reasoning_tokens": 5,
}
CALLS = [
    {"type": "text", "text": "Let me see."},
    {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Oslo"}},
    {"type": "tool_call", "id": "call_2", "name": "weather", "arguments": {"city": "Bergen"}},
]
WEATHER = ToolDefinition("weather", "The weather in a city.")
LONG = ["word " * 500]


@pytest.fixture(autouse=True)
def _no_keys_of_this_machine(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.startswith(("OPENAI_", "ANTHROPIC_"))]:
        monkeypatch.delenv(name)


@pytest.fixture(params=MODELS)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


@asynccontextmanager
async def asking(
    dialect: str,
    script: Any,
    *,
    knobs: Knobs | None = None,
    timeouts: Timeouts | None = None,
    name: str = "",
) -> AsyncIterator[tuple[MockProvider, LiteLLMModel]]:
    async with (
        MockProvider(dialect, script, knobs=knobs) as mock,
        AsyncClient(timeouts=timeouts) as client,
    ):
        model = client.model(f"litellm/{name or MODELS[dialect]}")
        assert isinstance(model, LiteLLMModel)
        yield mock, model


def a_request(url: str, **fields: Any) -> Request:
    options = {"api_key": KEY, "api_base": url, **fields.pop("options", {})}
    return Request(**{"messages": [user("Hello?")], "options": {"litellm": options}, **fields})


async def listen(model: LiteLLMModel, request: Request, call: Call | None = None) -> list[Event]:
    async with aclosing(model.stream(request, call or Call())) as events:
        heard = [event async for event in events]
    check_grammar(heard)
    return heard


async def answer(model: LiteLLMModel, request: Request) -> Any:
    done = (await listen(model, request))[-1]
    assert isinstance(done, Done), done
    return done.message


async def failure(model: LiteLLMModel, request: Request, call: Call | None = None) -> PolyvoxError:
    failed = (await listen(model, request, call))[-1]
    assert isinstance(failed, Failed), failed
    assert failed.error.message is failed.message
    assert (failed.error.provider, failed.error.model) == ("litellm", model.target.model)
    return failed.error


# What arrives


async def test_a_streamed_answer_with_its_usage_and_the_catalogs_price(dialect: str):
    script = [{"message": {"content": "Good day to you.", "usage": USAGE}}]
    async with asking(dialect, script) as (mock, model):
        events = await listen(model, a_request(mock.url))
    message = events[-1].message
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == message.text
    assert message.content == [Text("Good day to you.")]
    assert (message.stop_reason, message.request_id) == ("stop", "req_mock_1")
    assert (message.provider, message.model) == ("litellm", MODELS[dialect])
    usage = message.usage
    assert {name: getattr(usage, name) for name in USAGE} == USAGE
    assert usage.basis == "reported"
    assert (usage.cost.status, usage.cost.source) == ("known", "catalog")
    async with AsyncClient() as client:
        provider, _, name = MODELS[dialect].partition("/")
        assert usage.cost == client.registry.catalog.cost(provider, name, usage)
    assert mock.requests[0].request.stream is True
    assert KEY in str(mock.requests[0].headers)


async def test_parallel_tool_calls(dialect: str):
    async with asking(dialect, [{"message": {"content": CALLS}}]) as (mock, model):
        message = await answer(model, a_request(mock.url, tools=[WEATHER]))
    assert message.content == [
        Text("Let me see."),
        ToolCall("call_1", "weather", {"city": "Oslo"}),
        ToolCall("call_2", "weather", {"city": "Bergen"}),
    ]
    assert message.stop_reason == "tool_calls"
    assert [tool.name for tool in mock.requests[0].request.tools] == ["weather"]


async def test_what_providers_of_another_dialect_keep_is_refused_before_anything_is_sent():
    async with asking("openai-chat", ["Hello"]) as (mock, model):
        request = a_request(mock.url)
        request.options["openai-responses"] = {"previous_response_id": "resp_1"}
        error = await failure(model, request)
    assert isinstance(error, BadRequestError)
    assert error.text.startswith("previous_response_id: ")
    assert mock.requests == []


async def test_arguments_cut_at_the_token_limit_are_not_executable():
    turn = {"type": "tool_call", "id": "call_1", "name": "weather", "unparsed": '{"city": "Os'}
    script = [{"message": {"content": [turn], "stop_reason": "length"}}]
    async with asking("openai-chat", script) as (mock, model):
        message = await answer(model, a_request(mock.url, tools=[WEATHER]))
    assert message.stop_reason == "length"
    assert [(call.executable, call.unparsed) for call in message.tool_calls] == [
        (False, '{"city": "Os')
    ]


async def test_reasoning_comes_as_thinking(dialect: str):
    content = [{"type": "thinking", "text": "Let me think."}, {"type": "text", "text": "Eight."}]
    async with asking(dialect, [{"message": {"content": content}}]) as (mock, model):
        events = await listen(model, a_request(mock.url, max_tokens=2000))
    message = events[-1].message
    assert (message.thinking, message.text) == ("Let me think.", "Eight.")
    assert any(isinstance(event, ThinkingDelta) for event in events)
    assert message.content[0].producer == model.name


async def test_signed_and_redacted_thinking_goes_back_to_its_producer_unchanged():
    content = [
        {"type": "thinking", "text": "Let me think.", "signature": "c2lnbmVk"},
        {"type": "thinking", "redacted": True, "signature": "aGlkZGVu"},
        {"type": "text", "text": "Asking."},
        CALLS[1],
    ]
    script = [{"message": {"content": content}}, "It rains."]
    async with asking("anthropic-messages", script) as (mock, model):
        about: dict[str, Any] = {
            "tools": [WEATHER],
            "max_tokens": 3000,
            "reasoning": Reasoning(budget_tokens=1024),
        }
        first = await answer(model, a_request(mock.url, **about))
        said = [user("Hello?"), first, tool_result(first.tool_calls[0], "rain")]
        second = await answer(model, a_request(mock.url, messages=said, **about))
    assert second.text == "It rains."
    replayed = mock.requests[1].request.messages[1].content
    thoughts = [block for block in replayed if isinstance(block, Thinking)]
    assert [(t.text, t.signature, t.redacted) for t in thoughts] == [
        ("Let me think.", "c2lnbmVk", False),
        ("", "aGlkZGVu", True),
    ]
    assert mock.requests[0].request.reasoning.budget_tokens == 1024


async def test_others_thinking_is_not_replayed():
    foreign = assistant(Thinking("Hmm.", "c2ln", producer="anthropic/claude-x"), "Eight.")
    async with asking("anthropic-messages", ["Yes."]) as (mock, model):
        said = [user("Hello?"), foreign, user("Sure?")]
        await answer(model, a_request(mock.url, messages=said))
    assert mock.requests[0].request.messages[1].content == [Text("Eight.")]


async def test_cache_marks_and_long_writes_survive():
    usage = {**USAGE, "cache_write_1h_tokens": 500}
    script = [{"message": {"content": "Good.", "usage": usage}}]
    async with asking("anthropic-messages", script) as (mock, model):
        system = [Text("Be brief.", cache="long")]
        message = await answer(model, a_request(mock.url, system=system))
    assert mock.requests[0].request.system[0].cache == "long"
    assert message.usage.cache_write_1h_tokens == 500


async def test_usage_that_litellm_counted_itself_is_an_estimate():
    async with asking("openai-chat", ["Good."], knobs=Knobs(usage="none")) as (mock, model):
        message = await answer(model, a_request(mock.url))
    assert message.usage.basis == "estimated"
    assert message.usage.output_tokens > 0


# What it costs


async def test_a_model_that_the_catalog_lacks_has_litellms_price(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(
        litellm.model_cost,
        "openai/gpt-of-my-own",
        {
            "litellm_provider": "openai",
            "mode": "chat",
            "input_cost_per_token": 1e-6,
            "output_cost_per_token": 2e-6,
        },
    )
    script = [{"message": {"content": "Good.", "usage": {"input_tokens": 10, "output_tokens": 5}}}]
    async with asking("openai-chat", script, name="openai/gpt-of-my-own") as (mock, model):
        cost = (await answer(model, a_request(mock.url))).usage.cost
    assert cost == Cost(
        "known", nanos=20_000, input_nanos=10_000, output_nanos=10_000, source="provider"
    )


@pytest.mark.parametrize(
    ("name", "status"), [("openai/nobody-knows-this", "unknown"), ("lm_studio/any", "free")]
)
async def test_no_price_is_unknown_and_a_local_server_is_free(name: str, status: str):
    async with asking("openai-chat", ["Good."], name=name) as (mock, model):
        cost = (await answer(model, a_request(mock.url))).usage.cost
    assert cost.status == status
    assert status != "free" or cost == FREE


# What is asked


async def test_options_are_litellms_own_arguments():
    async with asking("openai-chat", ["Good."]) as (mock, model):
        options = {"extra_headers": {"x-team": "blue"}, "user": "ada", "stream": False}
        await answer(model, a_request(mock.url, options=options))
    sent = mock.requests[0]
    assert sent.headers["x-team"] == "blue"
    assert b'"user":"ada"' in sent.body
    assert sent.request.stream is True


async def test_keys_and_addresses_come_from_litellms_own_variables(monkeypatch: pytest.MonkeyPatch):
    async with asking("openai-chat", ["Good."]) as (mock, model):
        monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
        monkeypatch.setenv("OPENAI_API_BASE", mock.url)
        await answer(model, Request(messages=[user("Hello?")]))
    assert mock.requests[0].headers["authorization"] == "Bearer sk-from-the-environment"


async def test_a_wish_that_the_model_lacks_is_dropped_with_a_warning():
    async with asking("anthropic-messages", ["Good."]) as (mock, model):
        events = await listen(model, a_request(mock.url, seed=7, temperature=0.5))
    assert [event.field for event in events if isinstance(event, Warned)] == ["seed"]
    assert mock.requests[0].request.temperature == 0.5


async def test_litellm_does_not_ask_again_by_itself():
    async with asking("openai-chat", ["Good."] * 3, knobs=Knobs(status=500)) as (mock, model):
        await failure(model, a_request(mock.url))
    assert len(mock.requests) == 1


async def test_nothing_global_of_litellm_is_touched(monkeypatch: pytest.MonkeyPatch):
    kept = ("api_key", "callbacks", "success_callback", "num_retries", "drop_params")
    before = {name: repr(getattr(litellm, name)) for name in kept}
    silent = litellm.suppress_debug_info
    async with asking("openai-chat", ["Good."]) as (mock, model):
        await answer(model, a_request(mock.url))
    assert {name: repr(getattr(litellm, name)) for name in kept} == before
    assert litellm.suppress_debug_info is silent


# How it fails


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (429, RateLimitError),
        (500, ServerError),
        (503, OverloadedError),
    ],
)
async def test_a_refusal_keeps_its_status_and_request_id(
    dialect: str, status: int, expected: type[PolyvoxError]
):
    async with asking(dialect, ["Good."], knobs=Knobs(status=status)) as (mock, model):
        error = await failure(model, a_request(mock.url))
    assert type(error) is expected
    assert (error.status, error.request_id) == (status, "req_mock_1")
    assert error.text == f"the mock provider was told to answer with status {status}"
    assert not error.message.usage.total_tokens


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after(dialect: str, form: Any):
    knobs = Knobs(status=429, retry_after=7, retry_after_form=form)
    async with asking(dialect, ["Good."], knobs=knobs) as (mock, model):
        error = await failure(model, a_request(mock.url))
    assert error.retryable
    assert 6 <= error.retry_after <= 7


@pytest.mark.parametrize(
    ("thrown", "expected"),
    [
        (ContextWindowExceededError("it is too long"), ContextWindowExceededError),
        (ContentFilterError("it is too rude"), ContentFilterError),
    ],
)
async def test_what_the_provider_says_of_the_prompt(
    thrown: PolyvoxError, expected: type[PolyvoxError]
):
    async with asking("openai-chat", [thrown]) as (mock, model):
        error = await failure(model, a_request(mock.url))
    assert type(error) is expected
    assert not error.retryable


@pytest.mark.parametrize(
    ("knobs", "expected"),
    [
        (Knobs(cut_after=3000), NetworkError),
        (Knobs(cut_after=3000, cut_mode="rst"), NetworkError),
        (Knobs(malformed_chunk=8), ProtocolError),
        (Knobs(error_after_chunks=8), ServerError),
    ],
    ids=["cut", "reset", "malformed", "error frame"],
)
async def test_an_answer_that_breaks_off_keeps_what_arrived(
    dialect: str, knobs: Knobs, expected: type[PolyvoxError]
):
    async with asking(dialect, LONG, knobs=knobs) as (mock, model):
        error = await failure(model, a_request(mock.url))
    assert type(error) is expected
    assert error.message.text.startswith("word ")
    assert error.message.text != LONG[0]
    assert error.message.usage.basis == "partial"
    assert error.message.usage.output_tokens > 0
    assert error.message.usage.cost.status == "known"


@pytest.mark.parametrize("body", ["html", "empty"])
async def test_no_answer_at_all_is_no_success(dialect: str, body: Any):
    async with asking(dialect, ["Good."], knobs=Knobs(body=body)) as (mock, model):
        error = await failure(model, a_request(mock.url))
    assert type(error) is ProtocolError


async def test_nobody_at_the_address(dialect: str):
    async with asking(dialect, ["Good."]) as (_, model):
        error = await failure(model, a_request(NOBODY))
    assert type(error) is NetworkError
    assert error.status is None
    assert error.message.usage.cost == Cost("known")


async def test_a_missing_key_says_where_to_put_it(dialect: str):
    async with asking(dialect, ["Good."]) as (mock, model):
        options = {"litellm": {"api_base": mock.url}}
        error = await failure(model, Request(messages=[user("Hello?")], options=options))
    assert type(error) is MissingKeyError
    assert "_API_KEY" in error.text
    assert "options=" in error.hint


async def test_a_name_that_litellm_does_not_know():
    async with asking("openai-chat", ["Good."], name="nope/nothing") as (mock, model):
        error = await failure(model, a_request(mock.url))
    assert type(error) is BadRequestError
    assert "nope/nothing" in error.text


async def test_a_key_that_the_provider_repeats_is_masked():
    async with asking("openai-chat", [AuthenticationError(f"bad key {KEY}")]) as (mock, model):
        call = Call()
        failed = (await listen(model, a_request(mock.url), call))[-1]
    assert isinstance(failed, Failed)
    error = failed.error
    assert KEY not in f"{error} {error.args} {failed.message.error} {call.attempts}"
    assert "bad key" in str(call.attempts[0].reason)


# How it is stopped


STALL = Knobs(cut_after=2500, cut_mode="stall")
SILENCE = Knobs(delay_headers=600)


async def test_an_interrupt_in_the_middle_closes_the_socket(dialect: str):
    interrupt = Interrupt()
    heard: list[Event] = []
    async with asking(dialect, LONG, knobs=STALL) as (mock, model):
        async with aclosing(model.stream(a_request(mock.url), Call(interrupt=interrupt))) as events:
            async for event in events:
                heard.append(event)
                if isinstance(event, TextDelta):
                    interrupt.set("enough")
        await asyncio.wait_for(mock.wait_for_hangup(), 10)
    check_grammar(heard)
    assert isinstance(heard[-1], Failed)
    assert isinstance(heard[-1].error, AbortedError)
    assert heard[-1].message.text.startswith("word")
    assert heard[-1].message.stop_reason == "aborted"


async def test_an_interrupt_before_the_head_closes_the_socket(dialect: str):
    interrupt = Interrupt()
    async with asking(dialect, LONG, knobs=SILENCE) as (mock, model):
        task = asyncio.create_task(failure(model, a_request(mock.url), Call(interrupt=interrupt)))
        await mock.wait_for_request()
        interrupt.set("enough")
        error = await task
        await asyncio.wait_for(mock.wait_for_hangup(), 10)
    assert isinstance(error, AbortedError)


async def cancel(task: "asyncio.Task[Any]", mock: MockProvider) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(mock.wait_for_hangup(), 10)


async def test_cancelling_the_task_before_the_head_closes_the_socket(dialect: str):
    call = Call()
    async with asking(dialect, LONG, knobs=SILENCE) as (mock, model):
        task = asyncio.create_task(listen(model, a_request(mock.url), call))
        await mock.wait_for_request()
        await cancel(task, mock)
    assert call.partial is not None
    assert call.partial.stop_reason == "aborted"


async def test_cancelling_the_task_in_the_body_leaves_the_partial_answer(dialect: str):
    call, speaking = Call(), asyncio.Event()

    async def hear(model: LiteLLMModel, url: str) -> None:
        async with aclosing(model.stream(a_request(url), call)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    speaking.set()

    async with asking(dialect, LONG, knobs=STALL) as (mock, model):
        task = asyncio.create_task(hear(model, mock.url))
        await speaking.wait()
        await cancel(task, mock)
    assert call.partial is not None
    assert call.partial.text.startswith("word")


async def test_closing_the_stream_closes_the_socket(dialect: str):
    call = Call()
    async with asking(dialect, LONG, knobs=STALL) as (mock, model):
        stream = model.stream(a_request(mock.url), call)
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        await stream.aclose()
        await asyncio.wait_for(mock.wait_for_hangup(), 10)
    assert call.partial is not None
    assert call.partial.text.startswith("word")


@pytest.mark.parametrize(
    ("knobs", "timeouts", "phase"),
    [
        (SILENCE, Timeouts(first_byte=0.3), "first_byte"),
        (STALL, Timeouts(idle=0.3), "idle"),
        (STALL, Timeouts(total=0.5), "total"),
    ],
)
async def test_deadlines_are_kept(dialect: str, knobs: Knobs, timeouts: Timeouts, phase: str):
    async with asking(dialect, LONG, knobs=knobs, timeouts=timeouts) as (mock, model):
        error = await failure(model, a_request(mock.url))
        await asyncio.wait_for(mock.wait_for_hangup(), 10)
    assert isinstance(error, RequestTimeoutError)
    assert error.phase == phase


async def test_a_connection_that_is_not_made_in_time():
    with socket.socket() as full:  # its queue holds one connection, which nobody accepts
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        timeouts = Timeouts(connect=0.2)
        async with asking("openai-chat", ["Good."], timeouts=timeouts) as (_, model):
            error = await failure(model, a_request(f"http://127.0.0.1:{address[1]}/v1"))
        for filler in fillers:
            filler.close()
    assert isinstance(error, RequestTimeoutError)
    assert error.phase == "connect"


# Through the clients


def test_the_synchronous_client_asks_it_too(dialect: str):
    with MockProvider(dialect, ["One.", "Two."]) as mock, Client() as client:
        options = {"litellm": {"api_key": KEY, "api_base": mock.url}}
        replies = [
            client.complete(f"litellm/{MODELS[dialect]}", "Hello?", options=options).text
            for _ in range(2)
        ]
    assert replies == ["One.", "Two."]


async def test_tokens_are_estimated():
    async with AsyncClient() as client:
        count = await client.count_tokens("litellm/openai/gpt-4o-mini", "Hello there?")
    assert count.estimated
    assert count.tokens > 0


# Embeddings


async def test_embeddings_come_through_litellm_too():
    async with MockProvider("openai-chat") as mock, AsyncClient() as client:
        options = {"litellm": {"api_key": KEY, "api_base": mock.url}}
        result = await client.embed(
            "litellm/openai/text-embedding-3-small",
            ["cats", "dogs and cats"],
            dimensions=8,
            task="query",
            options=options,
        )
    assert result.vectors == [vector_of("cats", 8), vector_of("dogs and cats", 8)]
    assert (result.provider, result.model) == ("litellm", "openai/text-embedding-3-small")
    assert result.usage.input_tokens == 4
    assert result.usage.cost == Cost("known", nanos=80, input_nanos=80, source="catalog")
    assert [field for field, _ in result.dropped] == ["task"]
    assert json.loads(mock.requests[0].body).keys() <= {
        "model",
        "input",
        "dimensions",
        "encoding_format",
    }


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (404, NotFoundError), (429, RateLimitError)]
)
async def test_failures_of_embeddings_are_our_errors(status: int, kind: type[PolyvoxError]):
    async with (
        MockProvider("openai-chat", knobs=Knobs(status=status)) as mock,
        AsyncClient() as client,
    ):
        options = {"litellm": {"api_key": KEY, "api_base": mock.url}}
        with pytest.raises(kind) as caught:
            await client.embed("litellm/openai/m1", "a", options=options)
    assert caught.value.message is not None
    assert caught.value.message.usage.input_tokens == 0


async def test_an_interrupt_ends_embeddings_through_litellm():
    interrupt = Interrupt()
    async with (
        MockProvider("openai-chat", knobs=Knobs(delay_headers=3600)) as mock,
        AsyncClient() as client,
    ):
        options = {"litellm": {"api_key": KEY, "api_base": mock.url}}
        task = asyncio.create_task(
            client.embed("litellm/openai/m1", "a", options=options, interrupt=interrupt)
        )
        await mock.wait_for_request()
        interrupt.set("enough")
        with pytest.raises(AbortedError, match="enough"):
            await task
