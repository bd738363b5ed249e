"""What a gateway lists: names of its configuration, and models of the providers whose keys are there."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from polyvox.config import load_config
from polyvox.gateway.asking.calls import Calls
from polyvox.gateway.configured import Configured
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.tenants.access import ADMIN, Access
from polyvox.limits import MemoryLimits
from polyvox.secret import Secret

Listing = Callable[..., list[str]]


@pytest.fixture
async def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listing]:
    """What is listed under this configuration, to a key that may ask these models."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    async with AsyncExitStack() as stack:

        def listed(config: str = "", *, keys: dict[str, str] | None = None, models: str = "*"):
            file = tmp_path / "polyvox.toml"
            file.write_text(config, encoding="utf-8")
            kept = {name: [Secret(key)] for name, key in (keys or {}).items()}
            configured = Configured(load_config(file), kept, Calls(), Approvals(), MemoryLimits())
            stack.push_async_callback(configured.aclose)
            access = ADMIN if models == "*" else Access(key="key_1", models=(models,))
            return configured.models.names(access)

        yield listed


IN_THE_FILE = '[providers.anthropic]\nkey = "sk-ant-of-the-file"\n'
CLAUDE = "anthropic/claude-sonnet-4-5"


def test_a_key_in_the_environment_brings_the_models_of_its_provider(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-the-environment")
    listed = listing()
    assert CLAUDE in listed
    assert {name.partition("/")[0] for name in listed} == {"anthropic"}
    assert listed == sorted(set(listed))


def test_so_does_one_in_the_file_and_one_that_the_database_has(listing: Listing) -> None:
    assert CLAUDE in listing(IN_THE_FILE)
    assert CLAUDE in listing(keys={"anthropic": "sk-ant-of-the-database"})


def test_names_of_the_configuration_come_first(listing: Listing) -> None:
    listed = listing('[aliases]\nparrot = "simulated/echo"\n' + IN_THE_FILE)
    assert (listed[0], CLAUDE in listed) == ("parrot", True)


def test_what_is_not_offered_or_not_to_this_key_is_not_listed(listing: Listing) -> None:
    haikus = listing(IN_THE_FILE + '[gateway]\nmodels = ["anthropic/*haiku*"]\n')
    assert haikus
    assert all("haiku" in name for name in haikus)
    mine = listing(IN_THE_FILE, models="anthropic/*sonnet*")
    assert CLAUDE in mine
    assert all("sonnet" in name for name in mine)


def test_without_any_key_there_is_the_echo(listing: Listing) -> None:
    assert listing() == ["simulated/echo"]


OFFERED = ["ollama/llama3", "simulated/lorem", "composite/council/simulated/a", "openai/*"]


def test_models_that_are_offered_by_name_are_listed_where_they_can_be_asked(
    listing: Listing,
) -> None:
    offered = [*OFFERED, "openai/gpt-5-mini", "olama/llama3", "fats"]
    listed = listing(f"[gateway]\nmodels = {offered}\n")
    assert listed == OFFERED[:3]
    assert listing(f"[gateway]\nmodels = {offered}\n", models="ollama/*") == ["ollama/llama3"]


def test_each_is_listed_once(listing: Listing) -> None:
    parrot = '[aliases]\nparrot = "simulated/echo"\n[gateway]\n'
    listed = listing(f'{parrot}models = ["{CLAUDE}", "parrot", "ollama/x"]\n{IN_THE_FILE}')
    assert listed == ["parrot", CLAUDE, "ollama/x"]


def test_so_are_those_that_a_key_may_ask_by_name(listing: Listing) -> None:
    assert listing(models="ollama/llama3") == ["ollama/llama3"]
    assert listing('[gateway]\nmodels = ["simulated/*"]\n', models="ollama/llama3") == []
