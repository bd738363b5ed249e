import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox import jsontext

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_any_value_comes_back(value):
    assert jsontext.decode(jsontext.encode(value)) == value


@given(st.integers())
def test_integers_of_any_size_stay_exact(number):
    assert jsontext.decode(b'{"n": %d}' % number) == {"n": number}


def test_half_a_surrogate_pair_becomes_a_replacement_character():
    assert jsontext.decode(rb'{"a": "x\ud83d", "b": "\ud83d\ude00"}') == {"a": "x\ufffd", "b": "😀"}
    assert jsontext.decode(jsontext.encode({"a": ["\ud83d"]})) == {"a": ["\ufffd"]}


@given(st.text(st.characters(exclude_categories=())))
def test_any_python_string_can_be_sent(text):
    assert jsontext.decode(jsontext.encode(text)) == text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )


@pytest.mark.parametrize(
    "broken", [b"", b"{", b'{"a": }', b"NaN", b"<html>", b"{}{}", b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_json_is_an_error_of_one_kind(broken):
    with pytest.raises(msgspec.DecodeError):
        jsontext.decode(broken)


def test_another_shape_than_asked_for_says_where():
    with pytest.raises(msgspec.ValidationError, match=r"\$\[0\]"):
        jsontext.decode(b'["x"]', list[int])


@given(values)
def test_the_same_value_gives_the_same_bytes(value):
    assert jsontext.encode(value) == jsontext.encode(json.loads(json.dumps(value)))
