"""The folder of a gateway's data: its database, its journals, the digest of its administrator's key.

<data>/lock               held while a gateway runs on it
<data>/admin-key.sha256   what is kept of a key that was made here
<data>/gateway.db         the database, if it is SQLite
<data>/journal/           what is not in the database yet
"""

import os
import secrets
from pathlib import Path

from polyvox.errors import ConfigurationError
from polyvox.gateway.journal.folders import Folder
from polyvox.gateway.tenants.keys import digest_of, make_key

__all__ = ["DataFolder", "database_in"]

_DIGEST = "admin-key.sha256"


def database_in(folder: Path) -> str:
    """The database that is used when none is named."""
    return f"sqlite:///{folder / 'gateway.db'}"


class DataFolder:
    """A folder that belongs to this gateway as long as its process lives; its workers share it.

    Raises ``ConfigurationError`` where it can't be written, or another gateway runs on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._folder = Folder(self.path)
        try:
            locked = self._folder.lock()
        except OSError as error:
            raise ConfigurationError(
                f"the data folder {self.path} can't be written: {error.strerror}",
                hint="Name another one with --data, or as data in [gateway].",
            ) from None
        if not locked:
            raise ConfigurationError(
                f"another gateway runs on the data folder {self.path}",
                hint="Stop it, or give this one a folder of its own: --data FOLDER.",
            )

    def close(self) -> None:
        """Let another gateway have it."""
        self._folder.unlock()

    @property
    def admin_digest(self) -> bytes | None:
        """What is kept of the administrator's key; None: none was made here yet."""
        try:
            return bytes.fromhex((self.path / _DIGEST).read_text("ascii"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            raise ConfigurationError(
                f"the file {self.path / _DIGEST} can't be read",
                hint="Delete it: the next start then makes a new administrator's key.",
            ) from None

    @property
    def another_admin_key(self) -> str:
        """How to come by another administrator's key, in words."""
        return f"delete {self.path / _DIGEST} and start again: a new one is made, the old one ends"

    def make_admin_key(self) -> str:
        """A new administrator's key, of which only the digest is kept: it can't be told again."""
        key = make_key(f"key_{secrets.token_hex(12)}")
        aside = self.path / f"{_DIGEST}.part"
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(digest_of(key).hex())
            file.flush()
            os.fsync(file.fileno())
        aside.replace(self.path / _DIGEST)
        return key

    def forget_admin_key(self) -> None:
        """As if none had been made."""
        (self.path / _DIGEST).unlink(missing_ok=True)
