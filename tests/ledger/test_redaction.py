"""Secrets are in no file: not in what was asked, answered or failed, whichever way they got there."""

import re
from pathlib import Path
from typing import Any

import pytest

from polyvox.attempt import Attempt
from polyvox.errors import AuthenticationError
from polyvox.ledger import CallLog, CallRecord, History, JsonlSink, Logged, Redactor, SqliteSink
from polyvox.ledger.redaction import MASK
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Text,
    Thinking,
    ToolCall,
    tool_result,
    user,
)
from polyvox.request import Request, ToolDefinition
from polyvox.secret import Secret
from polyvox.usage import Usage

from .rig import Leaf, ask

# Put together here, so that no scanner takes this file for a leak.
KEYS = [
    "sk-" + "canary-do-not-tell-4711",
    "sk-ant-api03-" + "abcDEF123456_-xyz" * 3,
    "sk-proj-" + "A1b2C3d4" * 6,
    "gsk_" + "A1b2C3d4" * 6,
    "hf_" + "AbCdEfGhIj" * 3,
    "xai-" + "AbCdEf1234" * 4,
    "nvapi-" + "AbCdEf1234" * 4,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8",
    "xoxb-" + "1234567890-abcdef",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key[:6])
@pytest.mark.parametrize(
    "around", ["{}", 'export KEY="{}"; rest', "a\n{}\nb", "https://x.example/?key={}&b=1"]
)
def test_keys_of_known_shapes_are_masked_wherever_they_stand(key: str, around: str):
    masked = Redactor().text(around.format(key))
    assert masked == around.format(MASK)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc123DEF456", "Authorization: Bearer ***"),
        ("authorization: bearer t0k3n-t0k3n", "authorization: bearer ***"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic ***"),
        ("redis://user:hunter2@db.example/0", "redis://***@db.example/0"),
        (
            "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nrest",
            "***\nrest",
        ),
    ],
)
def test_headers_addresses_and_key_files_are_masked(text: str, masked: str):
    assert Redactor().text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "a task-oriented desk-bound sk-learn user",
        "The bearer of good news arrived",
        "AKIA is a prefix, AIza too",
        "https://example.com/path?x=1 and user@example.com",
        "https://example.com/a:b@c",
        "eyJust a word",
        "x" * 10_000,
    ],
)
def test_ordinary_words_stay(text: str):
    assert Redactor().text(text) == text


def test_patterns_of_the_users_and_secrets_are_masked():
    redactor = Redactor(
        [r"\b\d{3}-\d{4}\b", re.compile("plum", re.IGNORECASE), Secret("opensesame")]
    )
    assert redactor.text("555-1234 Plum opensesame pear") == "*** *** *** pear"
    assert Redactor("pear").text("pear") == MASK


def test_one_pattern_need_not_stand_in_a_list_and_our_own_words_stay_readable():
    redactor = Redactor(r"\w+")
    cleaned = redactor.clean(Request(messages=[user("Hello there")]))
    assert cleaned["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "*** ***"}]}
    ]


def test_fields_that_are_named_like_keys_are_masked_where_programs_put_them():
    given = {"api_key": "short", "Password": "x", "depth": "7", "nested": {"access_token": "y"}}
    cleaned = Redactor().clean(Request(messages=[], options={"lab": given}))
    assert cleaned["options"]["lab"] == {
        "api_key": MASK,
        "Password": MASK,
        "depth": "7",
        "nested": {"access_token": MASK},
    }


def test_a_data_url_becomes_its_hash():
    image = Image(url="data:image/png;base64,aGVsbG8=")
    cleaned = Redactor().clean(image)
    assert cleaned["url"] == (
        "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824?bytes=5"
    )
    assert Redactor(keep_bytes=True).clean(image)["url"] == image.url


def everywhere(key: str) -> CallRecord:
    """A record with this key in every place where text may stand."""
    data: dict[str, Any] = {
        "value": key,
        key: 1,
        "deep": [{"x": f"a {key} b"}],
        "secret": Secret(key),
    }
    usage = Usage(1, 1)
    attempt = Attempt(
        provider="p", model=key, started=0, seconds=0, usage=usage, request_id=key, error="server"
    )
    request = Request(
        messages=[
            user(key, Image(url=f"https://x.example/?k={key}"), File(key.encode(), name=key)),
            AssistantMessage(
                [Thinking(key, signature=key, meta=data), ToolCall("1", key, data, key)], error=key
            ),
            tool_result("1", key),
        ],
        system=[Text(key)],
        tools=[ToolDefinition("t", key, {"description": key, "default": data})],
        stop=[key],
        metadata={"user_id": key},
        options={"lab": data},
    )
    message = AssistantMessage([Text(key), ToolCall("2", "t", data)], "error", usage, error=key)
    error = AuthenticationError(f"{key} is wrong", hint=key, provider_code=key).to_dict()
    return CallRecord(
        id="one",
        time=0.0,
        model="m",
        session=key,
        tags={"k": key},
        request=request,
        message=message,
        error=error,
        attempts=[attempt],
        seconds=0.0,
    )


