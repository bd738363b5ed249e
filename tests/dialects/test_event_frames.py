"""Who cuts server-sent events, what is joined to runs, and what decoders make of these."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import fields

from polyvox.dialects import Dialect, FrameReader, Target, event_frames, get_dialect
from polyvox.dialects.event_frames import NativeSSEReader
from polyvox.dialects.openai_chat.wire import Choice, Chunk, Delta
from polyvox.dialects.sse import Run, ServerSentEvent, SSEReader
from polyvox.errors import ProtocolError
from polyvox.events import Event, TextDelta, ThinkingDelta, ToolCallDelta

CHAT, MESSAGES = get_dialect("openai-chat"), get_dialect("anthropic-messages")
TARGET = Target(provider="some", model="model", base_url="https://api.example")
BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": ""},
    {"type": "thinking", "thinking": ""},
    {"type": "tool_use", "id": "call_1", "name": "look", "input": {}},
]
PIECES = {0: ("text_delta", "text"), 1: ("thinking_delta", "thinking")}
PIECES[2] = ("input_json_delta", "partial_json")

needs_the_wheel = pytest.mark.skipif(
    not NativeSSEReader.available(), reason="polyvox-native is not installed"
)


def chunk(
    content: Any = "x", delta: Any = None, choice: Any = None, **more: Any
) -> ServerSentEvent:
    """A frame of openai-chat."""
    said = {"index": 0, "delta": {"content": content, **(delta or {})}, **(choice or {})}
    body = {"id": "c", "model": "m", "choices": [said], **more}
    return ServerSentEvent(json.dumps(body).encode())


def piece(index: int, text: str, like: int | None = None) -> ServerSentEvent:
    """A frame of anthropic-messages that lets one of `BLOCKS` grow, or says so like another of them."""
    kind, key = PIECES[index if like is None else like]
    delta = {"type": kind, key: text}
    body = {"type": "content_block_delta", "index": index, "delta": delta}
    return ServerSentEvent(json.dumps(body).encode(), "content_block_delta")


def beginning() -> Iterator[ServerSentEvent]:
    message = {"type": "message", "id": "m", "model": "x", "content": []}
    yield ServerSentEvent(json.dumps({"type": "message_start", "message": message}).encode())
    for index, block in enumerate(BLOCKS):
        body = {"type": "content_block_start", "index": index, "content_block": block}
        yield ServerSentEvent(json.dumps(body).encode())


def run_of(frames: list[ServerSentEvent], texts: list[str], **more: Any) -> Run:
    """These frames as a run."""
    data = b"\n".join(frame.data for frame in frames)
    return Run(data, frames[0].event, texts, **more)


def written(*frames: ServerSentEvent) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (frame.event.encode(), frame.data)
        if frame.event
        else b"data: %b\n\n" % frame.data
        for frame in frames
    )


def events_of(dialect: Dialect, frames: list[ServerSentEvent]) -> list[Event]:
    decoder = dialect.stream_decoder(TARGET)
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


def told(events: list[Event]) -> list[str]:
    """All that they say; two errors alike are not equal."""
    return [repr(event) for event in events]


# -- who reads -------------------------------------------------------------------------------------


@pytest.fixture
def looked_up_anew() -> Iterator[Callable[[], None]]:
    """Lets who reads be looked up again, which is otherwise done once in a process."""
    forget = event_frames._by_compiled_code.cache_clear
    forget()
    yield forget
    forget()


def test_python_reads_where_the_wheel_is_not_there(
    monkeypatch: pytest.MonkeyPatch, looked_up_anew: Callable[[], None]
):
    monkeypatch.setattr(event_frames, "_compiled", lambda: None)
    monkeypatch.delenv("POLYVOX_TRANSPORT", raising=False)
    assert not NativeSSEReader.available()
    assert isinstance(CHAT.frame_reader(), SSEReader)


@pytest.mark.parametrize("name", ["openai-chat", "anthropic-messages", "openai-responses"])
@needs_the_wheel
def test_compiled_code_reads_where_it_is_and_is_not_switched_off(
    name: str, monkeypatch: pytest.MonkeyPatch, looked_up_anew: Callable[[], None]
):
    for word, kind in {"": NativeSSEReader, "auto": NativeSSEReader, "aiohttp": SSEReader}.items():
        monkeypatch.setenv("POLYVOX_TRANSPORT", word)
        looked_up_anew()
        reader = get_dialect(name).frame_reader()
        assert isinstance(reader, kind)
        assert reader.media_type == "text/event-stream"


@needs_the_wheel
def test_a_frame_that_is_too_long_has_the_same_error_with_both():
    said: list[str] = []
    readers: list[FrameReader] = [SSEReader(9), NativeSSEReader(9)]
    for reader in readers:
        with pytest.raises(ProtocolError, match="longer than 9 bytes") as caught:
            reader.feed(b"data: 0123456789\n\n")
        with pytest.raises(ProtocolError) as again:
            reader.close()
        assert again.value is caught.value
        said.append(repr((caught.value, caught.value.hint)))
    assert said[0] == said[1]


# -- what decoders make of runs --------------------------------------------------------------------


def test_a_run_is_the_frames_that_it_stands_for():
    frames = [chunk("a"), chunk("b")]
    assert run_of(frames, ["a", "b"]).frames() == frames


def test_a_run_of_text_tells_one_event_for_each_frame():
    frames = [chunk(text) for text in "abc"]
    run = run_of(frames[1:], ["b", "c"], kind="text")
    assert told(events_of(CHAT, [frames[0], run])) == told(events_of(CHAT, frames))


def test_a_run_that_comes_before_its_text_was_begun_is_read_frame_by_frame():
    frames = [chunk(text) for text in "abc"]
    assert told(events_of(CHAT, [run_of(frames, ["?", "?", "?"])])) == told(events_of(CHAT, frames))


def test_a_run_after_a_tool_call_begins_a_new_text():
    function = {"name": "f", "arguments": "{}"}
    call = chunk(None, {"tool_calls": [{"index": 0, "id": "1", "function": function}]})
    after = [chunk("b"), chunk("c")]
    events = events_of(CHAT, [chunk("a"), call, run_of(after, ["?", "?"])])
    assert told(events) == told(events_of(CHAT, [chunk("a"), call, *after]))


@pytest.mark.parametrize(
    ("index", "kind", "delta"),
    [(0, "text", TextDelta), (1, "thinking", ThinkingDelta), (2, "tool_use", ToolCallDelta)],
)
def test_a_run_lets_a_block_of_its_kind_grow(index: int, kind: str, delta: type):
    run = run_of([piece(index, text) for text in "ab"], ["a", "b"], index=index, kind=kind)
    decoder = MESSAGES.stream_decoder(TARGET)
    for frame in beginning():
        decoder.feed(frame)
    assert decoder.feed(run) == [delta(index, "a"), delta(index, "b")]


@pytest.mark.parametrize("index", [1, 7])
def test_a_run_for_a_block_that_it_does_not_fit_is_read_frame_by_frame(index: int):
    frames = [piece(index, text, like=0) for text in "ab"]
    run = run_of(frames, ["?", "?"], index=index, kind="text")
    assert told(events_of(MESSAGES, [*beginning(), run])) == told(
        events_of(MESSAGES, [*beginning(), *frames])
    )


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES], ids=lambda each: each.name)
def test_a_run_after_the_end_tells_nothing(dialect: Dialect):
    decoder = dialect.stream_decoder(TARGET)
    decoder.close()
    frames = [chunk(), chunk()] if dialect is CHAT else [piece(0, "x"), piece(0, "x")]
    assert decoder.feed(run_of(frames, ["x", "x"], kind="text")) == []


# -- what is joined to runs ------------------------------------------------------------------------


def read(dialect: Dialect, *frames: ServerSentEvent) -> list[ServerSentEvent]:
    reader = NativeSSEReader(dialect=dialect.name)
    return reader.feed(written(*frames)) + reader.close()


@needs_the_wheel
def test_frames_with_nothing_but_text_are_joined_from_the_second_on():
    texts = ["a", " ", "é😀", '"\\\n\0', "</p>", "\u2028"]
    frames = [chunk(text) for text in texts]
    assert read(CHAT, *frames) == [frames[0], run_of(frames[1:], texts[1:], kind="text")]


@needs_the_wheel
def test_a_run_goes_on_in_the_next_bytes_as_another_run():
    reader, frames = NativeSSEReader(dialect=CHAT.name), [chunk(text) for text in "abc"]
    body = written(*frames)
    fed = [reader.feed(body[start : start + 7]) for start in range(0, len(body), 7)]
    assert [frame for some in fed for frame in some] == [
        frames[0],
        *(
            run_of([frame], [text], kind="text")
            for frame, text in zip(frames[1:], "bc", strict=True)
        ),
    ]


@needs_the_wheel
def test_each_block_has_a_run_of_its_own():
    frames = [piece(index, text) for index in PIECES for text in "ab"]
    assert [type(frame) for frame in read(MESSAGES, *frames)] == [ServerSentEvent, Run] * 3
    kinds = [(each.index, each.kind) for each in read(MESSAGES, *frames) if type(each) is Run]
    assert kinds == [(0, "text"), (1, "thinking"), (2, "tool_use")]


@needs_the_wheel
def test_other_dialects_have_no_runs():
    frames = [chunk(), chunk()]
    assert read(get_dialect("openai-responses"), *frames) == frames


@needs_the_wheel
@pytest.mark.parametrize("part", [Chunk, Choice, Delta])
def test_what_the_decoder_reads_besides_the_text_is_never_passed_over(part: type):
    """A field that is added to what the decoder reads must not be unknown to compiled code."""
    passed = {"id", "object", "model", "choices", "index", "delta", "content"}
    for name in {field.encode_name for field in fields(part)} - passed:
        more: dict[str, Any] = {name: {"some": 1}}
        odd = {Chunk: chunk("x", **more), Choice: chunk("x", None, more), Delta: chunk("x", more)}[
            part
        ]
        assert read(CHAT, chunk(), odd) == [chunk(), odd], name


@needs_the_wheel
@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"delta":{"content":"\\ud800"}}]}',
        b'{"choices":[{"delta":{"content":"\\ud800\\u0041"}}]}',
        b'{"choices":[{"delta":{"content":"\\x"}}]}',
        b'{"choices":[{"delta":{"content":"\t"}}]}',
        b'{"choices":[{"delta":{"content":"\xff"}}]}',
        b'{"choices":[{"delta":{"content":""}}]}',
        b'{"choices":[{"delta":{"content":"a","content":"b"}}]}',
        b'{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}',
        b'{"choices":[{"delta":{"content":"a"}}]} x',
        b'{"choices":[{"delta":{"content":"a"}}]',
        b'{"choices":[{"delta":{"content":"a"}}],}',
        b'{"choices":[{"delta":{"content":"a"},"index":00}]}',
        b'{"choices":[{"delta":{"content":"a"},"index":1}]}',
        b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
        b'{"choices":[{"delta":{"content":"a"}}],"created":NaN}',
        b'{"choices":[{"delta":{"content":"a"}}],"created":01}',
        b'{"choices":[{"delta":{"content":"a"}}],"created":%b}' % (b"[" * 40 + b"]" * 40),
        b'{"choices":[{"delta":{"content":"a"}}],"something":1}',
        b'{"\\u0063hoices":[{"delta":{"content":"a"}}]}',
        b'{"choices":[]}',
        b"[DONE]",
        b"",
    ],
)
def test_what_is_in_doubt_comes_as_it_is(data: bytes):
    good = ServerSentEvent(b'{"choices":[{"delta":{"content":"x"}}]}')
    odd = ServerSentEvent(data)
    assert read(CHAT, good, odd, good, good) == [
        good,
        odd,
        good,
        run_of([good], ["x"], kind="text"),
    ]
