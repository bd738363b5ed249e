"""A provider's model over a transport made here: what each kind of answer becomes."""

import asyncio
import threading
from contextlib import aclosing

import pytest

from polyvox import estimate
from polyvox.assembly import unfold
from polyvox.dialects import StreamDecoder, Target, get_dialect
from polyvox.dialects.decoding import AssemblyDecoder
from polyvox.dialects.passing import JsonPassing
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    NetworkError,
    NotFoundError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
)
from polyvox.events import Done, Failed, Start, TextDelta, Warned
from polyvox.http import HttpRequest
from polyvox.messages import AssistantMessage, File, ToolCall, assistant, user
from polyvox.model import Call, Interrupt
from polyvox.providers import ProviderModel, provider_model
from polyvox.request import Request
from polyvox.testing import check_grammar
from polyvox.usage import Cost, Usage
from polyvox.verbatim import LONG, Verbatim

from .answers import Answer, a_model, an_answer, streamed

DIALECTS = ["openai-chat", "anthropic-messages"]
REQUEST = Request(messages=[user("Why is the sky blue?")])


async def listen(model: ProviderModel, request: Request = REQUEST, call: Call | None = None):
    async with aclosing(model.stream(request, call or Call())) as events:
        heard = [event async for event in events]
    check_grammar(heard)
    return heard


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_a_streamed_answer_becomes_events_and_a_priced_message(dialect):
    message = an_answer("Because ", ToolCall("call_1", "look", {"at": "sky"}))
    answer = Answer(*streamed(dialect, unfold(message)), headers={"x-request-id": "req_1"})
    *_, done = await listen(a_model(dialect, answer))
    assert isinstance(done, Done)
    assert done.message.content == message.content
    assert done.message.usage == Usage(12, 5, cost=Cost("known", 17 * 10**9, source="catalog"))
    assert (done.message.provider, done.message.model) == ("acme", "m1")
    assert done.message.request_id == "req_1"


async def test_the_rest_of_a_finished_answer_is_read_so_that_the_connection_serves_again(dialect):
    answer = Answer(*streamed(dialect, unfold(an_answer("Hello"))), b": the server's goodbye\n\n")
    await listen(a_model(dialect, answer))
    assert answer.read_to_end


async def test_a_server_that_does_not_hang_up_after_the_end_is_not_waited_for(dialect):
    answer = Answer(*streamed(dialect, unfold(an_answer("Hello"))), then_wait=True)
    *_, done = await listen(a_model(dialect, answer))
    assert isinstance(done, Done)
    assert answer.closed


async def test_all_of_a_stream_at_once_is_enough_for_its_end(dialect):
    """Also if the server does not hang up, and nothing more ever comes."""
    data = b"".join(streamed(dialect, unfold(an_answer("Hello"))))
    async with asyncio.timeout(30):  # far from the 300 s that a pause may take
        *_, done = await listen(a_model(dialect, Answer(data, then_wait=True)))
    assert isinstance(done, Done)


async def test_an_answer_given_whole_though_streaming_was_asked_for_is_an_answer(dialect):
    message = an_answer("Hello")
    answer = Answer(b"\n", get_dialect(dialect).encode_response(message))
    heard = await listen(a_model(dialect, answer))
    assert [type(event) for event in heard][:1] == [Start]
    assert heard[-1].message.text == "Hello"
    assert heard[-1].message.usage.total_tokens == 17


async def test_geminis_array_of_frames_is_read_frame_by_frame():
    asked = Request(messages=[], options={"gemini": {"alt": "json"}})
    encoder = get_dialect("gemini").stream_encoder(asked)
    first, *rest = [
        data for event in unfold(an_answer("Because")) if (data := encoder.encode(event))
    ]
    assert first.startswith(b"[")
    *_, done = await listen(a_model("gemini", Answer(b"\n", first, *rest)))
    assert isinstance(done, Done)
    assert (done.message.text, done.message.usage.total_tokens) == ("Because", 17)
    *_, failed = await listen(a_model("gemini", Answer(first, NetworkError("reset by peer"))))
    assert isinstance(failed.error, NetworkError)
    assert failed.message.text == "Because"


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ((), "empty"),
        ((b"",), "empty"),
        ((b"<!doctype html><title>Login</title>",), "web page"),
        ((b"{broken",), "JSON"),
        ((b"data: <html>\n\n",), "JSON"),
    ],
)
async def test_what_is_no_answer_is_a_protocol_error(dialect, pieces, said):
    (failed,) = await listen(a_model(dialect, Answer(*pieces)))
    assert isinstance(failed.error, ProtocolError)
    assert said.lower() in str(failed.error).lower()