@pytest.mark.parametrize("key", [*KEYS, "a-secret-of-no-known-shape"], ids=lambda key: key[:6])
def test_a_canary_is_in_no_file_and_all_else_is(key: str, tmp_path: Path):
    redact = [Secret(key)] if key.startswith("a-secret") else []
    with CallLog(
        SqliteSink(tmp_path / "calls.db"), JsonlSink(tmp_path / "calls.jsonl"), redact=redact
    ) as log:
        log.add(everywhere(key))
    assert log.failure is None
    for path in tmp_path.iterdir():
        assert key.encode() not in path.read_bytes(), path.name
    with History(tmp_path / "calls.db") as history:
        (kept,) = history.find()
    assert kept.request is not None
    assert kept.request.system == [Text(MASK)]
    assert kept.request.options["lab"]["deep"] == [{"x": f"a {MASK} b"}]
    assert kept.request.options["lab"]["secret"] == MASK
    assert kept.error is not None
    assert kept.error["text"] == f"{MASK} is wrong"
    assert (kept.session, kept.tags) == (MASK, {"k": MASK})


async def test_the_providers_words_about_a_key_are_masked(tmp_path: Path):
    key = KEYS[0]
    with CallLog(JsonlSink(tmp_path / "calls.jsonl")) as log:
        await ask(Logged(Leaf(AuthenticationError(f"Incorrect API key provided: {key}")), log))
        await ask(Logged(Leaf(f"Your key is {key}."), log), user(f"My key is {key}."))
    text = (tmp_path / "calls.jsonl").read_text()
    assert key not in text
    assert "Incorrect API key provided: ***" in text
    assert "My key is ***." in text


def test_secrets_are_masked_whatever_their_fields_hold():
    given = {
        "password": 1234,
        "OPENAI_API_KEY": "x",
        "x-goog-api-key": "x",
        "dbPassword": "x",
        "api_keys": ["kept"],
        "apiKey": ["x", "y"],
        "Cookie": "x",
        "secret": None,
        "authorization": {"scheme": "lab", "token": "kept"},
        "max_tokens": 5,
    }
    cleaned = Redactor().clean(ToolCall("1", "go", given))["arguments"]
    masked = {name for name, value in cleaned.items() if value == MASK}
    assert masked == {
        *("password", "OPENAI_API_KEY", "x-goog-api-key", "dbPassword", "apiKey", "Cookie")
    }
    assert {name: cleaned[name] for name in {*given} - masked} == {
        name: given[name] for name in {*given} - masked
    }


def test_the_form_of_a_password_is_none():
    schema = {"properties": {"password": {"type": "string"}}, "required": ["password"]}
    cleaned = Redactor().clean(ToolDefinition("log_in", parameters=schema))
    assert cleaned["parameters"] == schema


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("https://x.example/?api_key=hunter2hunter2&b=1", "https://x.example/?api_key=***&b=1"),
        (
            "https://x.example/?a=1&access_token=hunter2hunter2",
            "https://x.example/?a=1&access_token=***",
        ),
        (
            "see https://x.blob.example/a?sv=2020&sig=abc%3Ddefghi.",
            "see https://x.blob.example/a?sv=2020&sig=***.",
        ),
        (
            "https://b.example/a.png?X-Amz-Signature=0123456789abcdef#x",
            "https://b.example/a.png?X-Amz-Signature=***#x",
        ),
        ("https://x.example/?page_token=2&sig=short", "https://x.example/?page_token=2&sig=short"),
    ],
)
def test_what_opens_an_address_is_masked(address: str, masked: str):
    assert Redactor().text(address) == masked


@pytest.mark.parametrize(
    "piece", ["eyJ-", "eyJ.", "sk-", "Bearer ", "://a:", "?a-", "-----BEGIN ", "AKIA"]
)
def test_no_text_takes_long_to_be_masked(piece: str):
    """Quadratic work on a megabyte would take minutes: the test would never end."""
    Redactor().text(piece * (1_000_000 // len(piece)) + "PRIVATE KEY://?api_key=")


def test_a_pattern_leaves_a_result_with_its_call():
    messages = [AssistantMessage([ToolCall("call_123", "f")]), tool_result("call_123", "7")]
    answer, result = Redactor([r"\d+"]).clean(Request(messages=messages))["messages"]
    assert answer["content"][0]["id"] == result["tool_call_id"]
