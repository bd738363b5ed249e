"""The fault table: what every way of failing becomes, and that none is a silent success."""

import asyncio
import json
import logging
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest

from polyvox import AsyncClient
from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
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
from polyvox.events import Done, Failed, encode_event
from polyvox.http import Timeouts
from polyvox.messages import AssistantMessage, Text, ToolCall
from polyvox.testing import Knobs, MockProvider
from polyvox.usage import Usage

from .rig import (
    CANARY,
    MODELS,
    async_client,
    elsewhere,
    listen,
    soon,
    sync_client,
)

ANSWER = AssistantMessage(
    [
        Text("Hello, wörld 🌍, here is the weather."),
        ToolCall("call_1", "weather", {"city": "Reykjavik", "days": 3}),
        ToolCall("call_2", "weather", {"city": "Oslo", "days": 4}),
    ],
    "tool_calls",
    Usage(100, 50),
)
CUT_FINE = Knobs(text_piece=4, arguments_piece=5)
"""Many small chunks, so that there are many places to fail at."""

WAITING = Timeouts(first_byte=0.3, idle=30)
PAUSING = Timeouts(first_byte=30, idle=0.3)


class Fault(NamedTuple):
    """What the server does, and what must become of it."""

    knobs: dict[str, Any]
    error: type[PolyvoxError]
    retryable: bool
    timeouts: Timeouts = Timeouts()
    attributes: dict[str, Any] = {}  # noqa: RUF012


REFUSALS = {
    "401": Fault({"status": 401}, AuthenticationError, False),
    "403": Fault({"status": 403}, PermissionDeniedError, False),
    "404": Fault({"status": 404}, NotFoundError, False),
    "413": Fault({"status": 413}, BadRequestError, False),
    "429 with seconds": Fault(
        {"status": 429, "retry_after": 7}, RateLimitError, True, attributes={"retry_after": 7.0}
    ),
    "429 with a date": Fault(
        {"status": 429, "retry_after": 7, "retry_after_form": "date"},
        RateLimitError,
        True,
        attributes={"retry_after": pytest.approx(7, abs=2)},
    ),
    "500": Fault({"status": 500}, ServerError, True),
    "503": Fault({"status": 503}, OverloadedError, True),
    "529": Fault({"status": 529}, OverloadedError, True),
    "500 with a web page": Fault({"status": 500, "body": "html"}, ServerError, True),
    "429 without a body": Fault({"status": 429, "body": "empty"}, RateLimitError, True),
    "429 that is cut off": Fault({"status": 429, "cut_after": 10}, RateLimitError, True),
    "401 that is reset": Fault(
        {"status": 401, "cut_after": 10, "cut_mode": "rst"}, AuthenticationError, False
    ),
    "401 that stalls": Fault(
        {"status": 401, "cut_after": 10, "cut_mode": "stall"}, AuthenticationError, False, PAUSING
    ),
    "401 with 2 MB": Fault({"status": 401, "huge_line": 2 * 2**20}, AuthenticationError, False),
}
"""The request was not served: nothing arrived, and nothing is to be paid."""

NO_ANSWERS = {
    "a stall before the headers": Fault(
        {"delay_headers": 3600}, RequestTimeoutError, True, WAITING, {"phase": "first_byte"}
    ),
    "a stall before the first chunk": Fault(
        {"cut_after": 0, "cut_mode": "stall"},
        *(RequestTimeoutError, True, WAITING, {"phase": "first_byte"}),
    ),
    "an end before the first chunk": Fault({"cut_after": 0}, NetworkError, True),
    "a reset before the first chunk": Fault(
        {"cut_after": 0, "cut_mode": "rst"}, NetworkError, True
    ),
    "an error frame first": Fault({"error_after_chunks": 0}, ServerError, True),
    "broken JSON first": Fault({"malformed_chunk": 0}, ProtocolError, True),
    "an empty body": Fault({"body": "empty"}, ProtocolError, True),
    "a web page": Fault({"body": "html"}, ProtocolError, True),
}
"""The request was taken, and not a word of an answer came: the prompt may have to be paid."""

