"""Mock providers, looked at from the wire."""

import asyncio
import gzip
import json
import zlib
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from polyvox.dialects import DIALECTS, find_route, get_dialect
from polyvox.dialects.event_stream import EventStreamReader, split_messages
from polyvox.errors import ConfigurationError
from polyvox.events import Done, Failed, Start
from polyvox.messages import Text, UserMessage
from polyvox.providers.simulated import simulated_model
from polyvox.testing import Knobs, MockProvider, check_grammar, run_mock
from polyvox.testing.shaping import has_comments

pytestmark = pytest.mark.parametrize("dialect", sorted(DIALECTS))

WHOLE_CALLS = {"gemini", "ollama"}
"""Dialects that never stream a tool call in pieces."""

TOOL_CALL = {
    "type": "tool_call",
    "id": "call_1",
    "name": "weather",
    "arguments": {"city": "Oslo", "days": 3},
}


def chunks_of(body: bytes) -> list[bytes]:
    """The frames of a streamed answer: server-sent events, lines where it begins with JSON, or binary."""
    if body[:1] == b"\0":
        return split_messages(body)
    return [chunk for chunk in body.split(b"\n" if body[:1] == b"{" else b"\n\n") if chunk]


def json_of(chunk: bytes) -> dict[str, Any]:
    if chunk[:1] == b"\0":
        (frame,) = EventStreamReader().feed(chunk)
        value = json.loads(frame.data)
        return {"error": value} if frame.event.endswith("Exception") else value
    return json.loads(chunk if chunk[:1] == b"{" else chunk.partition(b"data: ")[2])


def data_of(body: bytes) -> list[dict[str, Any]]:
    return [json_of(c) for c in chunks_of(body) if b"data: {" in c or c[:1] in (b"{", b"\0")]


def text_of(data: dict[str, Any]) -> str | None:
    match data:
        case {"type": "response.output_text.delta", "delta": str(text)}:
            return text
        case {"type": "content_block_delta", "delta": {"text": text}}:
            return text
        case {"contentBlockIndex": int(), "delta": {"text": text}}:
            return text
        case {"candidates": [{"content": {"parts": [{"text": text}, *_]}}]}:
            return text
        case {"message": {"content": str(text)}} | {"choices": [{"delta": {"content": text}}]}:
            return text
        case _:
            return None


def text_pieces(body: bytes) -> list[str]:
    """The pieces of text in a streamed answer of any dialect."""
    return [text for data in data_of(body) if (text := text_of(data))]


def arguments_of(data: dict[str, Any]) -> list[str]:
    match data:
        case {"type": "response.function_call_arguments.delta", "delta": str(text)}:
            return [text]
        case {"type": "content_block_delta", "delta": {"partial_json": text}}:
            return [text]
        case {"contentBlockIndex": int(), "delta": {"toolUse": {"input": text}}}:
            return [text]
        case {"choices": [{"delta": {"tool_calls": calls}}]}:
            return [call["function"].get("arguments", "") for call in calls]
        case _:
            return []


def argument_pieces(body: bytes) -> list[str]:
    return [text for data in data_of(body) for text in arguments_of(data) if text]


def error_of(data: dict[str, Any]) -> Any:
    return data.get("error") or data.get("response", {}).get("error")


async def streamed(ask: Any, mock: MockProvider, **fields: Any) -> bytes:
    answer = await (await ask(mock, **fields)).head()
    assert answer.status == 200
    return await answer.body()


async def test_without_a_script_it_echoes(dialect: str, ask: Any):
    async with MockProvider(dialect) as mock:
        body = await streamed(ask, mock, text="to be")
        assert text_pieces(body) == ["to", " be"]


async def test_any_model_may_answer(dialect: str, ask: Any):
    async with MockProvider(dialect, model=simulated_model("lorem")) as mock:
        assert "".join(text_pieces(await streamed(ask, mock))).startswith("Lorem ipsum")


async def test_a_script_is_played_turn_by_turn(dialect: str, ask: Any):
    async with MockProvider(dialect, ["one", "two"]) as mock:
        assert text_pieces(await streamed(ask, mock)) == ["one"]
        assert text_pieces(await streamed(ask, mock)) == ["two"]
        answer = await (await ask(mock)).head()
        assert answer.status == 400
        assert b"script[2] was asked for" in await answer.body()