async def test_an_end_before_the_end_keeps_what_came_and_is_no_success(dialect):
    pieces = streamed(dialect, list(unfold(an_answer("Because")))[:-1])
    *_, failed = await listen(a_model(dialect, Answer(*pieces)))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ProtocolError)
    assert failed.message.text == "Because"
    assert failed.message.usage.basis == "partial"
    assert failed.message.usage.cost.nanos > 0


async def test_a_broken_connection_keeps_what_came(dialect):
    pieces = streamed(dialect, list(unfold(an_answer("Because")))[:-1])
    *_, failed = await listen(a_model(dialect, Answer(*pieces, NetworkError("reset by peer"))))
    assert isinstance(failed.error, NetworkError)
    assert failed.error.message.text == "Because"
    assert (failed.error.provider, failed.error.model) == ("acme", "m1")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (404, NotFoundError),
        (429, RateLimitError),
    ],
)
async def test_a_refusal_is_a_typed_error_that_cost_nothing(dialect, status, expected):
    body = b'{"type": "error", "error": {"type": "x", "message": "no"}}'
    answer = Answer(body, status=status, headers={"retry-after": "7", "request-id": "req_9"})
    (failed,) = await listen(a_model(dialect, answer))
    assert type(failed.error) is expected
    assert failed.error.status == status
    assert failed.error.request_id == "req_9"
    assert failed.message.usage.cost == Cost("known")
    if status == 429:
        assert failed.error.retry_after == 7


async def test_a_refusal_whose_body_never_ends_is_told_with_what_came_of_it(dialect, monkeypatch):
    monkeypatch.setattr(provider_model, "REFUSAL_SECONDS", 0.01)
    answer = Answer(b"too many at once", status=429, then_wait=True)
    async with asyncio.timeout(
        30
    ):  # far from the 300 s that a pause may take, and for a broken test
        (failed,) = await listen(a_model(dialect, answer))
    assert isinstance(failed.error, RateLimitError)
    assert "too many at once" in str(failed.error)
    assert answer.closed


async def test_a_redirect_is_an_error_and_not_followed(dialect):
    answer = Answer(b"", status=302, headers={"location": "https://elsewhere.test"})
    (failed,) = await listen(a_model(dialect, answer))
    assert isinstance(failed.error, PolyvoxError)
    assert failed.error.status == 302


async def test_a_connection_that_could_not_be_made_cost_nothing(dialect):
    (failed,) = await listen(a_model(dialect, NetworkError("refused")))
    assert failed.error.message.usage.cost == Cost("known")


async def test_a_request_that_cannot_be_carried_is_not_sent(dialect):
    model = a_model(dialect, Answer())
    foreign = {
        "openai-chat": File(url="https://example.com/a.pdf"),
        "anthropic-messages": File(data=b"PK", media_type="application/zip"),
    }
    request = Request(messages=[assistant("Yes?"), user(foreign[dialect])])
    (failed,) = await listen(model, request)
    assert isinstance(failed.error, BadRequestError)
    assert "messages[1].content[0]" in str(failed.error)
    assert model.transport.sent == []


async def test_usage_that_nobody_told_is_estimated_and_says_so(dialect):
    message = an_answer("Because of Rayleigh scattering.")
    whole = get_dialect(dialect).encode_response(message)
    answer = Answer(whole.replace(b'"usage"', b'"no_usage"'))
    *_, done = await listen(a_model(dialect, answer))
    assert done.message.usage.basis == "estimated"
    assert done.message.usage.input_tokens > 0
    assert done.message.usage.output_tokens > 0


async def test_a_wish_the_provider_cannot_be_told_is_warned_of_after_the_start(dialect):
    model = a_model(dialect, Answer(*streamed(dialect, unfold(an_answer("Hello")))))
    wish = {"seed": 7} if dialect == "anthropic-messages" else {"cache": "long"}
    heard = await listen(model, Request(messages=[user("x")], **wish))
    assert isinstance(heard[0], Start)
    assert isinstance(heard[1], Warned)
    assert next(iter(wish)) in heard[1].field


