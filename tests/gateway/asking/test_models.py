"""Which names are models, and who may ask them: however often, and in whatever order it is asked."""

import msgspec
import pytest

from polyvox import AsyncClient
from polyvox.config import Config
from polyvox.errors import BadRequestError, NotFoundError, PermissionDeniedError
from polyvox.gateway.asking.models import Models
from polyvox.gateway.tenants.access import Access

ECHO = "simulated/echo"
ANYONE = Access(key="key_1")
ROUTED = msgspec.convert({"routers": {"chat": {"deployments": [ECHO]}}}, Config)
NOT_THIS = Access(key="key_2", models=("openai/*",))


def models(client: AsyncClient, *globs: str) -> Models:
    return Models(client, globs or ("*",), lambda: [ECHO])


async def test_what_one_key_may_ask_another_one_still_may_not() -> None:
    async with AsyncClient() as client:
        offered = models(client)
        for _ in range(2):
            assert offered.model(ECHO, ANYONE).name == ECHO
            with pytest.raises(PermissionDeniedError):
                offered.model(ECHO, NOT_THIS)


async def test_a_model_is_made_once_for_all_keys() -> None:
    async with AsyncClient() as client:
        offered = models(client)
        first = offered.model(ECHO, ANYONE)
        assert offered.model(ECHO, ANYONE) is first
        assert offered.model(ECHO, Access(key="key_3", models=("simulated/*",))) is first


@pytest.mark.parametrize("name", ["", "openai/gpt-5", "simulated/../x", "simulated/\x00"])
async def test_what_is_not_offered_never_is(name: str) -> None:
    async with AsyncClient() as client:
        offered = models(client, "simulated/*")
        offered.model(ECHO, ANYONE)
        for _ in range(2):
            with pytest.raises(NotFoundError if name else BadRequestError):
                offered.model(name, ANYONE)


async def test_a_name_that_is_no_name_for_its_length_is_not_repeated() -> None:
    async with AsyncClient() as client:
        offered = models(client)
        with pytest.raises(NotFoundError):
            offered.model("simulated/" + 1_014 * "x", ANYONE)
        with pytest.raises(BadRequestError) as refused:
            offered.model("simulated/" + 1_015 * "x", ANYONE)
    assert str(refused.value) == ("the name of a model has 1,025 characters\nIt may have 1,024.")


async def test_one_that_is_added_takes_the_place_of_one_that_was_asked_before() -> None:
    async with AsyncClient() as client:
        offered = models(client)
        offered.model(ECHO, ANYONE)
        other = offered.model("simulated/lorem", ANYONE)
        offered.add(ECHO, other)
        assert offered.model(ECHO, ANYONE) is other


async def test_after_a_great_many_keys_models_are_still_made_once(monkeypatch) -> None:
    monkeypatch.setattr("polyvox.gateway.asking.models._MOST_MADE", 3)
    async with AsyncClient() as client:
        offered = models(client)
        for number in range(10):
            offered.model(ECHO, Access(key=f"key_{number}", models=(f"team-{number}/*", ECHO)))
        later = offered.model("simulated/lorem", ANYONE)
        for number in range(10):
            own = Access(key=f"key_{number}", models=(f"team-{number}/*", "simulated/*"))
            assert offered.model("simulated/lorem", own) is later


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("parot", "Did you mean 'parrot'?"),
        ("agnt/helper", "Did you mean 'agent/helper'?"),
        ("nothing-like-it", "A model is named provider/model"),
    ],
)
async def test_a_slip_of_a_name_is_told_which_was_meant(name: str, hint: str) -> None:
    async with AsyncClient() as client:
        offered = Models(client, ("*",), lambda: ["parrot", "agent/helper"])
        with pytest.raises(NotFoundError) as refused:
            offered.model(name, ANYONE)
    assert hint in str(refused.value)


async def test_nobody_is_told_of_a_model_that_their_key_may_not_ask() -> None:
    async with AsyncClient() as client:
        offered = Models(client, ("*",), lambda: ["parrot"])
        with pytest.raises((NotFoundError, PermissionDeniedError)) as refused:
            offered.model("parot", NOT_THIS)
    assert "parrot" not in str(refused.value)


async def test_one_that_is_offered_and_gives_no_embeddings_is_not_told_to_be_missing() -> None:
    async with AsyncClient.of_config(ROUTED) as client:
        offered = models(client)
        with pytest.raises(BadRequestError, match="'chat' gives no embeddings") as refused:
            offered.embedder("chat", ANYONE)
        assert "provider/model" in str(refused.value.hint)
        with pytest.raises(NotFoundError, match="'chatt'"):
            offered.embedder("chatt", ANYONE)