async def test_whole_answers_are_whole(dialect: str, ask: Any):
    async with MockProvider(dialect, ["hello there"]) as mock:
        answer = await (await ask(mock, stream=False)).head()
        assert answer.headers["content-type"] == "application/json"
        assert "hello there" in json.dumps(json.loads(await answer.body()))


async def test_what_came_and_what_was_sent_are_recorded(dialect: str, ask: Any):
    async with MockProvider(dialect, ["hi there"]) as mock:
        body = await streamed(ask, mock, text="hello", headers={"X-Mine": "1"})
        (request,), (answer,) = mock.requests, mock.answers
        assert request.request is not None
        assert request.request.messages == [UserMessage([Text("hello")])]
        found = find_route(mock.dialect, "POST", request.path)
        assert found is not None
        assert found[0].kind == "answer"
        assert request.headers["x-mine"] == "1"
        assert request.request.model == "m"
        assert answer.body == body
        assert answer.bytes_sent == len(body)
        assert answer.completed
        assert answer.hung_up is None
        check_grammar(answer.events)
        assert isinstance(answer.events[0], Start)
        assert isinstance(answer.events[-1], Done)
        assert answer.events[-1].message.model == "m"
        assert "1 request, 1 answered in full" in mock.summary()
        assert mock.url in mock.summary()


async def test_models_are_listed(dialect: str, ask: Any):
    async with MockProvider(dialect, models=["a", "b"]) as mock:
        path = next(route.path for route in mock.dialect.routes if route.kind == "models")
        answer = await (await ask(mock, method="GET", path=path)).head()
        assert mock.dialect.decode_models(await answer.body()) == ["a", "b"]


async def test_an_unknown_path_says_what_there_is(dialect: str, ask: Any):
    async with MockProvider(dialect) as mock:
        answer = await (await ask(mock, path="/nowhere")).head()
        assert answer.status == 404
        assert (
            f"POST {mock.dialect.base_path + mock.dialect.routes[0].path}"
            in (await answer.body()).decode()
        )


async def test_what_is_no_request_is_refused_and_recorded(dialect: str, ask: Any):
    async with MockProvider(dialect, ["unused"]) as mock:
        answer = await (await ask(mock, messages="nonsense", contents="nonsense", input=7)).head()
        assert answer.status == 400
        assert mock.requests[0].request is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer right"}, 200),
        ({"x-api-key": "right"}, 200),
    ],
)
async def test_the_expected_key_is_asked_for(
    dialect: str, ask: Any, headers: dict[str, str], status: int
):
    async with MockProvider(dialect, expect_key="right") as mock:
        answer = await (await ask(mock, headers=headers)).head()
        assert answer.status == status
        assert b"right" not in await answer.body()


async def test_an_error_turn_becomes_an_error_answer(dialect: str, ask: Any):
    error = {"kind": "rate_limit", "text": "slow down", "retry_after": 2}
    async with MockProvider(dialect, [{"error": error}]) as mock:
        answer = await (await ask(mock)).head()
        assert answer.status == 429
        assert answer.headers["retry-after"] == "2"
        assert b"slow down" in await answer.body()
        assert isinstance(mock.answers[0].events[-1], Failed)


async def test_a_failure_in_the_middle_comes_within_the_stream(dialect: str, ask: Any):
    message = {"content": "par", "stop_reason": "error", "error": "it broke"}
    async with MockProvider(dialect, [{"message": message}]) as mock:
        body = await streamed(ask, mock)
        assert text_pieces(body) == ["par"]
        assert "it broke" in json.dumps(error_of(data_of(body)[-1]))


async def test_retry_after_may_be_a_date(dialect: str, ask: Any):
    knobs = Knobs(status=429, retry_after=60, retry_after_form="date")
    async with MockProvider(dialect, knobs=knobs) as mock:
        answer = await (await ask(mock)).head()
        assert answer.status == 429
        asked_to_wait = parsedate_to_datetime(answer.headers["retry-after"])
        assert asked_to_wait.tzinfo is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 529])
