"""What statuses, codes, words and headers of error answers mean, whatever the dialect."""

import time
import tomllib
from email.utils import formatdate
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.dialects.errors import request_id, retry_after, snippet, status_error
from polyvox.errors import (
    BadRequestError,
    BudgetExceededError,
    ContentFilterError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
    PolyvoxError,
    RateLimitError,
    ServerError,
    UnknownPriceError,
)

PATTERNS = tomllib.loads(files("polyvox.dialects").joinpath("error_patterns.toml").read_text())
CLASSES = {
    "context_window_exceeded": ContextWindowExceededError,
    "content_filter": ContentFilterError,
    "out_of_quota": RateLimitError,
}


@pytest.mark.parametrize("kind", PATTERNS["special"])
def test_every_special_code_and_phrase_is_understood(kind: str):
    words = PATTERNS["special"][kind]
    errors = [status_error(400, {}, "m", code=code.upper()) for code in words["codes"]]
    errors += [status_error(400, {}, f"Sorry: {phrase.title()}!") for phrase in words["phrases"]]
    assert {type(error) for error in errors} == {CLASSES[kind]}
    assert not any(error.retryable for error in errors)


@pytest.mark.parametrize("kind", PATTERNS["codes"])
def test_every_code_decides_where_there_is_no_status(kind: str):
    kinds = {status_error(200, {}, "m", code=code).kind for code in PATTERNS["codes"][kind]}
    assert kinds == {kind}


def test_no_word_is_written_twice_or_in_upper_case():
    special = PATTERNS["special"].values()
    codes = [code for kind in special for code in kind["codes"]]
    codes += [code for codes in PATTERNS["codes"].values() for code in codes]
    phrases = [phrase for kind in special for phrase in kind["phrases"]]
    for words in (codes, phrases):
        assert len(words) == len(set(words))
        assert [word for word in words if word != word.lower()] == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (418, None, BadRequestError),
        (307, None, NotFoundError),
        (599, None, ServerError),
        (200, "503", OverloadedError),
        (200, None, ServerError),
        (200, "who knows", ServerError),
        (500, "rate_limit_error", ServerError),
    ],
)
def test_statuses_beyond_the_table(status: int, code: str | None, kind: type[Exception]):
    assert type(status_error(status, {}, "m", code=code)) is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "Request too large: Limit 30000, Requested 36278. The input or output tokens must be reduced",
            ContextWindowExceededError,
        ),
        ("you've reached your weekly usage limit, please wait or upgrade", RateLimitError),
    ],
)
def test_a_429_that_a_pause_does_not_lift_is_not_retried(text: str, kind: type[Exception]):
    error = status_error(429, {}, text, code="rate_limit_exceeded")
    assert type(error) is kind
    assert not error.retryable
    assert status_error(429, {}, "Rate limit reached. Try again in 644ms.").retryable


def test_a_good_status_is_no_status_of_an_error():
    assert status_error(200, {}, "m").status is None
    assert status_error(200, {}, "m", code="429").status == 429


def test_openais_own_word_on_asking_again_holds():
    assert not status_error(500, {"x-should-retry": "false"}, "m").retryable
    assert status_error(400, {"x-should-retry": "true"}, "m").retryable


@pytest.mark.parametrize("status", [401, 402, 404])
def test_what_says_itself_what_to_do_gets_no_hint_of_ours(status: int):
    assert status_error(status, {}, "No. Ask Ada.").hint
    advised = status_error(status, {"x-polyvox-error": "any"}, "No. Ask Ada.")
    assert (advised.hint, advised.retryable, str(advised)) == ("", False, "No. Ask Ada.")


@pytest.mark.parametrize("error", [BudgetExceededError, UnknownPriceError])
@pytest.mark.parametrize("status", [402, 403])
def test_only_a_gateway_of_ours_tells_of_a_budget(status: int, error: type[PolyvoxError]):
    told = status_error(status, {"x-polyvox-error": error.kind}, "The quota is used up. Ask Ada.")
    assert (type(told), told.status, told.retryable, told.hint) == (error, status, False, "")
    assert type(status_error(status, {}, "No.", code=error.kind)) is not error


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:27:00 GMT"}, 0.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None):
    sent = {"date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert retry_after({**sent, **headers}) == seconds


def test_a_date_to_wait_for_is_held_against_the_clock_if_the_answer_has_none():
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, now=1445412500.0) == 10.0
    later = formatdate(time.time() + 10_000, usegmt=True)
    assert 0 < (retry_after({"retry-after": later}) or 0) <= 10_000


