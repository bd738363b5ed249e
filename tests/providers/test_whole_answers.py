"""A provider's answer without events: the same message, error and books as by its stream."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import pytest
from msgspec.structs import replace

from polyvox.assembly import unfold
from polyvox.dialects import DIALECTS, get_dialect
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    NetworkError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)
from polyvox.events import Passed
from polyvox.http import HttpRequest, Timeouts
from polyvox.messages import AssistantMessage, File, user
from polyvox.model import Call, Interrupt
from polyvox.providers import ProviderModel
from polyvox.request import Request, ResponseFormat
from polyvox.testing import ScriptedModel
from polyvox.usage import Cost, Usage
from polyvox.verbatim import Verbatim
from polyvox.whole import drained, whole

from .answers import Answer, a_model, an_answer, streamed

WHOLE = Request(messages=[user("Why is the sky blue?")], stream=False)
Way: TypeAlias = Callable[[ProviderModel, Request, Call], Awaitable[AssistantMessage]]


async def told(way: Way, model: ProviderModel, call: Call, request: Request = WHOLE) -> Any:
    """All that a caller, and who keeps the books, can see of a call; the times left out."""
    try:
        outcome: Any = await way(model, request, call)
    except PolyvoxError as error:
        outcome = (type(error), error.to_dict(), str(error), error.message)
    return outcome, books(call)


def books(call: Call) -> Any:
    untimed = [
        replace(each, started=0, seconds=0, first_byte=each.first_byte and 1)
        for each in call.attempts
    ]
    return *untimed, call.partial


def whole_body(dialect: str) -> bytes:
    return get_dialect(dialect).encode_response(an_answer("Because."), WHOLE)


def kinds_of_answers(dialect: str) -> Iterator[tuple[str, Callable[[], Answer | PolyvoxError]]]:
    """Each by a name; made anew for each asking, of the same bytes."""
    body, head = whole_body(dialect), {"x-request-id": "req_1"}
    pieces = streamed(dialect, unfold(an_answer("Because.")))
    _, refusal = get_dialect(dialect).encode_error(RateLimitError("too many at once"))
    yield "ok", lambda: Answer(body, headers=head)
    yield "in pieces", lambda: Answer(b"\n", body[:20], body[20:])
    yield "no usage", lambda: Answer(body.replace(b'"usage', b'"no_usage'))
    yield "a stream all the same", lambda: Answer(*pieces, headers=head)
    yield "a stream at once", lambda: Answer(b"".join(pieces))
    if dialect != "gemini":  # whose streams end with the connection
        yield "no hanging up", lambda: Answer(*pieces, then_wait=True)
        yield "all at once, no hanging up", lambda: Answer(b"".join(pieces), then_wait=True)
    yield "a stream that is cut", lambda: Answer(*pieces[:-2])
    yield "a stream that breaks", lambda: Answer(*pieces[:-2], NetworkError("reset by peer"))
    yield "refused", lambda: Answer(refusal, status=429, headers={"retry-after": "7", **head})
    yield "the key repeated", lambda: Answer(b"no sk-canary", status=401)
    yield "an error as an answer", lambda: Answer(refusal)
    yield "redirected", lambda: Answer(status=302)
    yield "a web page", lambda: Answer(b" <html>sk-canary")
    yield "nothing", Answer
    yield "blank", lambda: Answer(b" \n")
    yield "cut", lambda: Answer(body[: len(body) // 2])
    yield "broken", lambda: Answer(body[:9], NetworkError("reset by peer"))
    yield "no connection", lambda: NetworkError("refused")
    yield "no connection in time", lambda: RequestTimeoutError("too late", phase="connect")


CASES = [
    pytest.param(dialect, answer, id=f"{dialect}: {name}")
    for dialect in DIALECTS
    for name, answer in kinds_of_answers(dialect)
]


@pytest.mark.parametrize(("dialect", "answer"), CASES)
@pytest.mark.parametrize(
    "request_", [WHOLE, Request(messages=[user("Why?")])], ids=["whole", "stream"]
)
async def test_message_error_and_books_are_those_of_the_stream(dialect, answer, request_):
    by_stream = await told(drained, a_model(dialect, answer()), Call(), request_)
    model = a_model(dialect, answer())
    assert await told(ProviderModel.answer, model, Call(), request_) == by_stream
    assert "canary" not in repr(by_stream)


class AtOnce(Answer):
    """The same, all of it there with the head."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(*answer.pieces, status=answer.status, headers=answer.headers)

    def whole(self) -> bytes | None:
        broken = any(isinstance(piece, Exception) for piece in self.pieces)
        return None if broken else b"".join(self.pieces)


def at_once(answer: Answer | PolyvoxError) -> Answer | PolyvoxError:
    return AtOnce(answer) if isinstance(answer, Answer) else answer


@pytest.mark.parametrize(("dialect", "answer"), CASES)
@pytest.mark.parametrize("way", [drained, ProviderModel.answer])
async def test_an_answer_that_is_there_at_once_is_the_same_answer(way, dialect, answer):
    waited_for = await told(way, a_model(dialect, answer()), Call())
    assert await told(way, a_model(dialect, at_once(answer())), Call()) == waited_for


