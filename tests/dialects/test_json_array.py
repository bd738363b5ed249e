"""The cutter of a JSON array's elements: whatever they hold, and wherever the bytes are cut."""

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyvox.dialects.gemini.frames import GeminiFrames
from polyvox.dialects.json_array import JsonArrayReader
from polyvox.dialects.sse import ServerSentEvent, encode_event
from polyvox.errors import ProtocolError
from strategies import json_values


def read(pieces: list[bytes], reader: JsonArrayReader | GeminiFrames | None = None) -> list[bytes]:
    reader = reader or JsonArrayReader()
    frames = [frame for piece in pieces for frame in reader.feed(piece)]
    return [frame.data for frame in frames + reader.close()]


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@given(st.lists(json_values), st.sampled_from([None, 2]), st.lists(st.integers(0)))
@example(['\\"', "]}", {'a\\\\"': [["{"]]}], None, list(range(60)))
def test_the_elements_are_those_of_the_array_wherever_it_is_cut(
    values: list[object], indent: int | None, places: list[int]
):
    body = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    assert [json.loads(each) for each in read(cut(body, places))] == values


def test_an_object_is_given_out_with_its_last_bracket():
    reader = JsonArrayReader()
    assert reader.feed(b' \r\n[{"a": "]"') == []
    assert [frame.data for frame in reader.feed(b"}")] == [b'{"a": "]"}']
    assert reader.feed(b"\n,\n1") == []
    assert [frame.data for frame in reader.feed(b"2\n]")] == [b"12"]
    assert reader.close() == []


@pytest.mark.parametrize("body", [b"[]", b" [ ] \n", b""])
def test_an_empty_array_has_no_elements(body: bytes):
    assert read([body]) == []


def test_an_element_cut_short_is_given_out_as_what_no_decoder_takes():
    assert read([b'[{"a": 1}, {"b": "']) == [b'{"a": 1}', b'{"b": "']


@pytest.mark.parametrize("body", [b"<html>", b"12", b"{}", b"[1]]", b"[1] x", b"[}"])
def test_what_is_no_array_is_refused_and_stays_refused(body: bytes):
    reader = JsonArrayReader()
    assert all(frame.data == b"1" for frame in _fed(reader, body))
    with pytest.raises(ProtocolError):
        reader.feed(b"[")
    with pytest.raises(ProtocolError):
        reader.close()


def _fed(reader: JsonArrayReader, body: bytes) -> list[ServerSentEvent]:
    """What is given out before the error, which may come at once."""
    with suppress(ProtocolError):
        return reader.feed(body)
    return []


def test_elements_before_an_error_are_given_out_before_it():
    reader = JsonArrayReader(max_element_bytes=8)
    assert [frame.data for frame in reader.feed(b'[{"a":1},' + b"[" * 9)] == [b'{"a":1}']
    with pytest.raises(ProtocolError, match="longer than 8 bytes"):
        reader.feed(b"")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_an_element_is_bounded_however_it_comes(size: int):
    body = b'[{"a": "' + b"x" * 100
    reader = JsonArrayReader(max_element_bytes=50)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    with pytest.raises(ProtocolError, match="max_element_bytes"):
        read(pieces, reader)


def test_white_space_between_elements_is_not_held():
    reader = JsonArrayReader(max_element_bytes=10)
    pieces = [b"[{}", *[b" " * 9] * 50, b",", *[b"\n" * 9] * 50, b"{}]"]
    assert read(pieces, reader) == [b"{}", b"{}"]


@given(st.binary(max_size=40), st.lists(st.integers(0), max_size=8))
def test_no_bytes_make_it_raise_anything_else(body: bytes, places: list[int]):
    reader = JsonArrayReader()
    with suppress(ProtocolError):
        read(cut(body, places), reader)


@given(st.lists(st.integers(0), max_size=12))
def test_the_gemini_reader_tells_an_array_from_events_by_the_first_bytes(places: list[int]):
    frames = [b'{"a": 1}', b'{"b": "[]"}']
    events = b"\r\n" + b": ping\n\n" + b"".join(encode_event(each) for each in frames)
    array = b"\n[" + b"\n,\n".join(frames) + b"]\n"
    assert read(cut(events, places), GeminiFrames()) == frames
    assert read(cut(array, places), GeminiFrames()) == frames
    assert read([], GeminiFrames()) == read([b" "], GeminiFrames()) == []