# Where to cut: behind which bytes of the body.
PLACES = {
    "in the text": "here",
    "in the middle of a character": "🌍".encode()[:2],
    "in the middle of a line": b"wea",
    "in the arguments of a call": "eykj",
    "in the arguments of the second call": "slo",
}


def script(knobs: dict[str, Any]) -> list[Any]:
    return [{"message": plain(ANSWER), "knobs": knobs, "repeat": True}]


def plain(message: AssistantMessage) -> dict[str, Any]:
    return msgspec.to_builtins(message)


async def body_of(dialect: str) -> bytes:
    """The whole answer, as the server sends it when nothing goes wrong."""
    async with (
        MockProvider(dialect, script({}), knobs=CUT_FINE) as mock,
        async_client(dialect, mock.url) as client,
    ):
        assert (await client.complete(MODELS[dialect], "Hi.")).content == ANSWER.content
        return mock.answers[0].body


def arrived(body: bytes) -> tuple[str, list[str], bool]:
    """The text, the arguments and whether the answer is over, by the whole frames in these bytes."""
    text, arguments, ended = "", {}, False
    for frame in body.split(b"\n\n")[:-1]:
        data = frame.rpartition(b"data: ")[2]
        chunk: Any = {} if data == b"[DONE]" else json.loads(data)
        delta = chunk.get("delta", {})
        for choice in chunk.get("choices", ()):
            delta = choice["delta"]
            ended = ended or choice["finish_reason"] is not None
            for call in delta.get("tool_calls", ()):
                add(arguments, call["index"], call["function"]["arguments"])
        if chunk.get("content_block", {}).get("type") == "tool_use":
            add(arguments, chunk["index"], "")
        if "partial_json" in delta:
            add(arguments, chunk["index"], delta["partial_json"])
        text += delta.get("content") or delta.get("text") or ""
        ended = ended or chunk.get("type") == "message_stop"
    return text, [arguments[index] for index in sorted(arguments)], ended


def add(arguments: dict[int, str], index: int, piece: str) -> None:
    arguments[index] = arguments.get(index, "") + piece


def arguments_of(call: ToolCall) -> Any:
    """What is known of a call's arguments, whole or not, comparable with what arrived."""
    return call.arguments if call.executable else call.unparsed


@asynccontextmanager
async def faulty(dialect: str, fault: Fault) -> AsyncIterator[tuple[MockProvider, AsyncClient]]:
    knobs = {"text_piece": 4, "arguments_piece": 5, **fault.knobs}
    async with (
        MockProvider(dialect, script(knobs)) as mock,
        async_client(dialect, mock.url, timeouts=fault.timeouts) as client,
    ):
        yield mock, client


def check_error(error: PolyvoxError, dialect: str, fault: Fault) -> AssistantMessage:
    """The error says what it must, to whom it happened and what had arrived, and no secret."""
    assert type(error) is fault.error, repr(error)
    assert error.retryable is fault.retryable
    for name, value in fault.attributes.items():
        assert getattr(error, name) == value
    message = error.message
    assert message is not None
    assert f"{error.provider}/{error.model}" == MODELS[dialect]
    assert f"{message.provider}/{message.model}" == MODELS[dialect]
    assert (message.stop_reason, message.error) == ("error", error.text)
    assert message.usage.cost.status == "known"
    assert error.text
    check_silence(error)
    return message


def check_silence(error: PolyvoxError) -> None:
    """The key is nowhere in what a program may log."""
    message = error.message or AssistantMessage([])
    told = [
        repr(error),
        str(error),
        json.dumps(error.to_dict()),
        "".join(traceback.format_exception(error)),
        repr(error.__cause__),
        repr(error.__context__),
        encode_event(Failed(error, message)).decode(),
    ]
    assert not [text for text in told if CANARY in text]


