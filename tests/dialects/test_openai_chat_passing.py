"""What a caller sees of a stream that is passed on: all of it, but for usage that it has not asked for."""

from itertools import product

import pytest

from polyvox.dialects import get_dialect
from polyvox.messages import user
from polyvox.request import Request

PASSING = get_dialect("openai-chat").passing
assert PASSING is not None

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}'
EMPTY = b'data: {"choices":[{"delta":{"content":"","tool_calls":[]}}]}'
USAGE = b'data: {"choices": [ ],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
DONE = b"data: [DONE]"
ENDS = (b"\n\n", b"\r\n\r\n")


def asked_for(include: object) -> Request:
    options = {"openai-chat": {"stream_options": {"include_usage": include}}}
    return Request(messages=[user("Hi")], options=options)


def passed(request: Request, *chunks: bytes) -> bytes:
    assert PASSING is not None
    frames = PASSING.frames(request)
    return b"".join([*map(frames.feed, chunks), frames.close()])


@pytest.mark.parametrize("ends", [*product(ENDS, repeat=3)])
def test_only_the_frame_of_the_usage_is_left_out_whatever_lines_end_with(ends: tuple[bytes, ...]):
    text, usage, done = (frame + end for frame, end in zip((TEXT, USAGE, DONE), ends, strict=True))
    body = text + EMPTY + ends[0] + usage + done
    kept = text + EMPTY + ends[0] + done
    for cut in range(len(body)):
        assert passed(asked_for(None), body[:cut], body[cut:]) == kept


@pytest.mark.parametrize("end", ENDS)
def test_the_frame_of_the_usage_is_left_out_though_nothing_ends_it(end: bytes):
    assert passed(asked_for(False), TEXT + end, USAGE) == TEXT + end
    assert passed(asked_for(False), USAGE) == b""


def test_usage_that_was_asked_for_is_passed_on_as_it_came():
    body = TEXT + b"\n\n" + USAGE + b"\n\n" + DONE + b"\n\n"
    assert passed(asked_for(True), body) == body


def test_usage_beside_an_answer_is_passed_on():
    body = TEXT.replace(b"null", b'{"prompt_tokens":1}') + b"\n\n" + EMPTY + b"\n\n"
    assert passed(asked_for(None), body) == body
