"""Providers' keys at rest."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.gateway.tenants.sealing import Sealing, secret_in
from polyvox.secret import Secret

from .conftest import SECRET

KEY = "sk-canary-3f8a1d5c7e9b2046"


def test_what_is_sealed_is_opened_with_the_same_secret() -> None:
    sealed = Sealing(Secret(SECRET)).seal("openai", KEY)
    assert KEY not in sealed
    opened = Sealing(Secret(SECRET)).reveal("openai", sealed)
    assert opened == Secret(KEY)


def test_it_is_sealed_another_way_each_time() -> None:
    sealing = Sealing(Secret(SECRET))
    assert sealing.seal("openai", KEY) != sealing.seal("openai", KEY)


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-1], lambda text: text[:-4] + "AAA=", lambda _: ""]
)
def test_another_secret_or_a_damaged_text_opens_nothing(damage: object) -> None:
    assert callable(damage)
    sealed = Sealing(Secret(SECRET)).seal("openai", KEY)
    for sealing, text in (
        (Sealing(Secret(SECRET[::-1])), sealed),
        (Sealing(Secret(SECRET)), damage(sealed)),
    ):
        with pytest.raises(ConfigurationError, match="another secret"):
            sealing.reveal("openai", text)


def test_a_key_can_not_be_passed_off_as_another_providers() -> None:
    sealing = Sealing(Secret(SECRET))
    with pytest.raises(ConfigurationError):
        sealing.reveal("evil", sealing.seal("openai", KEY))


@pytest.mark.parametrize("reference", ["env:", "env:A B", "env:1A", "env:${A}"])
def test_a_reference_is_the_name_of_a_variable(reference: str) -> None:
    with pytest.raises(BadRequestError, match="refers to no variable"):
        Sealing(Secret(SECRET)).seal("openai", reference)


def test_a_weak_secret_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\[gateway\] secret is too weak"):
        Sealing(Secret("changeme"))


def test_the_folders_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with ThreadPoolExecutor(8) as threads:
        found = {each.reveal() for each in threads.map(secret_in, [folder] * 32)}
    assert len(found) == 1
    assert [path.name for path in folder.iterdir()] == ["secret"]
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    Sealing(Secret(found.pop()))


def test_a_folder_that_cant_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"\[gateway\] data"):
        secret_in(tmp_path / "file")