async def test_a_status_may_be_asked_for(dialect: str, ask: Any, status: int):
    async with MockProvider(dialect, knobs=Knobs(status=status)) as mock:
        answer = await (await ask(mock)).head()
        assert answer.status == status
        said = json.loads(await answer.body())
        assert f"status {status}" in json.dumps(said.get("error", said.get("message")))


@pytest.mark.parametrize("stream", [True, False])
async def test_the_body_may_be_empty(dialect: str, ask: Any, stream: bool):
    async with MockProvider(dialect, knobs=Knobs(body="empty")) as mock:
        answer = await (await ask(mock, stream=stream)).head()
        assert answer.status == 200
        assert await answer.body() == b""


@pytest.mark.parametrize(("status", "seen"), [(None, 200), (502, 502)])
async def test_the_body_may_be_a_web_page(dialect: str, ask: Any, status: int | None, seen: int):
    async with MockProvider(dialect, knobs=Knobs(body="html", status=status)) as mock:
        answer = await (await ask(mock)).head()
        assert answer.status == seen
        assert answer.headers["content-type"].startswith("text/html")
        assert (await answer.body()).startswith(b"<!doctype html>")


async def test_a_turns_own_knobs_are_laid_over_the_servers(dialect: str, ask: Any):
    turns = [{"message": {"content": "abcd"}, "knobs": {"text_piece": 2}}, "abcd"]
    async with MockProvider(dialect, turns, knobs=Knobs(text_piece=3)) as mock:
        assert text_pieces(await streamed(ask, mock)) == ["ab", "cd"]
        assert text_pieces(await streamed(ask, mock)) == ["abc", "d"]


