"""The log of what ``ask``, ``chat`` and ``embed`` ask, and a look into it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from polyvox.cli.terminal import note, warn
from polyvox.config import load_config
from polyvox.config.finding import is_configured
from polyvox.errors import ConfigurationError
from polyvox.ledger import CallLog, CallRecord, History, default_log, default_path

__all__ = ["call_log", "log_path", "logged_call", "opened_log"]

_CLOSE_SECONDS = 2.0


@contextmanager
def call_log(wanted: bool) -> Generator[CallLog]:
    """The log in the default place, or one that writes nothing; says so if it could not write."""
    log = default_log() if wanted else CallLog()
    try:
        yield log
    finally:
        if not log.close(_CLOSE_SECONDS) or log.dropped:
            warn(f"not logged: {log.failure or 'it takes too long'} (--no-log leaves it)")


def log_path() -> Path:
    """Where the log is: where the configuration says, else in the default place.

    Raises ``ConfigurationError`` if there is to be none, or it is no database.
    """
    path = _configured_path() or default_path()
    if path is None:
        raise ConfigurationError(
            "the call log is off", hint="Unset POLYVOX_LOG, or let it name a file."
        )
    return path


def _configured_path() -> Path | None:
    section = load_config(without=["gateway"]).log if is_configured() else None
    if section is None or section.path is None:
        return None
    if section.is_jsonl:
        raise ConfigurationError(
            f"the configuration's log {section.path} is a file of JSON lines",
            hint="'polyvox log' reads databases: [log] path = \"calls.db\".",
        )
    return section.path


def opened_log() -> History | None:
    """The log, to be read; None, with a note, when nothing was logged yet. Raises as ``log_path``."""
    path = log_path()
    if not path.exists():
        note(f"No call is logged yet: there is no {path}.")
        return None
    return History(path)


def logged_call(id: str) -> list[CallRecord]:
    """What is logged of that call; nothing, with a note, when no call is.

    Raises ``NotFoundError`` for an id that no call has.
    """
    history = opened_log()
    if history is None:
        return []
    with history:
        records = history.get(id)
    if not records:
        note("No call is logged yet.")
    return records
