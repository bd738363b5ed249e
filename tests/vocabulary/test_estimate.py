from hypothesis import given
from hypothesis import strategies as st

from polyvox import estimate
from polyvox.messages import Image, ToolCall, assistant, user
from polyvox.request import Request, ToolDefinition


@given(st.text(), st.text())
def test_more_text_never_counts_less(text, more):
    assert estimate.text_tokens(text + more) >= estimate.text_tokens(text)


@given(st.lists(st.text(st.characters())))
def test_a_text_in_pieces_counts_as_it_does_in_one(pieces):
    assert estimate.joined_tokens(pieces) == estimate.text_tokens("".join(pieces))


def test_halves_of_a_pair_count_as_much_apart_as_together():
    halves = ["a", "\ud83d", "\ude00"]
    assert estimate.joined_tokens(halves) == estimate.text_tokens("".join(halves))


def test_four_ascii_characters_and_one_other_each_make_a_token():
    assert estimate.text_tokens("") == 0
    assert estimate.text_tokens("word" * 100) == 100
    assert estimate.text_tokens("雨" * 100) == 100


def test_everything_the_model_reads_counts():
    plain = Request(messages=[user("hello")])
    for more in (
        Request(messages=[user("hello", Image(url="https://example.com/a.png"))]),
        Request(messages=[user("hello")], tools=[ToolDefinition("weather", "The weather.")]),
        Request(messages=[user("hello"), assistant(ToolCall("1", "f", {"city": "Oslo"}))]),
    ):
        assert estimate.request_tokens(more) > estimate.request_tokens(plain)
