"""Models of LiteLLM where LiteLLM is not installed."""

import sys

import pytest

from polyvox import AsyncClient
from polyvox.errors import ConfigurationError
from polyvox.providers.litellm import loading


async def test_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "litellm", raising=False)
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    async with AsyncClient() as client:
        with pytest.raises(ConfigurationError) as caught:
            client.model("litellm/openai/gpt-4o-mini")
    assert "pip install 'polyvox[litellm]'" in str(caught.value)


def test_a_litellm_that_cannot_be_imported_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(ConfigurationError, match="can't be imported"):
        loading.load()