def full_again(left: str, reset: str, limit: str = "requests") -> dict[str, str]:
    """OpenAI's headers about one limit."""
    return {f"x-ratelimit-remaining-{limit}": left, f"x-ratelimit-reset-{limit}": reset}


def full_again_at(left: str, moment: str, limit: str = "tokens") -> dict[str, str]:
    """Anthropic's."""
    name = f"anthropic-ratelimit-{limit}"
    return {f"{name}-remaining": left, f"{name}-reset": moment}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (full_again("0", "1s"), 1.0),
        (full_again("0", "6m0s"), 360.0),
        (full_again("0", "20ms"), 0.02),
        (full_again("0", "1m30.5s"), 90.5),
        (full_again("0", "1h2m3s"), 3723.0),
        (full_again("0", "33011.38"), 33011.38),
        (full_again("0", "59"), 59.0),
        (full_again("1", "6m0s"), None),
        (full_again("-1", "6m0s"), None),
        (full_again("0", "soon"), None),
        (full_again("0", ""), None),
        (full_again("0", "1741305600000"), None),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        (full_again("0", "1s") | full_again("0", "7s", "tokens"), 7.0),
        (full_again("0", "1s") | full_again("100", "7s", "tokens"), 1.0),
        (full_again("0", "7s") | {"retry-after": "2"}, 2.0),
        (full_again_at("0", "2015-10-21T07:28:30Z"), 30.0),
        (full_again_at("0", "2015-10-21T07:29:00+00:00", "input-tokens"), 60.0),
        (full_again_at("0", "2015-10-21T07:27:00Z"), 0.0),
        (full_again_at("1000", "2015-10-21T07:28:30Z"), None),
        (full_again_at("0", "later"), None),
        ({"anthropic-ratelimit-unified-reset": "1445412600"}, None),
    ],
)
def test_without_a_wait_of_its_own_the_answer_waits_for_the_limits_used_up(
    headers: dict[str, str], seconds: float | None
):
    sent = {"date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    assert retry_after({**sent, **headers}) == seconds
    assert status_error(429, {**sent, **headers}, "slow down").retry_after == seconds


@given(
    st.dictionaries(
        st.sampled_from(
            [
                *("retry-after", "retry-after-ms", "date"),
                *("x-ratelimit-reset-requests", "anthropic-ratelimit-tokens-reset"),
            ]
        ),
        st.text() | st.from_regex(r"[0-9.]{1,9}(ms|[smhd])?", fullmatch=True),
    )
)
def test_no_header_makes_it_raise(headers: dict[str, str]):
    used_up = ("x-ratelimit-remaining-requests", "anthropic-ratelimit-tokens-remaining")
    assert (retry_after({**headers, **dict.fromkeys(used_up, "0")}) or 0) >= 0


@pytest.mark.parametrize("name", ["x-request-id", "request-id", "apim-request-id"])
def test_the_request_id_has_several_names(name: str):
    assert request_id({"content-type": "x", name: "r"}) == "r"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b" upstream\n\n timed\tout ", "upstream timed out"),
        (
            b"<html><head><title>502</title><style>p{}</style></head><p>nginx &amp; co",
            "502: nginx & co",
        ),
        (b"<p>one<script>if (a < b) {}</script>two", "one two"),
        (b"\xff\xfe\x00bin", "\ufffd\ufffd bin"),
        (b"x" * 300, "x" * 197 + "..."),
    ],
)
def test_an_excerpt_of_a_body_that_is_something_else(body: bytes, text: str):
    assert snippet(body) == text


@given(st.binary(max_size=200))
def test_an_excerpt_is_one_short_printable_line(body: bytes):
    text = snippet(body, 50)
    assert len(text) <= 50
    assert text.isprintable()