async def test_a_cancelled_call_leaves_its_partial_message_and_cost_on_the_call(dialect):
    pieces = streamed(dialect, list(unfold(an_answer("Because")))[:-1])
    answer, call = Answer(*pieces, then_wait=True), Call()
    arrived = asyncio.Event()

    async def read() -> None:
        async with aclosing(a_model(dialect, answer).stream(REQUEST, call)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    arrived.set()

    task = asyncio.create_task(read())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert answer.closed
    assert call.partial.text == "Because"
    assert call.partial.stop_reason == "aborted"
    assert call.partial.usage.basis == "partial"
    assert call.partial.usage.cost.nanos > 0
    (attempt,) = call.attempts
    assert attempt.error == "aborted"
    assert attempt.usage == call.partial.usage


async def test_what_had_arrived_is_joined_when_somebody_looks_at_it(dialect, monkeypatch):
    joined: list[StreamDecoder] = []
    message = AssemblyDecoder.message

    def counted(decoder: AssemblyDecoder) -> AssistantMessage:
        joined.append(decoder)
        return message(decoder)

    monkeypatch.setattr(AssemblyDecoder, "message", counted)
    pieces = streamed(dialect, list(unfold(an_answer("Because")))[:-1])
    call = Call()
    async with aclosing(a_model(dialect, Answer(*pieces)).stream(REQUEST, call)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    (attempt,) = call.attempts
    assert attempt.usage.output_tokens == estimate.text_tokens("Because")
    assert joined == []
    assert call.partial.text == "Because"
    assert call.partial.usage == attempt.usage
    assert len(joined) == 1


async def test_a_long_body_is_written_in_a_thread_and_a_short_one_at_once(monkeypatch):
    threads: list[int] = []
    written = JsonPassing.request

    def noted(passing: JsonPassing, verbatim: Verbatim, target: Target) -> HttpRequest:
        threads.append(threading.get_ident())
        return written(passing, verbatim, target)

    monkeypatch.setattr(JsonPassing, "request", noted)
    pieces = streamed("openai-chat", unfold(an_answer("Because")))
    for said in ("Why?", "Why?" * (LONG // 4)):
        model, request = a_model("openai-chat", Answer(*pieces)), Request(messages=[user(said)])
        body = model.dialect.encode_request(request, model.target).body
        heard = await listen(model, request, Call(verbatim=Verbatim("openai-chat", request, body)))
        assert isinstance(heard[-1], Done)
        assert said.encode() in model.transport.sent[0].body
    short, long = threads
    assert short == threading.get_ident() != long


async def test_an_interrupt_ends_the_stream_with_what_had_arrived(dialect):
    pieces = streamed(dialect, list(unfold(an_answer("Because")))[:-1])
    interrupt, heard = Interrupt(), []
    model = a_model(dialect, Answer(*pieces, then_wait=True))
    async with aclosing(model.stream(REQUEST, Call(interrupt=interrupt))) as events:
        async for event in events:
            heard.append(event)
            if isinstance(event, TextDelta):
                asyncio.get_running_loop().call_soon(interrupt.set, "enough")
    check_grammar(heard)
    assert heard[-1].message.stop_reason == "aborted"
    assert heard[-1].message.text == "Because"
    assert "enough" in str(heard[-1].error)


async def test_a_call_interrupted_before_it_began_sends_nothing_and_costs_nothing(dialect):
    interrupt, model = Interrupt(), a_model(dialect, Answer())
    interrupt.set("changed my mind")
    (failed,) = await listen(model, call=Call(interrupt=interrupt))
    assert "changed my mind" in str(failed.error)
    assert failed.message.usage.cost == Cost("known")
    assert model.transport.sent == []


async def test_the_key_is_in_no_error(dialect):
    for answer in (Answer(b"no", status=401), NetworkError("refused"), Answer(b"<html>")):
        (failed,) = await listen(a_model(dialect, answer))
        assert "canary" not in repr(failed) + str(failed.error) + str(failed.error.to_dict())


async def test_an_attempt_has_what_the_provider_says_without_the_key_that_it_repeats(dialect):
    said = AuthenticationError("not with sk-canary", provider_code="bad_sk-canary")
    answer = Answer(get_dialect(dialect).encode_error(said)[1], status=401)
    call = Call()
    await listen(a_model(dialect, answer), call=call)
    (attempt,) = call.attempts
    assert (attempt.error, attempt.status) == ("authentication", 401)
    assert "not with" in attempt.reason
    assert "canary" not in repr(attempt)


async def test_the_list_of_models_is_asked_for(dialect):
    body = get_dialect(dialect).encode_models(["m1", "m2"])
    assert await a_model(dialect, Answer(body)).models() == ["m1", "m2"]


async def test_a_failed_list_of_models_is_an_error_with_the_providers_name(dialect):
    with pytest.raises(AuthenticationError, match="acme"):
        await a_model(dialect, Answer(b"{}", status=401)).models()


async def test_a_whole_answer_is_one_attempt_on_the_books_of_the_call(dialect):
    model, call = a_model(dialect, Answer(*streamed(dialect, unfold(an_answer("Hello"))))), Call()
    *_, done = [event async for event in model.stream(REQUEST, call)]
    (attempt,) = call.attempts
    assert attempt.name == model.name
    assert attempt.usage == done.message.usage
    assert attempt.error is None
    assert 0 <= attempt.first_byte <= attempt.seconds


async def test_an_attempt_is_on_the_books_of_the_outer_call_too(dialect):
    model, outer = a_model(dialect, Answer(*streamed(dialect, unfold(an_answer("Hello"))))), Call()
    inner = outer.child()
    async for _ in model.stream(REQUEST, inner):
        pass
    assert inner.attempts == outer.attempts
    assert len(outer.attempts) == 1


@pytest.mark.parametrize("whole", [False, True])
async def test_a_stream_left_at_its_last_event_is_counted_once(dialect, whole):
    message = an_answer("Hello")
    pieces = (
        [get_dialect(dialect).encode_response(message)]
        if whole
        else streamed(dialect, unfold(message))
    )
    call = Call()
    async with aclosing(a_model(dialect, Answer(*pieces)).stream(REQUEST, call)) as events:
        async for event in events:
            if isinstance(event, Done):
                break
    (attempt,) = call.attempts
    assert attempt.error is None
    assert call.partial is None


async def test_an_answer_that_came_at_once_and_was_left_before_its_end_is_counted_as_cut(dialect):
    answer = Answer(b"".join(streamed(dialect, unfold(an_answer("Hello", "there")))))
    call = Call()
    async with aclosing(a_model(dialect, answer).stream(REQUEST, call)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    (attempt,) = call.attempts
    assert attempt.error == "aborted"
    assert call.partial is not None
    assert call.partial.stop_reason == "aborted"


async def test_a_refusal_is_an_attempt_that_used_nothing(dialect):
    refusal = get_dialect(dialect).encode_error(RateLimitError("too many at once"))
    call = Call()
    model = a_model(dialect, Answer(refusal[1], status=429))
    async for _ in model.stream(REQUEST, call):
        pass
    (attempt,) = call.attempts
    assert (attempt.error, attempt.status) == ("rate_limit", 429)
    assert attempt.usage.total_tokens == 0
    assert attempt.usage.cost == Cost("known")


async def test_what_is_never_sent_is_no_attempt(dialect):
    interrupt = Interrupt()
    interrupt.set()
    call = Call(interrupt=interrupt)
    model = a_model(dialect, Answer(*streamed(dialect, unfold(an_answer("Hello")))))
    (failed,) = [event async for event in model.stream(REQUEST, call)]
    assert isinstance(failed.error, AbortedError)
    assert call.attempts == []


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "prompt"])
async def test_what_another_dialect_s_providers_keep_is_refused_before_anything_is_sent(
    dialect, field
):
    request = Request(messages=REQUEST.messages, options={"openai-responses": {field: "kept_1"}})
    model, call = a_model(dialect, Answer(*streamed(dialect, unfold(an_answer("Hello"))))), Call()
    (failed,) = await listen(model, request, call)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, BadRequestError)
    assert failed.error.text.startswith(f"{field}: ")
    assert "gateway" in (failed.error.hint or "")
    assert call.attempts == []
    with pytest.raises(BadRequestError, match=field):
        await model.count_tokens(request)
