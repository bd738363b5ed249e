"""Newline-delimited JSON: lines cut anywhere, bounded, linear."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.dialects.ndjson import NDJSONReader, encode_line
from polyvox.errors import ProtocolError

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def read(*chunks: bytes, limit: int = 1 << 20) -> list[bytes]:
    reader = NDJSONReader(limit)
    frames = [frame for chunk in chunks for frame in reader.feed(chunk)] + reader.close()
    return [frame.data for frame in frames]


@given(
    st.lists(values, max_size=6),
    st.sampled_from([b"", b"\r", b" ", b"\n", b"\r\n\r"]),
    st.lists(st.integers(0), max_size=12),
)
def test_lines_come_back_wherever_they_were_cut(sent: list[object], more: bytes, places: list[int]):
    body = b"".join(
        encode_line(msgspec.json.encode(value)).replace(b"\n", more + b"\n") for value in sent
    )
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert [msgspec.json.decode(data) for data in read(*pieces)] == sent


@given(values)
def test_a_value_is_one_line_however_it_was_spread(value: object):
    spread = msgspec.json.format(msgspec.json.encode(value), indent=2).replace(b"\n", b"\r\n")
    line = encode_line(spread)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert b"\r" not in line
    assert msgspec.json.decode(line) == value


def test_a_line_is_given_out_as_soon_as_it_ends():
    reader = NDJSONReader()
    assert reader.feed(b'{"a":1}') == []
    assert [frame.data for frame in reader.feed(b"\n")] == [b'{"a":1}']
    assert reader.close() == []


def test_a_last_line_without_an_end_is_given_out_at_the_end():
    assert read(b'{"a":1}\n{"b":2}') == [b'{"a":1}', b'{"b":2}']
    assert read(b'{"a":1}\n{"b"') == [b'{"a":1}', b'{"b"']


def test_blank_lines_say_nothing():
    assert read(b"\n\r\n  \n\t\r\n") == []
    assert read() == []


def test_line_separators_of_unicode_are_text():
    data = '{"a":"\u2028\u0085"}'.encode()
    assert read(data + b"\n") == [data]


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 6] * 2, [b"x" * 11 + b"\n"]])
def test_a_line_that_is_too_long_is_an_error_for_good(chunks: list[bytes]):
    reader = NDJSONReader(10)
    for chunk in chunks[:-1]:
        reader.feed(chunk)
    with pytest.raises(ProtocolError, match="longer than 10 bytes"):
        reader.feed(chunks[-1])
    with pytest.raises(ProtocolError):
        reader.feed(b"1\n")
    with pytest.raises(ProtocolError):
        reader.close()


def test_what_came_before_a_line_that_is_too_long_is_given_out_first():
    reader = NDJSONReader(10)
    assert [frame.data for frame in reader.feed(b"1\n" + b"x" * 11)] == [b"1"]
    with pytest.raises(ProtocolError):
        reader.feed(b"")


def test_a_line_of_the_longest_length_is_read():
    assert read(b"x" * 10, b"\n", limit=10) == [b"x" * 10]


def test_a_long_line_in_small_pieces_is_held_once():
    reader = NDJSONReader()
    for _ in range(50_000):
        assert reader.feed(b"0123456789") == []
    (frame,) = reader.feed(b"\n")
    assert len(frame.data) == 500_000
