"""Where AWS credentials are seen, from files and variables alone."""

from pathlib import Path

import pytest

from polyvox.providers.aws_credentials import seen_credentials

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"}


def seen(tmp_path: Path, config: str = "", credentials: str = "", **environ: str) -> str | None:
    """What is seen where nothing but these two files and variables are."""
    files = {"AWS_CONFIG_FILE": config, "AWS_SHARED_CREDENTIALS_FILE": credentials}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return seen_credentials({name: str(tmp_path / name) for name in files} | environ)


def test_nothing_is_seen_where_nothing_is(tmp_path: Path):
    assert seen(tmp_path) is None
    gone = {"AWS_CONFIG_FILE": str(tmp_path / "no"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path)}
    assert seen_credentials(gone) is None


@pytest.mark.parametrize(
    ("environ", "where"),
    [
        (KEYS, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE"}, None),
        (
            {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:aws:iam::1:role/a"},
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/"},
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
    ],
)
def test_variables_are_seen(tmp_path: Path, environ: dict[str, str], where: str | None):
    assert seen(tmp_path, **environ) == where


def test_a_profile_is_seen_that_says_where_its_credentials_come_from(tmp_path: Path):
    kept = "[default]\naws_access_key_id = AKIDEXAMPLE\n[work]\naws_access_key_id = AKIDOTHER\n"
    assert seen(tmp_path, credentials=kept) == "the profile 'default'"
    assert seen(tmp_path, credentials=kept, AWS_PROFILE="work") == "the profile 'work'"
    assert seen(tmp_path, credentials=kept, AWS_PROFILE="other") is None
    login = "[profile work]\nsso_session = mine\n"
    assert seen(tmp_path, config=login, AWS_PROFILE="work") == "the profile 'work'"


def test_a_profile_with_a_region_alone_or_a_broken_file_is_none(tmp_path: Path):
    assert seen(tmp_path, config="[default]\nregion = eu-west-1\n") is None
    assert seen(tmp_path, config="no section = 1\n") is None