async def in_every_way(client: AsyncClient, dialect: str, url: str, fault: Fault):
    """The error as a model tells it, and as both clients raise it."""
    *_, failed = await soon(listen(client.model(MODELS[dialect])))
    assert isinstance(failed, Failed), f"a silent success: {failed}"
    assert failed.error.message == failed.message
    yield failed.error
    with pytest.raises(PolyvoxError) as caught:
        await soon(client.complete(MODELS[dialect], "Hi."))
    yield caught.value

    def ask() -> None:
        with sync_client(dialect, url, timeouts=fault.timeouts) as synchronous:
            synchronous.complete(MODELS[dialect], "Hi.")

    with pytest.raises(PolyvoxError) as caught:
        await elsewhere(ask)
    yield caught.value


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refused_request_is_an_error_that_costs_nothing(dialect, name, caplog):
    caplog.set_level(logging.DEBUG)
    fault = REFUSALS[name]
    async with faulty(dialect, fault) as (mock, client):
        async for error in in_every_way(client, dialect, mock.url, fault):
            message = check_error(error, dialect, fault)
            assert message.content == []
            assert error.status == fault.knobs["status"]
            assert str(error.request_id).startswith("req_mock_")
            assert (message.usage.total_tokens, message.usage.cost.nanos) == (0, 0)
        assert all(CANARY in str(request.headers) for request in mock.requests)
    assert CANARY not in caplog.text


@pytest.mark.parametrize("name", NO_ANSWERS)
async def test_an_answer_that_never_comes_is_an_error(dialect, name, caplog):
    caplog.set_level(logging.DEBUG)
    fault = NO_ANSWERS[name]
    async with faulty(dialect, fault) as (mock, client):
        async for error in in_every_way(client, dialect, mock.url, fault):
            message = check_error(error, dialect, fault)
            assert message.content == []
            assert message.usage.basis == "partial"
            assert message.usage.input_tokens > 0
            assert message.usage.cost.nanos > 0
            if "headers" not in name:
                assert str(error.request_id).startswith("req_mock_")
                assert message.request_id == error.request_id
    assert CANARY not in caplog.text


CUTS = {"fin": NetworkError, "rst": NetworkError, "stall": RequestTimeoutError}


@pytest.mark.parametrize("mode", CUTS)
@pytest.mark.parametrize("place", PLACES)
async def test_an_answer_that_breaks_off_keeps_exactly_what_arrived(dialect, place, mode):
    body = await body_of(dialect)
    mark = PLACES[place]
    mark = mark if isinstance(mark, bytes) else mark.encode()
    at = body.index(mark) + len(mark)
    if isinstance(PLACES[place], str):
        at = body.index(b"\n\n", at) + 2
    fault = Fault({"cut_after": at, "cut_mode": mode}, CUTS[mode], True, PAUSING)
    text, arguments, ended = arrived(body[:at])
    assert text
    assert not ended
    async with faulty(dialect, fault) as (mock, client):
        async for error in in_every_way(client, dialect, mock.url, fault):
            message = check_error(error, dialect, fault)
            assert getattr(error, "phase", "idle") == "idle"
            assert message.text == text
            assert [arguments_of(call) for call in message.tool_calls][-1:] == arguments[-1:]
            assert not any(call.executable for call in message.tool_calls[-1:])
            assert message.usage.basis == "partial"
            assert message.usage.output_tokens > 0
            assert 0 < message.usage.cost.output_nanos <= message.usage.cost.nanos
            assert str(error.request_id).startswith("req_mock_")


