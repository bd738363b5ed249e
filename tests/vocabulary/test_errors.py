import re

import pytest

import polyvox.errors as errors
from polyvox.errors import (
    PolyvoxError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    error_from_dict,
)

ALL = [
    cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, PolyvoxError)
]


@pytest.mark.parametrize("cls", ALL)
def test_every_error_survives_as_plain_values(cls):
    error = cls("it broke", hint="mend it")
    error.provider, error.model, error.request_id = "openai", "gpt", "req_1"
    error.status, error.retry_after = 418, 2.5
    again = error_from_dict(error.to_dict())
    assert type(again) is cls
    assert again.to_dict() == error.to_dict()


def test_kinds_are_distinct():
    assert len({cls.kind for cls in ALL}) == len(ALL)


def test_the_tree_in_the_docstring_names_every_error():
    assert set(re.findall(r"\w+Error", errors.__doc__)) == {cls.__name__ for cls in ALL}


def test_an_error_says_to_whom_it_happened_and_what_to_do():
    error = RateLimitError("too many requests", hint="Wait 20 s.", retry_after=20)
    error.provider, error.model, error.request_id = "openai", "gpt-5-mini", "req_1"
    assert str(error) == "openai/gpt-5-mini: too many requests (request req_1)\nWait 20 s."


def test_an_error_of_a_kind_unknown_here_is_still_an_error():
    assert type(error_from_dict({"text": "?", "kind": "from the future"})) is PolyvoxError


def test_whether_asking_again_may_help_can_differ_from_the_class():
    final = error_from_dict({"text": "out of credit", "kind": "rate_limit", "retryable": False})
    assert not final.retryable
    assert RateLimitError("x").retryable
    assert ServerError("x").retryable


def test_a_timeout_knows_its_phase():
    assert error_from_dict(RequestTimeoutError("x", phase="idle").to_dict()).phase == "idle"
