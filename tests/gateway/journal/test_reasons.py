"""What is written down of why something failed: never a key, and nothing that a caller asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.attempt import Attempt
from polyvox.errors import (
    BadRequestError,
    BudgetExceededError,
    NetworkError,
    PolyvoxError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    _subclasses,
)
from polyvox.gateway.journal.reasons import Reasons
from polyvox.ledger import Redactor
from polyvox.secret import Secret

SAID = "Ada's secret plan"
KEY = "sk-canarycanarycanarycanary0123456789"
KINDS = sorted({cls.kind for cls in _subclasses(PolyvoxError)})


def of(error: PolyvoxError, *, provider: str | None = "openai", **given: bool) -> str | None:
    error.provider = provider
    return Reasons(**given).of(error)


def within(*, quoting: bool = False, **fields) -> str | None:
    attempt = Attempt(provider="openai", model="m", started=0.0, seconds=0.1, **fields)
    found = Reasons(quoting=quoting).within(attempt)
    assert (found.error, found.status, found.code) == (attempt.error, attempt.status, None)
    return found.reason


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_provider_answered_is_not_written_down_unless_that_is_allowed(kind: str):
    said = f"you asked for {SAID}"
    assert within(error=kind, status=400, reason=said) is None
    assert within(error=kind, status=400, reason=said, quoting=True) == said


def test_errors_within_a_good_answer_are_a_providers_words_too():
    assert of(ServerError(SAID)) is None
    assert of(ServerError(SAID), quoting=True) == SAID


@pytest.mark.parametrize("error", [BadRequestError(SAID), BadRequestError(SAID, status=400)])
def test_what_is_wrong_with_a_request_may_repeat_it_whoever_says_so(error: PolyvoxError):
    assert of(error, provider=None) is None


@pytest.mark.parametrize(
    "error",
    [
        NetworkError("can't connect to 10.0.0.1:443"),
        RequestTimeoutError("no first byte within 60 s", phase="first_byte"),
    ],
)
def test_our_own_words_are_written_down(error: PolyvoxError):
    assert of(error) == error.text
    assert within(error=error.kind, reason=error.text) == error.text


@pytest.mark.parametrize(
    "error", [BudgetExceededError("it is spent", status=402), RateLimitError("nobody has room")]
)
def test_a_refusal_of_the_gateway_is_in_our_words_whatever_its_status(error: PolyvoxError):
    assert of(error, provider=None) == error.text


def test_a_code_that_is_a_plain_word_is_always_written_down():
    assert within(error="rate_limit", status=429, code="insufficient_quota", reason=SAID) == (
        "insufficient_quota"
    )
    assert within(error="rate_limit", status=429, code=SAID) is None
    assert within(error="rate_limit", status=429, code="a" * 65) is None


def test_keys_are_masked_also_where_a_long_text_is_cut():
    reasons = Reasons(Redactor([Secret("hunter2hunter2")]), quoting=True)
    for before in (*range(440, 510), *range(1_900, 2_010)):
        error = ServerError(f"{'x ' * (before // 2)}{KEY} hunter2hunter2 {'y ' * 900}")
        told = reasons.of(error)
        assert told is not None
        assert "canary" not in told
        assert "hunter" not in told


@given(st.text(max_size=3_000), st.booleans())
def test_it_is_one_short_line(text: str, quoting: bool):
    told = Reasons(quoting=quoting).of(NetworkError(text)) or ""
    assert len(told) <= 500
    assert len(told.splitlines()) <= 1
