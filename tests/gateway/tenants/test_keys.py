"""What a key looks like, and which keys are too weak."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.errors import ConfigurationError
from polyvox.gateway.tenants.keys import (
    check_strength,
    digest_of,
    make_key,
    mark_of,
    may_be_a_key,
)
from polyvox.gateway.web.ids import new_id

WEAK = [
    "",
    "a",
    "admin",
    "sk-1234",
    "changeme",
    "change-me-change-me-change-me",
    "password" * 5,
    "Admin-Admin-Admin-Admin-Admin",
    "x" * 64,
    "ab" * 32,
    "0123456789" * 4,
    "1234-1234-1234-1234-1234-1234",
    "polyvox-gateway-master-key",
    "9f3a61c2",
    "🔑" * 20,
]


def test_a_key_tells_its_id_and_is_never_the_same_twice() -> None:
    id = new_id("key")
    first, second = make_key(id), make_key(id)
    assert first.startswith(f"pv-{id[-8:]}-")
    assert mark_of(id) == f"pv-{id[-8:]}"
    assert len(first) == len("pv-") + 8 + 1 + 43
    assert first != second
    assert digest_of(first) != digest_of(second)
    assert may_be_a_key(first)


@pytest.mark.parametrize("weak", WEAK)
def test_a_weak_key_is_refused_with_the_fix(weak: str) -> None:
    with pytest.raises(ConfigurationError, match="admin_key is too weak") as caught:
        check_strength(weak, "[gateway] admin_key")
    assert "openssl rand -hex 32" in str(caught.value)
    assert not weak or len(weak) < 4 or weak not in str(caught.value).replace("admin_key", "")


@pytest.mark.parametrize(
    "make",
    [
        lambda: secrets.token_hex(32),
        lambda: secrets.token_urlsafe(32),
        lambda: make_key("key_00000000"),
    ],
)
def test_what_chance_made_is_strong(make: object) -> None:
    assert callable(make)
    for _ in range(200):
        check_strength(make(), "key")


def test_a_key_that_nobody_could_send_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="longer than any key"):
        check_strength(secrets.token_hex(400), "key")


@given(st.text())
def test_any_text_has_a_digest_and_is_hardly_a_key(text: str) -> None:
    assert len(digest_of(text)) == 32
    assert not may_be_a_key(f" {text}")
    assert not may_be_a_key(text[:19])
