"""Server-sent events: what the readers accept, what they refuse, and that cuts never matter."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, repeat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polyvox.dialects import FrameReader
from polyvox.dialects.event_frames import NativeSSEReader
from polyvox.dialects.sse import ServerSentEvent, SSEReader, encode_comment, encode_event
from polyvox.errors import ProtocolError

BOM = b"\xef\xbb\xbf"
LINE_END = re.compile("\r\n|\n|\r")

Pairs = list[tuple[str, str]]

READERS: dict[str, Callable[..., FrameReader]] = {"Python": SSEReader, "native": NativeSSEReader}
new_reader = READERS["Python"]


@pytest.fixture(params=READERS, scope="module", autouse=True)
def each_reader(request: pytest.FixtureRequest) -> Iterator[None]:
    """All that is said here holds for both of them."""
    if request.param == "native" and not NativeSSEReader.available():
        pytest.skip("polyvox-native is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "new_reader", READERS[request.param])
        yield


def read(*chunks: bytes) -> Pairs:
    """What a fresh reader makes of the chunks and the end after them, as (name, data)."""
    reader = new_reader()
    return pairs(feed_all(reader, chunks) + reader.close())


def feed_all(reader: FrameReader, chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    return [event for chunk in chunks for event in reader.feed(chunk)]


def pairs(events: list[ServerSentEvent]) -> Pairs:
    return [(event.event, event.data.decode()) for event in events]


def one_by_one(stream: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in stream]


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces, some of them perhaps empty."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def by_the_standard(stream: bytes) -> Pairs:
    """The algorithm of the WHATWG HTML standard, step by step, on the whole stream at once."""
    text = stream.decode(errors="replace").removeprefix("\ufeff")
    *lines, _unfinished = LINE_END.split(text)
    events: Pairs = []
    name = data = ""
    for line in lines:
        if line == "":
            if data != "":
                events.append((name, data.removesuffix("\n")))
            name = data = ""
            continue
        field, colon, value = line.partition(":")
        if colon and field == "":
            continue
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data += value + "\n"
    return events


# -- the reader, behaviour by behaviour ------------------------------------------------------------


def test_an_event_has_its_data_as_bytes_and_an_empty_name_unless_named():
    assert new_reader().feed(b'data: {"a": 1}\n\n') == [ServerSentEvent(b'{"a": 1}', "")]
    assert new_reader().feed(b"event: delta\ndata: {}\n\n") == [ServerSentEvent(b"{}", "delta")]
    assert type(new_reader().feed(b"data: a\ndata: b\n\n")[0].data) is bytes


def test_the_name_may_follow_the_data_and_the_last_one_counts():
    assert read(b"event: a\ndata: x\nevent: b\n\n") == [("b", "x")]


def test_a_name_does_not_leak_into_the_next_event():
    assert read(b"event: lost\n\ndata: x\n\nevent: a\ndata: y\n\ndata: z\n\n") == [
        ("", "x"),
        ("a", "y"),
        ("", "z"),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_in_lf_cr_or_crlf(end: bytes):
    stream = b"event: a\ndata: x\ndata: y\n\ndata: z\n\n".replace(b"\n", end)
    expected = [("a", "x\ny"), ("", "z")]
    assert read(stream) == expected
    assert read(*one_by_one(stream)) == expected


def test_line_ends_may_be_mixed_within_one_event():
    assert read(b"event: a\rdata: x\r\ndata: y\n\r") == [("a", "x\ny")]


def test_crlf_cut_between_cr_and_lf_is_one_line_end():
    assert read(b"data: x\r", b"\ndata: y\r", b"\n\r", b"\n") == [("", "x\ny")]


def test_an_empty_chunk_between_cr_and_lf_changes_nothing():
    assert read(b"data: x\r", b"", b"\ndata: y\r\n\r\n") == [("", "x\ny")]


def test_an_event_that_ends_in_cr_is_delivered_without_waiting_for_an_lf():
    reader = new_reader()
    assert pairs(reader.feed(b"data: x\r\n\r")) == [("", "x")]
    assert reader.feed(b"\n") == []


def test_an_event_is_delivered_with_the_byte_that_completes_it():
    reader = new_reader()
    assert reader.feed(b"data: x\n") == []
    assert pairs(reader.feed(b"\n")) == [("", "x")]


@pytest.mark.parametrize("places", [[], [1], [2], [3], [1, 2], [0, 1, 2, 3, 4]])
def test_a_leading_bom_is_skipped_wherever_it_is_cut(places: list[int]):
    assert read(*cut(BOM + b"data: x\n\n", places)) == [("", "x")]


def test_only_one_bom_is_skipped_and_only_at_the_start():
    assert read(BOM + BOM + b"data: x\n\ndata: y\n\n") == [("", "y")]
    assert read(b"data: x\n\n" + BOM + b"data: y\n\n") == [("", "x")]
    assert read(b"data: " + BOM + b"x\n\n") == [("", "\ufeffx")]


def test_half_a_bom_is_no_bom():
    assert read(BOM[:2], b"data: x\n\ndata: y\n\n") == [("", "y")]
    assert read(BOM[:2]) == []


def test_comments_are_skipped_between_and_inside_events():
    assert read(b": ping\n\n:\n\ndata: x\n: ping\ndata: y\n\n:data: z\n\n") == [("", "x\ny")]


def test_data_lines_are_joined_with_a_line_feed():
    assert read(b"data: YHOO\ndata: +2\ndata\ndata:\ndata: 10\n\n") == [("", "YHOO\n+2\n\n\n10")]


def test_at_most_one_space_after_the_colon_is_taken():
    assert read(b"data:x\n\ndata: x\n\ndata:  x\n\ndata:\tx\n\nevent:  a\ndata:\n\n") == [
        ("", "x"),
        ("", "x"),
        ("", " x"),
        ("", "\tx"),
        (" a", ""),
    ]


def test_a_colon_in_the_value_belongs_to_the_value():
    assert read(b"data: a: b\n\nevent: c:d\ndata::\n\n") == [("", "a: b"), ("c:d", ":")]


def test_a_field_without_colon_is_a_field_with_an_empty_value():
    assert read(b"event\ndata\n\ndata\ndata\n\n") == [("", ""), ("", "\n")]


def test_a_data_field_may_be_empty_but_no_data_field_is_no_event():
    assert read(b"data:\n\nevent: a\n\n\n\n\n") == [("", "")]


def test_unknown_fields_id_and_retry_are_ignored_and_names_are_exact():
    stream = b"id: 1\nretry: 5\nfoo: x\nDATA: x\n data: x\ndata : x\nxdata: x\ndata: y\n\n"
    assert read(stream) == [("", "y")]


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\0"])
def test_other_line_separators_do_not_end_a_line(char: str):
    assert read(f"data: a{char}b\n\n".encode()) == [("", f"a{char}b")]


def test_characters_may_be_cut_inside_their_utf8_bytes():
    assert read(*one_by_one("event: é\ndata: é€😀\n\n".encode())) == [("é", "é€😀")]


def test_invalid_utf8_stays_in_the_data_and_is_replaced_in_the_name():
    assert new_reader().feed(b"event: \xff\ndata: \xff\n\n") == [ServerSentEvent(b"\xff", "\ufffd")]


def test_readers_do_not_share_state():
    first, second = new_reader(), new_reader()
    first.feed(b"event: a\ndata: x\n")
    assert second.feed(b"data: y\n\n") == [ServerSentEvent(b"y")]


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream", [b"event: a\ndata: x\n", b"event: a\ndata: x", b"data:x\nevent:a"]
)
def test_an_event_without_its_blank_line_is_delivered_at_the_end(stream: bytes):
    reader = new_reader()
    assert reader.feed(stream) == []
    assert reader.close() == [ServerSentEvent(b"x", "a")]


@pytest.mark.parametrize("stream", [b"", b"dat", b"event: a\n", b": ping", b"\n", b"data: x\n\n\r"])
def test_the_end_makes_no_event_out_of_no_data(stream: bytes):
    reader = new_reader()
    reader.feed(stream)
    assert reader.close() == []


def test_closing_twice_delivers_once():
    reader = new_reader()
    reader.feed(b"data: x")
    assert len(reader.close()) == 1
    assert reader.close() == []


# -- the bound -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        b"data: 0123456789abcde\n\n",
        b"data:0123456789abcdef\n\n",
        b"data: 01234\ndata: 01234\n\n",
        b"data: 01234\n: 0123456789\n\n",
        b": 0123456789abcdefghi\n\n",
        b"event: 0123456789abcd\n\n",
        b"unknown: 0123456789ab\n\n",
    ],
)
def test_what_exceeds_the_limit_is_refused_whole_or_in_pieces(stream: bytes):
    for chunks in ([stream], one_by_one(stream)):
        reader = new_reader(max_event_bytes=20)
        with pytest.raises(ProtocolError, match="20 bytes"):
            feed_all(reader, chunks)


def test_what_just_fits_passes_again_and_again():
    stream = b"data: 01234\ndata: 012\n\n: 0123456789abcdefgh\n\n" * 3
    for chunks in ([stream], one_by_one(stream)):
        reader = new_reader(max_event_bytes=20)
        events = feed_all(reader, chunks)
        assert pairs(events) == [("", "01234\n012")] * 3


def test_an_endless_line_is_refused_before_it_ends():
    reader = new_reader(max_event_bytes=1000)
    with pytest.raises(ProtocolError):
        feed_all(reader, repeat(b"x" * 100, 11))


def test_an_endless_event_of_short_lines_is_refused_before_it_ends():
    reader = new_reader(max_event_bytes=1000)
    with pytest.raises(ProtocolError):
        feed_all(reader, repeat(b"data: 0123\n", 101))


def test_endless_pings_are_no_event_and_never_reach_the_limit():
    reader = new_reader(max_event_bytes=1000)
    assert feed_all(reader, repeat(b": ping\n", 1000)) == []
    assert pairs(reader.feed(b"data: x\n\n")) == [("", "x")]


@pytest.mark.parametrize("after", [lambda r: r.feed(b"data: y\n\n"), lambda r: r.close()])
def test_events_before_the_oversized_one_are_delivered_and_then_the_error(after):
    reader = new_reader(max_event_bytes=20)
    assert pairs(reader.feed(b"data: x\n\ndata: " + b"0" * 20)) == [("", "x")]
    for _ in range(2):
        with pytest.raises(ProtocolError):
            after(reader)


def test_a_line_of_a_megabyte_comes_through_in_small_pieces():
    data = "0123456789abcdeé" * 2**16
    stream = encode_event(data)
    assert read(*(stream[at : at + 100] for at in range(0, len(stream), 100))) == [("", data)]


# -- any stream, cut anywhere ----------------------------------------------------------------------

TOKENS = ["data", "event", ":", " ", "\r", "\n", "\r\n", "\n\n", "\ufeff", "\u2028", "é", "{}"]
FREQUENT = ["data: ", "data:", "event: ", "\ndata: x\n"]
soups = st.lists(st.sampled_from(TOKENS + FREQUENT), max_size=40).map(lambda t: "".join(t).encode())
places = st.lists(st.integers(0, 2**16), max_size=12)


@given(soups, places)
@example(b"data: x\r\n\r\n", [8, 10])
@example(BOM + b"data\n\n", [1, 2])
def test_any_bytes_cut_anywhere_give_what_the_standard_says(soup: bytes, places: list[int]):
    reader = new_reader()
    events = feed_all(reader, cut(soup, places))
    assert pairs(events) == by_the_standard(soup)
    assert pairs(events + reader.close()) == by_the_standard(soup + b"\n\n")


@given(soups, places, st.integers(4, 24))
def test_the_limit_judges_alike_wherever_the_stream_is_cut(
    soup: bytes, places: list[int], limit: int
):
    def outcome(chunks: list[bytes]) -> tuple[Pairs, bool]:
        reader = new_reader(max_event_bytes=limit)
        events: list[ServerSentEvent] = []
        try:
            for chunk in chunks:
                events += reader.feed(chunk)
            events += reader.close()
        except ProtocolError:
            return pairs(events), True
        return pairs(events), False

    assert outcome(cut(soup, places)) == outcome([soup])


# -- the writer ------------------------------------------------------------------------------------


def test_an_event_is_written_with_its_name_first():
    assert encode_event("é", event="a") == "event: a\ndata: é\n\n".encode()
    assert encode_event(b"{}") == b"data: {}\n\n"
    assert encode_event("") == b"data: \n\n"


@pytest.mark.parametrize("data", ["a\nb", "a\rb", "a\r\nb", b"a\r\nb"])
def test_each_line_of_the_data_becomes_a_data_line(data: str | bytes):
    assert encode_event(data) == b"data: a\ndata: b\n\n"


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\n", "\r\n"])
def test_a_name_with_a_line_end_is_refused(name: str):
    with pytest.raises(ValueError, match="line end"):
        encode_event("x", event=name)


def test_a_comment_is_no_event_whatever_it_says():
    assert encode_comment("ping") == b": ping\n\n"
    assert read(encode_comment("a\ndata: b\r\ndata: c\rdata: d")) == []


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
single_lines = texts.map(lambda text: LINE_END.sub("", text))
written = st.lists(st.tuples(single_lines, texts | st.sampled_from(["{}", "a\r\nb\n\rc\n"])))


@given(written, st.data())
def test_what_was_written_is_read_back_whatever_the_line_ends_comments_and_cuts(
    events: Pairs, data: st.DataObject
):
    stream = BOM if data.draw(st.booleans(), label="BOM") else b""
    for name, text in events:
        stream += disturbed(encode_event(text, event=name), data)
    chunks = cut(stream, data.draw(places, label="cuts"))
    assert read(*chunks) == [(name, LINE_END.sub("\n", text)) for name, text in events]


def disturbed(block: bytes, data: st.DataObject) -> bytes:
    """The same event with other line ends, and with comments before its lines."""
    result = b""
    for line in block.split(b"\n")[:-1]:
        comment = data.draw(st.none() | single_lines, label="comment")
        lines = [line] if comment is None else [b":" + comment.encode(), line]
        for each in lines:
            end = data.draw(st.sampled_from([b"\n", b"\r", b"\r\n"]), label="line end")
            if not each and end == b"\n" and result.endswith(b"\r"):
                end = b"\r\n"  # or this blank line would vanish into the CR before it
            result += each + end
    return result