async def test_what_is_told_is_more_than_nothing():
    """For the test above, which compares."""
    call = Call()
    message = await a_model("openai-chat", Answer(whole_body("openai-chat"))).answer(WHOLE, call)
    assert message.text == "Because."
    assert message.usage == Usage(12, 5, cost=Cost("known", 17 * 10**9, source="catalog"))
    (attempt,) = call.attempts
    assert attempt.usage == message.usage
    assert attempt.error is None
    assert 0 <= attempt.first_byte <= attempt.seconds
    with pytest.raises(AuthenticationError) as caught:
        await a_model("openai-chat", Answer(b"no", status=401)).answer(WHOLE, call)
    assert caught.value.message.stop_reason == "error"
    assert caught.value.message.usage.cost == Cost("known")
    assert (caught.value.provider, caught.value.model) == ("acme", "m1")
    assert [each.error for each in call.attempts] == [None, "authentication"]


@pytest.mark.parametrize("way", [drained, ProviderModel.answer])
async def test_the_connection_serves_again(way):
    for answer in (
        Answer(whole_body("openai-chat")),
        Answer(*streamed("openai-chat", unfold(an_answer("Hello"))), b": goodbye\n\n"),
    ):
        await way(a_model("openai-chat", answer), WHOLE, Call())
        assert answer.read_to_end
        assert answer.closed


# ------------------------------------------------------------------------------ cut from our side

TINY = 0.05


