"""Whatever bytes a provider streams, the caller gets the answer or an error, and the gateway goes on.

POLYVOX_FUZZ=<n>, which ``make fuzz`` says, tries n times as many.
"""

import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from gateway.asking.rig import ASKED, BEHIND, CALLERS, read
from gateway.running import Running
from gateway.security.wire import Told, ask
from polyvox.assembly import unfold
from polyvox.dialects import ServerSentEvent, Target, get_dialect
from polyvox.events import Done, Failed
from polyvox.messages import AssistantMessage, Text, ToolCall
from strategies import cuts

TIMES = int(os.environ.get("POLYVOX_FUZZ", "1"))
pytestmark = [  # `make fuzz` runs what has the first
    pytest.mark.hypothesis,
    pytest.mark.timeout(600 * TIMES),
]
fuzzed = settings(
    max_examples=150 * TIMES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)

SAID = AssistantMessage(
    [Text("Häng dich, 🌍!\u2028 Söfort."), ToolCall("call_1", "find", {"é": "🌦"})], "tool_calls"
)
EVENTS = [name for name in BEHIND if get_dialect(name).frame_reader().media_type.endswith("stream")]
SSE = [name for name in EVENTS if name != "bedrock-converse"]


class Provider(ThreadingHTTPServer):
    """Says these pieces, one by one, to whatever it is asked."""

    media_type = ""
    pieces: list[bytes] = []  # noqa: RUF012 - each example sets its own


class Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", self.server.media_type)
        self.end_headers()
        for piece in self.server.pieces:
            self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Bench(msgspec.Struct):
    """A gateway, and the provider behind it: ``up-<dialect>`` in each."""

    gateway: Running
    provider: Provider

    def ask(self, caller: str, behind: str, pieces: list[bytes]) -> Told:
        """A streamed answer, in the caller's dialect, to what the provider says."""
        self.provider.media_type = get_dialect(behind).frame_reader().media_type
        self.provider.pieces = pieces
        dialect = get_dialect(caller)
        base = self.gateway.url + dialect.base_path
        asked = msgspec.structs.replace(ASKED, stream=True)
        http = dialect.encode_request(
            asked, Target(provider="x", model=f"up-{behind}/m", base_url=base)
        )
        parts = urlsplit(http.url)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return ask(self.gateway.url, "POST", path, http.body, key=self.gateway.key)


@pytest.fixture(scope="module")
def bench(running_here: Callable[..., Running]) -> Iterator[Bench]:
    with Provider(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        rows = [
            f'[providers.up-{name}]\ndialect = "{name}"\nbase_url = "{url}"\nkey = "any"\n'
            for name in BEHIND
        ]
        gateway = running_here("\n".join(rows))
        yield Bench(gateway, server)
        server.shutdown()
        thread.join()
        assert ask(gateway.url, "GET", "/health").json["in_flight"] == 0
        assert gateway.process.poll() is None
        assert "where" not in gateway.log  # which tells of what nobody foresaw


def good(behind: str) -> bytes:
    encoder = get_dialect(behind).stream_encoder(ASKED)
    return b"".join(map(encoder.encode, unfold(SAID, lambda text: [text[:3], text[3:]])))


def frames(behind: str) -> list[ServerSentEvent]:
    reader = get_dialect(behind).frame_reader()
    return [*reader.feed(good(behind)), *reader.close()]


NO_CHOICES = ServerSentEvent(
    b'{"id":"x","object":"chat.completion.chunk","model":"m","choices":[],"usage":null}', ""
)
USELESS = (": ping", ":", ": data: {}", "id: 7", "retry: 1000", "what: ever", "nothing")


@st.composite
def odd_streams(draw: st.DrawFn, behind: str) -> list[bytes]:
    """The good stream, written as oddly as the standard allows, cut anywhere."""
    body = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    useless = st.lists(st.sampled_from(USELESS), max_size=2)
    for frame in frames(behind):
        end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
        if behind == "openai-chat" and draw(st.booleans()):
            body += b"data: " + NO_CHOICES.data + end * 2
        data = frame.data
        if data.startswith(b"{") and draw(st.booleans()):
            data = b"{\n" + data[1:]
        lines = [*draw(useless), *([f"event:{frame.event}"] if frame.event else [])]
        colon = draw(st.sampled_from([b"data: ", b"data:"]))
        told = [line.encode() for line in lines] + [colon + part for part in data.split(b"\n")]
        told += [line.encode() for line in draw(useless)]
        body += b"".join(line + end for line in told) + end
    return draw(cuts(body, most=12))


@given(data=st.data())
@fuzzed
def test_a_stream_that_is_written_oddly_is_the_same_answer(
    bench: Bench, data: st.DataObject
) -> None:
    behind = data.draw(st.sampled_from(SSE))
    caller = data.draw(st.sampled_from(CALLERS))
    pieces = data.draw(odd_streams(behind))
    note(f"{caller} asks {behind}, who says {pieces}")
    answer = bench.ask(caller, behind, pieces)
    assert answer.status == 200, answer.body
    done = read(caller, answer.body)[-1]
    assert isinstance(done, Done)
    assert done.message.text == SAID.text
    assert [call.arguments for call in done.message.tool_calls] == [{"é": "🌦"}]


@st.composite
def spoilt(draw: st.DrawFn, behind: str) -> list[bytes]:
    """A stream in which something is missing, twice there, or something else."""
    body = bytearray(good(behind))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 40)))
        body[start:end] = draw(st.binary(max_size=20) | st.just(bytes(body[start:end]) * 2))
    return draw(cuts(bytes(body)))


@given(data=st.data())
@fuzzed
def test_a_stream_that_is_spoilt_is_an_answer_or_an_error(
    bench: Bench, data: st.DataObject
) -> None:
    behind = data.draw(st.sampled_from(BEHIND))
    caller = data.draw(st.sampled_from(CALLERS))
    pieces = data.draw(spoilt(behind))
    note(f"{caller} asks {behind}, who says {pieces}")
    answer = bench.ask(caller, behind, pieces)
    # Gemini has no other word for a provider that can't be understood.
    assert answer.status != 500 or (caller == "gemini" and b"INTERNAL" in answer.body)
    if answer.status == 200:
        assert isinstance(read(caller, answer.body)[-1], Done | Failed)
    else:
        get_dialect(caller).decode_error(answer.status, answer.headers, answer.body)
        assert msgspec.json.decode(answer.body)
