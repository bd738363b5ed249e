"""The folders of files and batches, which replicas may share."""

from pathlib import Path
from tempfile import TemporaryFile

from polyvox.errors import ConfigurationError

__all__ = ["make_writable"]


def make_writable(folder: Path) -> None:
    """Make the folder, and try whether it can be written. Raises ``ConfigurationError``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigurationError(
            f"the folder {folder} can't be written: {error.strerror}",
            hint="Files and batches are there: let this user write there, or name another folder"
            " as files in [gateway].",
        ) from None