@pytest.mark.parametrize("mode", ["fin", "rst"])
async def test_cutting_a_stream_anywhere_keeps_exactly_what_arrived(dialect, mode):
    body = await body_of(dialect)
    places = range(1, len(body), max(1, len(body) // 60))
    knobs = [{"cut_after": at, "cut_mode": mode} for at in places]
    turns = [{"message": plain(ANSWER), "knobs": each} for each in knobs]
    async with (
        MockProvider(dialect, turns, knobs=CUT_FINE) as mock,
        async_client(dialect, mock.url) as client,
    ):
        for at in places:
            text, arguments, ended = arrived(body[:at])
            *_, last = await soon(listen(client.model(MODELS[dialect])))
            assert isinstance(last, Done if ended else Failed), at
            assert last.message.text == text
            calls = last.message.tool_calls
            assert len(calls) == len(arguments)
            for call, whole, came in zip(calls, ANSWER.tool_calls, arguments, strict=False):
                assert (
                    call.arguments == whole.arguments if call.executable else call.unparsed == came
                )
            assert ended or mode == "rst" or isinstance(last.error, NetworkError | ProtocolError)


@pytest.mark.parametrize(
    ("knobs", "error"),
    [({"malformed_chunk": 6}, ProtocolError), ({"error_after_chunks": 6}, ServerError)],
)
async def test_an_answer_that_goes_wrong_in_the_middle_keeps_what_had_arrived(
    dialect, knobs, error
):
    fault = Fault(knobs, error, True)
    body = await body_of(dialect)
    text, _, _ = arrived(b"".join(frame + b"\n\n" for frame in body.split(b"\n\n")[:6]))
    assert text
    async with faulty(dialect, fault) as (mock, client):
        async for failure in in_every_way(client, dialect, mock.url, fault):
            message = check_error(failure, dialect, fault)
            assert message.text == text
            assert message.usage.basis == "partial"


async def test_a_port_where_nobody_listens_is_an_error_that_costs_nothing(dialect):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    fault = Fault({}, NetworkError, True)
    url = f"http://127.0.0.1:{port}"
    async with async_client(dialect, url) as client:
        async for error in in_every_way(client, dialect, url, fault):
            message = check_error(error, dialect, fault)
            assert (message.content, message.usage.total_tokens) == ([], 0)
            assert message.usage.cost.nanos == 0


async def test_a_host_that_does_not_exist_is_an_error_that_costs_nothing(dialect, monkeypatch):
    def nowhere(*_: object, **__: object):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("POLYVOX_TRANSPORT", "aiohttp")  # the native one asks the system itself
    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    fault = Fault({}, NetworkError, False)
    url = "http://models.invalid"
    async with async_client(dialect, url) as client:
        async for error in in_every_way(client, dialect, url, fault):
            message = check_error(error, dialect, fault)
            assert "models.invalid" in error.text
            assert message.usage.cost.nanos == 0


async def test_a_provider_that_repeats_the_key_does_not_make_us_tell_it(dialect, caplog):
    caplog.set_level(logging.DEBUG)
    refusal = {"error": AuthenticationError(f"Incorrect API key provided: {CANARY}").to_dict()}
    async with (
        MockProvider(dialect, [{**refusal, "repeat": True}]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        fault = Fault({}, AuthenticationError, False)
        async for error in in_every_way(client, dialect, mock.url, fault):
            check_error(error, dialect, fault)
            assert "Incorrect API key provided" in error.text
            assert CANARY not in str(error.message)
    assert CANARY not in caplog.text


async def test_the_key_of_the_environment_stays_as_secret_as_one_that_is_passed(
    dialect, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    provider = MODELS[dialect].partition("/")[0].upper()
    async with MockProvider(dialect, script({"status": 500})) as mock:
        monkeypatch.setenv(f"{provider}_API_KEY", CANARY)
        monkeypatch.setenv(f"{provider}_BASE_URL", mock.url)
        async with AsyncClient() as client:
            assert CANARY not in repr(vars(client)) + repr(vars(client.registry)["_keys"])
            with pytest.raises(ServerError) as caught:
                await client.complete(MODELS[dialect], "Hi.")
            check_silence(caught.value)
            assert CANARY in str(mock.requests[0].headers)
            model: Any = client.model(MODELS[dialect])
            assert CANARY not in repr(model.target)
    assert CANARY not in caplog.text


async def test_no_fault_blocks_the_connection_of_the_next_call(dialect):
    turns = [{"message": plain(ANSWER), "knobs": each.knobs} for each in REFUSALS.values()]
    turns = [turn for turn in turns if "stall" not in str(turn["knobs"])]
    async with (
        MockProvider(dialect, [*turns, "Hello."]) as mock,
        async_client(dialect, mock.url) as client,
    ):
        failures = await asyncio.gather(
            *(client.complete(MODELS[dialect], "Hi.") for _ in turns), return_exceptions=True
        )
        assert all(isinstance(failure, PolyvoxError) for failure in failures)
        assert (await soon(client.complete(MODELS[dialect], "Hi."))).text == "Hello."
