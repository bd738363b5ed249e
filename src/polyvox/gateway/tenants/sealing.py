"""Providers' keys, sealed for the database, or references to variables of the environment."""

import base64
import os
import secrets
from collections.abc import Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from polyvox.errors import BadRequestError, ConfigurationError
from polyvox.gateway.tenants.keys import check_strength
from polyvox.secret import Secret

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

__all__ = ["Sealing", "is_reference", "secret_in"]

_ENV = "env:"
_SEALED = "sealed:"
_PURPOSE = b"polyvox: keys of providers\0"


class Sealing:
    """Encrypts keys with the gateway's ``secret``, by Fernet: AES-128-CBC with an HMAC, random each time.

    With a key its provider's name is sealed, so that nobody who can write to the database sends one
    provider's key to another one.

    Args:
        secret: the gateway's.
        environ: where references are looked up.

    Raises ``ConfigurationError`` for a weak secret.
    """

    def __init__(self, secret: Secret, environ: Mapping[str, str] | None = None) -> None:
        check_strength(secret.reveal(), "[gateway] secret")
        self._key = sha256(_PURPOSE + secret.reveal().encode()).digest()
        self._environ = os.environ if environ is None else environ

    @cached_property
    def _fernet(self) -> "Fernet":
        """Imported when a key is sealed or opened first: most gateways have theirs in the environment."""
        from cryptography.fernet import Fernet

        return Fernet(base64.urlsafe_b64encode(self._key))

    def seal(self, provider: str, value: str) -> str:
        """What is stored. Raises ``BadRequestError`` for a reference that is none."""
        if value.startswith(_ENV):
            if not value.removeprefix(_ENV).isidentifier():
                raise BadRequestError(
                    "value refers to no variable: it is env: and a name", hint="env:OPENAI_API_KEY"
                )
            return value
        return _SEALED + self._fernet.encrypt(f"{provider}\n{value}".encode()).decode()

    def reveal(self, provider: str, stored: str) -> Secret | None:
        """The key; None for a variable that is not set. Raises ``ConfigurationError``."""
        if stored.startswith(_ENV):
            value = self._environ.get(stored.removeprefix(_ENV), "").strip()
            return Secret(value) if value else None
        from cryptography.fernet import InvalidToken

        try:
            opened = self._fernet.decrypt(stored.removeprefix(_SEALED)).decode()
        except InvalidToken:
            opened = ""
        whose, _, value = opened.partition("\n")
        if whose != provider:
            raise ConfigurationError(
                f"a key of {provider} was sealed with another secret than the gateway's",
                hint="Start it with the [gateway] secret of before, or set the key anew.",
            )
        return Secret(value)


def is_reference(stored: str) -> bool:
    """Whether it names a variable, which is no secret."""
    return stored.startswith(_ENV)


def secret_in(folder: Path) -> Secret:
    """The secret that stands in the gateway's folder; made, for its owner alone to read, if none is there.

    Raises ``ConfigurationError`` where it can be neither read nor made.
    """
    path = folder / "secret"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Written whole before it gets its name: of two processes that start at once, both take one.
        own = folder / f"secret.{os.getpid()}.{secrets.token_hex(4)}"
        if not path.exists():
            own.touch(mode=0o600)
            own.write_text(secrets.token_hex(32), encoding="ascii")
            try:
                os.link(own, path)
            except FileExistsError:
                pass
            finally:
                own.unlink()
        return Secret(path.read_text(encoding="ascii").strip())
    except OSError as error:
        raise ConfigurationError(
            f"the secret of the gateway can't be kept in {folder}: {error.strerror}",
            hint="Give [gateway] secret, or a folder as [gateway] data that it may write to.",
        ) from None
