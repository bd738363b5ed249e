"""Amazon's binary framing: messages cut anywhere, bounded, checked; botocore is the witness."""

import struct
import zlib
from itertools import pairwise

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from polyvox.dialects import ServerSentEvent
from polyvox.dialects.event_stream import (
    EventStreamReader,
    encode_message,
    rewritten,
    split_messages,
)
from polyvox.errors import ProtocolError
from strategies import names

messages = st.lists(st.tuples(st.binary(max_size=60), names), max_size=6)

# The vectors "empty_message" and "payload_one_str_header" of AWS's test suites for this encoding.
EMPTY = bytes.fromhex("000000100000000005c248eb7d98c8ff")
JSON = bytes.fromhex(
    "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e"
    "7b27666f6f273a27626172277d8d9c08b1"
)


def header(name: str, value: str) -> bytes:
    start = bytes([len(name)]) + name.encode() + b"\x07"
    return start + struct.pack(">H", len(value)) + value.encode()


def by_hand(headers: bytes) -> bytes:
    """A message of these headers, without a payload."""
    sizes = struct.pack(">II", 16 + len(headers), len(headers))
    message = sizes + struct.pack(">I", zlib.crc32(sizes)) + headers
    return message + struct.pack(">I", zlib.crc32(message))


def read(*chunks: bytes) -> list[ServerSentEvent]:
    reader = EventStreamReader()
    return [frame for chunk in chunks for frame in reader.feed(chunk)] + reader.close()


@given(messages, st.lists(st.integers(0), max_size=12))
def test_messages_come_back_wherever_they_were_cut(
    sent: list[tuple[bytes, str]], places: list[int]
):
    body = b"".join(encode_message(data, name) for data, name in sent)
    edges = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    pieces = [body[start:end] for start, end in pairwise(edges)]
    assert [(frame.data, frame.event) for frame in read(*pieces)] == sent


@given(messages)
def test_botocore_reads_what_we_write(sent: list[tuple[bytes, str]]):
    buffer = EventStreamBuffer()
    for data, name in sent:
        buffer.add_data(encode_message(data, name, "exception"))
    for message, (data, name) in zip(buffer, sent, strict=True):
        assert message.payload == data
        assert message.headers[":exception-type"] == name
        assert message.headers[":message-type"] == "exception"


def test_aws_own_examples_are_read():
    assert read(EMPTY + JSON) == [ServerSentEvent(b""), ServerSentEvent(b"{'foo':'bar'}")]


def test_headers_of_all_types_are_passed_over():
    values = [
        *(b"\x00", b"\x01", b"\x02\x07", b"\x03\x00\x07", b"\x04" + bytes(4), b"\x05" + bytes(8)),
        *(b"\x06\x00\x02ab", b"\x08" + bytes(8), b"\x09" + bytes(16)),
    ]
    headers = b"".join(b"\x01a" + value for value in values) + header(":event-type", "me")
    assert read(by_hand(headers)) == [ServerSentEvent(b"", "me")]
    with pytest.raises(ProtocolError, match="headers"):
        read(by_hand(headers[:-1]))  # its last value is one byte short


def test_an_error_without_a_payload_has_its_code_and_text():
    told = {":message-type": "error", ":error-code": "InternalError", ":error-message": "it broke"}
    assert read(by_hand(b"".join(header(*each) for each in told.items()))) == [
        ServerSentEvent(b'{"code":"InternalError","message":"it broke"}', "error")
    ]


@given(st.data())
def test_a_damaged_byte_is_never_taken_for_good(data: st.DataObject):
    body = bytearray(encode_message(b'{"a":1}', "messageStop"))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    reader = EventStreamReader()
    with pytest.raises(ProtocolError, match="damaged"):
        reader.feed(bytes(body))
    with pytest.raises(ProtocolError, match="damaged"):
        reader.feed(encode_message(b"{}", "messageStop"))
    with pytest.raises(ProtocolError, match="damaged"):
        reader.close()


def test_what_came_before_the_damage_is_given_out_first():
    good, bad = encode_message(b"{}", "one"), bytearray(encode_message(b"{}", "two"))
    bad[-1] ^= 1
    reader = EventStreamReader()
    assert [frame.event for frame in reader.feed(good + bytes(bad))] == ["one"]
    with pytest.raises(ProtocolError, match="damaged"):
        reader.feed(b"")


def test_a_message_is_given_out_with_its_last_byte_and_not_before():
    reader, body = EventStreamReader(), encode_message(b"{}", "one")
    assert reader.feed(body[:-1]) == []
    assert reader.feed(body[-1:]) == [ServerSentEvent(b"{}", "one")]
    assert reader.close() == []


def test_of_a_message_cut_short_nothing_is_told():
    assert read(encode_message(b"{}", "one"), encode_message(b"{}", "two")[:-1]) == [
        ServerSentEvent(b"{}", "one")
    ]


def test_a_message_that_is_too_long_is_refused_by_its_first_bytes():
    body = encode_message(bytes(1000), "one")
    with pytest.raises(ProtocolError, match="longer than 999 bytes"):
        EventStreamReader(999).feed(body[:12])
    assert EventStreamReader(len(body)).feed(body)


def test_lengths_that_contradict_each_other_are_damage():
    sizes = struct.pack(">II", 20, 9)
    with pytest.raises(ProtocolError, match="shorter than its parts"):
        read(sizes + struct.pack(">I", zlib.crc32(sizes)))


def test_a_long_message_in_small_pieces_is_held_once():
    body = encode_message(bytes(500_000), "one")
    reader = EventStreamReader()
    pieces = [body[at : at + 10] for at in range(0, len(body), 10)]
    for piece in pieces[:-1]:
        assert reader.feed(piece) == []
    (frame,) = reader.feed(pieces[-1])
    assert len(frame.data) == 500_000


@given(messages)
def test_a_body_is_split_into_its_messages(sent: list[tuple[bytes, str]]):
    written = [encode_message(data, name) for data, name in sent]
    assert split_messages(b"".join(written)) == written
    changed = [rewritten(message, lambda data: data + b"!") for message in written]
    assert [frame.data for frame in read(*changed)] == [data + b"!" for data, _ in sent]