@pytest.mark.parametrize("size", [1, 5, 1000])
async def test_tool_arguments_are_split_as_asked(dialect: str, ask: Any, size: int):
    script = [{"message": {"content": [TOOL_CALL]}}]
    async with MockProvider(dialect, script, knobs=Knobs(arguments_piece=size)) as mock:
        body = await streamed(ask, mock)
        if dialect in WHOLE_CALLS:
            assert b':{"city":"Oslo","days":3}' in body
            return
        pieces = argument_pieces(body)
        joined = "".join(pieces)
        assert json.loads(joined) == TOOL_CALL["arguments"]
        assert [len(piece) for piece in pieces[:-1]] == [size] * (len(pieces) - 1)
        assert len(pieces) == -(-len(joined) // size)


async def test_writes_are_as_small_as_asked(dialect: str, ask: Any):
    async with MockProvider(dialect, ["hi"], knobs=Knobs(write_size=7)) as mock:
        answer = await (await ask(mock)).head()
        pieces = [piece async for piece in answer.pieces()]
        assert max(map(len, pieces)) == 7
        assert mock.answers[0].chunks == pieces


async def test_the_head_may_be_late(dialect: str, ask: Any):
    async with MockProvider(dialect, knobs=Knobs(delay_headers=3600)) as mock:
        answer = await ask(mock)
        await mock.wait_for_request()
        await answer.hang_up()
        left = await mock.wait_for_hangup()
        assert left is mock.answers[0]
        assert (left.status, left.hung_up, left.bytes_sent) == (0, "client", 0)
        assert not left.completed


async def test_an_answer_is_told_with_its_request_once_its_status_is_decided(
    dialect: str, ask: Any
):
    async with MockProvider(dialect, knobs=Knobs(delay_headers=3600)) as mock:
        answer = await ask(mock)
        await mock.wait_for_request()
        await answer.hang_up()
        request, sent = await mock.record.next_answer()
        assert (request, sent.status) == (mock.requests[0], 0)
        mock.knobs = Knobs(status=401)
        await (await ask(mock)).head()
        request, sent = await mock.record.next_answer()
        assert (request, sent.status) == (mock.requests[1], 401)


async def test_the_first_chunk_may_be_late(dialect: str, ask: Any):
    async with MockProvider(dialect, knobs=Knobs(delay_first_chunk=3600)) as mock:
        answer = await (await ask(mock)).head()
        await answer.hang_up()
        left = await mock.wait_for_hangup()
        assert (left.status, left.hung_up, left.bytes_sent) == (200, "client", 0)


async def test_chunks_may_be_late(dialect: str, ask: Any):
    async with MockProvider(dialect, knobs=Knobs(delay_chunks=3600)) as mock:
        answer = await (await ask(mock)).head()
        first = await anext(answer.pieces())
        await answer.hang_up()
        left = await mock.wait_for_hangup()
        assert left.chunks == [first]


@pytest.mark.parametrize("delay", ["delay_headers", "delay_first_chunk", "delay_chunks"])
async def test_a_short_delay_changes_nothing_else(dialect: str, ask: Any, delay: str):
    async with MockProvider(dialect, ["a b c"], knobs=Knobs().but({delay: 0.001})) as mock:
        assert "".join(text_pieces(await streamed(ask, mock))) == "a b c"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("size", [0, 1, 150])
async def test_a_body_may_be_cut_at_any_byte(dialect: str, ask: Any, size: int, stream: bool):
    async with MockProvider(dialect, knobs=Knobs(cut_after=size)) as mock:
        answer = await (await ask(mock, text="x" * 200, stream=stream)).head()
        received = await answer.body_until_cut()
        assert len(received) == size
        assert isinstance(answer.cut_by, asyncio.IncompleteReadError)
        (sent,) = mock.answers
        assert sent.body == received
        assert sent.hung_up == "server"
        assert not sent.completed


async def test_a_connection_may_be_reset(dialect: str, ask: Any):
    knobs = Knobs(cut_after=100, cut_mode="rst")
    async with MockProvider(dialect, knobs=knobs) as mock:
        answer = await (await ask(mock)).head()
        await answer.body_until_cut()
        assert isinstance(answer.cut_by, ConnectionResetError)
        assert mock.answers[0].bytes_sent == 100
        assert mock.answers[0].hung_up == "server"


async def test_a_stream_may_stall_until_the_client_leaves(dialect: str, ask: Any):
    knobs = Knobs(cut_after=10, cut_mode="stall")
    async with MockProvider(dialect, knobs=knobs) as mock:
        answer = await (await ask(mock)).head()
        assert len(await anext(answer.pieces())) == 10
        await answer.hang_up()
        left = await mock.wait_for_hangup()
        assert left.bytes_sent == 10
        assert "1 left by the client" in mock.summary()


async def test_a_cut_behind_the_end_still_loses_the_end(dialect: str, ask: Any):
    async with MockProvider(dialect, ["hi", "hi"]) as mock:
        whole = await streamed(ask, mock)
        mock.knobs = Knobs(cut_after=len(whole))
        answer = await (await ask(mock)).head()
        assert len(await answer.body_until_cut()) == len(whole)


@pytest.mark.parametrize("place", [0, 2])
async def test_a_chunk_may_hold_broken_json(dialect: str, ask: Any, place: int):
    async with MockProvider(dialect, knobs=Knobs(malformed_chunk=place)) as mock:
        broken = []
        for number, chunk in enumerate(chunks_of(await streamed(ask, mock))):
            try:
                if b"[DONE]" not in chunk:
                    json_of(chunk)
            except json.JSONDecodeError:
                broken.append(number)
        assert broken == [place]


async def test_a_whole_answer_may_be_broken_json(dialect: str, ask: Any):
    async with MockProvider(dialect, knobs=Knobs(malformed_chunk=0)) as mock:
        answer = await (await ask(mock, stream=False)).head()
        with pytest.raises(json.JSONDecodeError):
            json.loads(await answer.body())


@pytest.mark.parametrize("place", [0, 3])
async def test_an_error_may_come_after_some_chunks(dialect: str, ask: Any, place: int):
    async with MockProvider(dialect, knobs=Knobs(error_after_chunks=place)) as mock:
        found = data_of(await streamed(ask, mock))
        *before, last = [bool(error_of(data)) for data in found]
        assert last
        assert not any(before)
        assert len(before) == place


async def test_a_line_may_be_huge_and_says_the_same(dialect: str, ask: Any):
    async with MockProvider(dialect, ["a b", "a b"]) as mock:
        normal = await streamed(ask, mock)
        mock.knobs = Knobs(huge_line=1_000_000)
        body = await streamed(ask, mock)
        longest = max(map(len, body.split(b"\n")))
        if body[:1] == b"\0":
            longest = max(len(frame.data) for frame in EventStreamReader().feed(body))
        assert longest == 1_000_000
        assert text_pieces(body) == text_pieces(normal)


async def test_comments_are_sent_between_chunks(dialect: str, ask: Any):
    if not has_comments(get_dialect(dialect)):
        with pytest.raises(ConfigurationError, match=f"server-sent events, not for {dialect}"):
            MockProvider(dialect, knobs=Knobs(ping_every=2))
        return
    async with MockProvider(dialect, knobs=Knobs(ping_every=2)) as mock:
        chunks = chunks_of(await streamed(ask, mock))
        pings = [number for number, chunk in enumerate(chunks) if chunk == b": ping"]
        assert pings == list(range(2, len(chunks), 3))


async def test_streams_may_be_compressed_chunk_by_chunk(dialect: str, ask: Any):
    knobs = Knobs(content_encoding="gzip", delay_chunks=3600)
    async with MockProvider(dialect, ["a b"], knobs=knobs) as mock:
        answer = await (await ask(mock)).head()
        assert answer.headers["content-encoding"] == "gzip"
        first = zlib.decompressobj(wbits=31).decompress(await anext(answer.pieces()))
        # Readable before the next chunk is there.
        assert first.endswith(b"\n") or EventStreamReader().feed(first)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_compressed_body_is_a_whole_gzip_file(dialect: str, ask: Any, stream: bool):
    async with MockProvider(dialect, ["a b"], knobs=Knobs(content_encoding="gzip")) as mock:
        answer = await (await ask(mock, stream=stream)).head()
        received = await answer.body()
        assert mock.answers[0].body == received
        said = gzip.decompress(received)
        assert b'"m"' in said or b"outputTokens" in said


async def test_leaving_the_context_breaks_off_what_still_runs(dialect: str, ask: Any):
    async with MockProvider(dialect, knobs=Knobs(delay_chunks=3600)) as mock:
        answer = await (await ask(mock)).head()
        await anext(answer.pieces())
    (sent,) = mock.answers
    assert sent.hung_up == "server"


async def test_many_clients_may_leave_at_once(dialect: str, ask: Any):
    async with MockProvider(dialect, knobs=Knobs(delay_chunks=3600)) as mock:
        answers = [await (await ask(mock)).head() for _ in range(20)]
        for answer in answers:
            await answer.hang_up()
        left = [await mock.wait_for_hangup() for _ in answers]
        assert {id(each) for each in left} == {id(each) for each in mock.answers}


async def test_a_port_may_be_chosen(dialect: str, ask: Any):
    async with MockProvider(dialect) as first:
        port = int(first.url.split(":")[2].split("/")[0])
    async with MockProvider(dialect, port=port) as second:
        assert second.url == first.url
        assert text_pieces(await streamed(ask, second, text="hi")) == ["hi"]


async def test_run_mock_serves_until_cancelled(dialect: str, ask: Any):
    ready: asyncio.Future[MockProvider] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_mock(MockProvider(dialect, ["hi"]), ready.set_result))
    mock = await ready
    assert text_pieces(await streamed(ask, mock)) == ["hi"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        await ask(mock)


@pytest.mark.parametrize(
    ("knobs", "problem"),
    [
        ({"delays": 1}, r"script\[1\]\.knobs: there is no knob 'delays'"),
        ({"cut_aftr": 1}, "no knob 'cut_aftr'\nDid you mean 'cut_after'\\?"),
        ({"cut_mode": "bang"}, r"script\[1\]\.knobs: .*bang"),
        ({"text_piece": 0}, r"script\[1\]\.knobs: .*>= 1"),
    ],
)
def test_wrong_knobs_are_errors_that_name_the_turn(
    dialect: str, knobs: dict[str, Any], problem: str
):
    script = ["a", {"message": {"content": "b"}, "knobs": knobs}]
    with pytest.raises(ConfigurationError, match=problem):
        MockProvider(dialect, script)
