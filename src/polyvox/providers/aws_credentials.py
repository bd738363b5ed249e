"""Where AWS credentials seem to be, told without botocore and without asking anybody.

From "Configuration and credential file settings" and "Environment variables" in AWS's documentation. It is a
look at what is there, for people: only signing finds out whether it works. The role of an instance
can't be seen from inside without asking, and is not told.
"""

from collections.abc import Mapping
from configparser import Error, RawConfigParser
from pathlib import Path

__all__ = ["seen_credentials"]

_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_FILES = {
    "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials",
    "AWS_CONFIG_FILE": "~/.aws/config",
}
_SOURCES = (
    *("aws_access_key_id", "credential_process", "login_session", "role_arn"),
    *("sso_session", "sso_start_url"),
)
"""The settings of a profile one of which its credentials come from."""


def seen_credentials(environ: Mapping[str, str]) -> str | None:
    """Where credentials are in this environment: a variable's name, or a profile; None if nowhere.

    >>> seen_credentials({"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret"})
    'AWS_ACCESS_KEY_ID'
    """
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        return "AWS_ACCESS_KEY_ID"
    if environ.get("AWS_WEB_IDENTITY_TOKEN_FILE") and environ.get("AWS_ROLE_ARN"):
        return "AWS_WEB_IDENTITY_TOKEN_FILE"
    profile = environ.get("AWS_PROFILE") or "default"
    if any(
        _has_source(Path(environ.get(name) or usual), profile) for name, usual in _FILES.items()
    ):
        return f"the profile {profile!r}"
    return next((name for name in _CONTAINER if environ.get(name)), None)


def _has_source(file: Path, profile: str) -> bool:
    """Whether the profile in this file names where its credentials come from."""
    parser = RawConfigParser(strict=False)
    try:
        parser.read(file.expanduser(), encoding="utf-8")
    except (Error, OSError, RuntimeError, UnicodeDecodeError):
        return False  # signing will say so
    sections = [name for name in (profile, f"profile {profile}") if parser.has_section(name)]
    return any(parser.get(name, source, fallback="") for name in sections for source in _SOURCES)
