"""What a provider keeps means something to those of its dialect alone."""

import pytest

from polyvox.dialects.kept import check_kept, without_kept
from polyvox.errors import BadRequestError
from polyvox.messages import user
from polyvox.request import Request

NAME = "openai-responses"


def asking(**options: object) -> Request:
    return Request(messages=[user("And then?")], options={NAME: options, "acme": {"a": 1}})


def test_its_own_dialect_may_be_asked():
    check_kept(asking(previous_response_id="resp_1", conversation="conv_1"), NAME)


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic-messages", ""])
def test_any_other_may_not_and_the_field_is_named(dialect: str):
    with pytest.raises(BadRequestError, match=r"^conversation: ") as caught:
        check_kept(asking(store=True, conversation={"id": "conv_1"}), dialect)
    assert "x-polyvox-context" in (caught.value.hint or "")


def test_what_points_at_nothing_is_no_matter():
    check_kept(asking(store=True, previous_response_id=None, conversation=""), "openai-chat")
    check_kept(Request(messages=[user("Hi")]))


def test_who_plays_a_provider_that_keeps_is_asked_without_it_and_with_all_else():
    request = asking(store=True, previous_response_id="resp_1")
    plain = without_kept(request)
    assert plain.options == {NAME: {"store": True}, "acme": {"a": 1}}
    assert request.options[NAME]["previous_response_id"] == "resp_1"
