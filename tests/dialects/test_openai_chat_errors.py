"""Errors of OpenAI's likes: read in all their shapes, written in OpenAI's own."""

import json
from typing import Any

import pytest

from polyvox.dialects import get_dialect
from polyvox.errors import (
    AbortedError,
    AuthenticationError,
    BadRequestError,
    BudgetExceededError,
    ContentFilterError,
    ContextWindowExceededError,
    MissingKeyError,
    NetworkError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    PolyvoxError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
)

DIALECT = get_dialect("openai-chat")


def read(status: int, body: Any, **headers: str) -> PolyvoxError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return DIALECT.decode_error(status, headers, raw)


@pytest.mark.parametrize(
    ("body", "text", "code"),
    [
        ({"error": {"message": "m", "type": "t", "param": None, "code": "c"}}, "m", "c"),
        ({"error": {"message": "m", "type": "t", "code": None}}, "m", "t"),
        ({"error": {"message": "m", "code": 400}}, "m", "400"),
        ({"error": "m"}, "m", None),
        ({"message": "m", "type": "t"}, "m", "t"),
        ({"object": "error", "message": "m", "type": "BadRequestError", "code": 400}, "m", "400"),
        ({"detail": "m"}, "m", None),
        ({"detail": [{"loc": ["body"], "msg": "m"}]}, '[{"loc":["body"],"msg":"m"}]', None),
        ({"error": {"message": {"detail": "m"}}}, '{"detail":"m"}', None),
        ([{"error": {"message": "m", "status": "INVALID_ARGUMENT"}}], "m", "INVALID_ARGUMENT"),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": '{"x": "m"}'}}},
            'Provider returned error: {"x": "m"}',
            None,
        ),
        (b"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway", None),
        (b"nope", "nope", None),
        (b"", "HTTP status 400", None),
    ],
)
def test_error_bodies_in_all_shapes(body: Any, text: str, code: str | None):
    error = read(400, body)
    assert (error.text.rstrip(": "), error.provider_code, error.status) == (text, code, 400)


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, {"message": "m"}, BadRequestError, False),
        (400, {"code": "context_length_exceeded"}, ContextWindowExceededError, False),
        (
            400,
            {"message": "This model's maximum context length is 8"},
            ContextWindowExceededError,
            False,
        ),
        (400, {"code": "content_filter"}, ContentFilterError, False),
        (401, {"message": "m"}, AuthenticationError, False),
        (402, {"message": "m"}, RateLimitError, False),
        (403, {"message": "m"}, PermissionDeniedError, False),
        (404, {"message": "m"}, NotFoundError, False),
        (408, {"message": "m"}, RequestTimeoutError, True),
        (409, {"message": "m"}, ServerError, True),
        (413, {"message": "m"}, BadRequestError, False),
        (422, {"message": "m"}, BadRequestError, False),
        (429, {"message": "m"}, RateLimitError, True),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, RateLimitError, False),
        (500, {"message": "maximum context length"}, ServerError, True),
        (502, {"message": "m"}, ServerError, True),
        (503, {"message": "m"}, OverloadedError, True),
        (529, {"message": "m"}, OverloadedError, True),
    ],
)
def test_what_a_status_and_a_code_mean(
    status: int, body: dict[str, Any], kind: type[PolyvoxError], retryable: bool
):
    error = read(status, {"error": body})
    assert type(error) is kind
    assert error.retryable is retryable


def test_a_quota_is_known_by_its_type_too_and_not_asked_for_again():
    said = {"message": "No.", "type": "insufficient_quota", "code": 429}
    error = read(429, {"error": said})
    assert (error.provider_code, error.retryable) == ("insufficient_quota", False)


def test_the_request_id_and_the_time_to_wait_are_in_the_headers():
    headers = {"x-request-id": "req_1", "retry-after": "3"}
    error = DIALECT.decode_error(429, headers, b"{}")
    assert (error.request_id, error.retry_after) == ("req_1", 3.0)


def quota() -> RateLimitError:
    error = RateLimitError("no money")
    error.retryable = False
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadRequestError("m"), 400),
        (ContextWindowExceededError("m"), 400),
        (ContentFilterError("m"), 400),
        (AuthenticationError("m"), 401),
        (PermissionDeniedError("m"), 403),
        (NotFoundError("m"), 404),
        (RateLimitError("m"), 429),
        (quota(), 429),
        (ServerError("m"), 500),
        (OverloadedError("m"), 503),
        (RequestTimeoutError("m"), 504),
    ],
)
def test_an_error_is_read_as_it_was_written(error: PolyvoxError, status: int):
    written, body = DIALECT.encode_error(error)
    assert written == status
    back = DIALECT.decode_error(written, {}, body)
    assert (type(back), back.text, back.retryable) == (type(error), error.text, error.retryable)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MissingKeyError("m"), 401),
        (BudgetExceededError("m"), 402),
        (AbortedError("m"), 499),
        (NetworkError("m"), 502),
        (ProtocolError("m"), 502),
        (PolyvoxError("m"), 500),
    ],
)
def test_our_own_errors_have_a_status_too(error: PolyvoxError, status: int):
    assert DIALECT.encode_error(error)[0] == status


def test_what_to_do_about_it_is_told_as_well():
    _, body = DIALECT.encode_error(BadRequestError("No good.", hint="Do better."))
    assert json.loads(body)["error"]["message"] == "No good. Do better."