class Silent:
    """A transport that never gives an answer."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def send(self, request: HttpRequest) -> Answer:
        self.asked.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError


def a_silent_model(timeouts: Timeouts | None = None) -> ProviderModel:
    model = a_model("openai-chat", Answer(), timeouts)
    model.transport = Silent()
    return model


def stalling(*pieces: bytes, timeouts: Timeouts | None = None) -> ProviderModel:
    return a_model("openai-chat", Answer(*pieces, then_wait=True), timeouts)


CHUNKS = list(streamed("openai-chat", list(unfold(an_answer("Because.")))[:-1]))
STALLS = {
    "before the head": a_silent_model,
    "before the body": lambda timeouts=None: stalling(timeouts=timeouts),
    "in a whole answer": lambda timeouts=None: stalling(b'{"id":', timeouts=timeouts),
    "in a stream": lambda timeouts=None: stalling(*CHUNKS, timeouts=timeouts),
    "in a refusal": lambda timeouts=None: ProviderModel(
        get_dialect("openai-chat"),
        a_silent_model().target,
        a_model("openai-chat", Answer(b"no", status=429, then_wait=True)).transport,
        timeouts=timeouts,
    ),
}


@pytest.mark.parametrize("stall", [name for name in STALLS if name != "in a refusal"])
@pytest.mark.parametrize(
    "timeouts",
    [
        Timeouts(first_byte=TINY, idle=None),
        Timeouts(first_byte=None, idle=TINY, total=4 * TINY),
        Timeouts(first_byte=None, idle=None, total=TINY),
    ],
    ids=["first byte", "idle", "total"],
)
async def test_each_deadline_ends_it_as_it_ends_the_stream(stall, timeouts):
    if timeouts.first_byte and stall.startswith("in "):
        timeouts = Timeouts(first_byte=TINY, idle=None, total=4 * TINY)
    by_stream = await told(drained, STALLS[stall](timeouts), Call())
    assert await told(ProviderModel.answer, STALLS[stall](timeouts), Call()) == by_stream
    kind, error, _, message = by_stream[0]
    assert kind is RequestTimeoutError
    assert error["phase"] in ("first_byte", "idle", "total")
    assert message.usage.basis in ("partial", "estimated")


@pytest.mark.parametrize("stall", STALLS)
async def test_an_interrupt_ends_it_as_it_ends_the_stream(stall):
    async def interrupted(way: Way) -> Any:
        call = Call(interrupt=Interrupt())
        model = STALLS[stall]()
        asking = asyncio.create_task(told(way, model, call))
        await until_it_waits(model)
        call.interrupt.set("enough")
        return await asking

    by_stream = await interrupted(drained)
    assert await interrupted(ProviderModel.answer) == by_stream
    assert by_stream[0][0] is AbortedError


@pytest.mark.parametrize("stall", STALLS)
async def test_a_cancelled_task_leaves_what_the_stream_would_leave(stall):
    async def cancelled(way: Way) -> Any:
        call, model = Call(), STALLS[stall]()
        asking = asyncio.create_task(way(model, WHOLE, call))
        await until_it_waits(model)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return books(call)

    by_stream = await cancelled(drained)
    assert await cancelled(ProviderModel.answer) == by_stream
    *_, partial = by_stream
    assert partial.stop_reason == "aborted"
    assert partial.text == ("Because." if stall == "in a stream" else "")


async def until_it_waits(model: ProviderModel) -> None:
    """Until the answer has nothing more to give."""
    if isinstance(model.transport, Silent):
        await model.transport.asked.wait()
        return
    await model.transport.answer.waits.wait()


async def test_an_interrupt_before_it_began_sends_nothing():
    call = Call(interrupt=Interrupt())
    call.interrupt.set("changed my mind")
    model = a_model("openai-chat", Answer())
    with pytest.raises(AbortedError, match="changed my mind") as caught:
        await model.answer(WHOLE, call)
    assert caught.value.message.usage.cost == Cost("known")
    assert model.transport.sent == []
    assert call.attempts == []


async def test_a_request_that_cannot_be_carried_is_not_sent():
    request = Request(messages=[user(File(data=b"PK", media_type="application/zip"))], stream=False)
    by_stream = await told(drained, a_model("anthropic-messages", Answer()), Call(), request)
    model = a_model("anthropic-messages", Answer())
    assert await told(ProviderModel.answer, model, Call(), request) == by_stream
    assert model.transport.sent == []


# ----------------------------------------------------------------------------------- as it came


def verbatim_call(*, stream: bool = False) -> tuple[Request, Call]:
    request = Request(messages=[user("Why?")], stream=stream)
    body = get_dialect("openai-chat").encode_request(request, a_silent_model().target).body
    return request, Call(verbatim=Verbatim("openai-chat", request, body))


@pytest.mark.parametrize("way", [drained, ProviderModel.answer])
async def test_the_bytes_of_a_whole_answer_stand_in_the_verbatim(way):
    body = whole_body("openai-chat").replace(b"{", b'{"unheard_of": 1, ', 1)
    request, call = verbatim_call()
    message = await way(a_model("openai-chat", Answer(b" ", body[:30], body[30:])), request, call)
    assert message.text == "Because."
    assert call.verbatim.used
    assert call.verbatim.answer == body


@pytest.mark.parametrize("way", [drained, ProviderModel.answer])
async def test_a_stream_that_nobody_asked_for_is_not_passed_on(way):
    request, call = verbatim_call()
    answer = Answer(*streamed("openai-chat", unfold(an_answer("Because."))))
    assert (await way(a_model("openai-chat", answer), request, call)).text == "Because."
    assert not call.verbatim.used


@pytest.mark.parametrize(
    "pieces",
    [[whole_body("openai-chat")], streamed("openai-chat", unfold(an_answer("Because.")))],
    ids=["whole", "streamed"],
)
async def test_without_events_a_stream_is_not_passed_on_either(pieces):
    request, call = verbatim_call(stream=True)
    assert (await a_model("openai-chat", Answer(*pieces)).answer(request, call)).text == "Because."
    assert not call.verbatim.used


async def test_as_events_the_bytes_of_a_stream_are_passed_on():
    request, call = verbatim_call(stream=True)
    pieces = streamed("openai-chat", unfold(an_answer("Because.")))
    events = [each async for each in a_model("openai-chat", Answer(*pieces)).stream(request, call)]
    assert call.verbatim.used
    assert b"Because." in b"".join(each.data for each in events if isinstance(each, Passed))


async def test_a_refused_request_has_no_bytes_to_pass_on():
    request, call = verbatim_call()
    with pytest.raises(RateLimitError):
        await a_model("openai-chat", Answer(b"{}", status=429)).answer(request, call)
    assert call.verbatim.answer == b""


# -------------------------------------------------------------------------------- any other model


async def test_json_that_is_had_on_a_detour_is_the_text_of_the_answer():
    request = Request(
        messages=[user("Where?")], stream=False, response_format=ResponseFormat({"type": "object"})
    )
    model = a_model("bedrock-converse", Answer(whole_body("bedrock-converse")))
    by_stream = await told(drained, model, Call(), request)
    model = a_model("bedrock-converse", Answer(whole_body("bedrock-converse")))
    assert await told(ProviderModel.answer, model, Call(), request) == by_stream


async def test_a_model_without_a_shorter_way_is_drained():
    model = ScriptedModel(["Hello.", ServerError("broken")])
    assert (await whole(model, WHOLE, Call())).text == "Hello."
    with pytest.raises(ServerError, match="broken") as caught:
        await whole(model, WHOLE, Call())
    assert caught.value.message is not None


async def test_a_model_with_a_shorter_way_is_asked_that():
    class Short:
        name = "short"

        async def answer(self, request: Request, call: Call) -> AssistantMessage:
            return an_answer("Short.")

        def stream(self, request: Request, call: Call) -> Any:
            raise AssertionError

    assert (await whole(Short(), WHOLE, Call())).text == "Short."


async def test_a_stream_without_an_ending_is_the_servers_error():
    class Endless:
        name = "endless"

        async def stream(self, request: Request, call: Call) -> Any:
            for event in list(unfold(an_answer("Hello")))[:-1]:
                yield event

    with pytest.raises(ServerError, match="without an ending"):
        await whole(Endless(), WHOLE, Call())


async def test_what_breaks_the_format_is_told_with_its_message():
    with pytest.raises(ProtocolError) as caught:
        await a_model("openai-chat", Answer(b"{broken")).answer(WHOLE, Call())
    assert caught.value.message.error == caught.value.text
