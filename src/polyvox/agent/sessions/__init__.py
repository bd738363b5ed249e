"""Sessions: conversations that outlive the process.

    async with JsonlSessions("sessions") as sessions:
        session = await sessions.open("ada")
        result = await agent.run("What did I ask you yesterday?", session=session)

A session is the events of its runs, written down before anybody sees them; ``RunState.apply`` makes
the state out of them again. ``entries`` says what is written of an event and in which form,
``info`` what a list of sessions tells, ``lock`` keeps a second process away, ``export`` shows a
session to people. ``JsonlSessions`` and ``SqliteSessions`` are the same ``Sessions`` over a folder
of files and over one database.

Belongs here: writing events down, reading them back, showing them.
Does not belong here: what a run does with its state, records of calls (ledger).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyvox.agent.sessions.info import SessionInfo as SessionInfo
    from polyvox.agent.sessions.jsonl import JsonlSessions as JsonlSessions
    from polyvox.agent.sessions.lock import SessionBusyError as SessionBusyError
    from polyvox.agent.sessions.session import StoredSession as StoredSession
    from polyvox.agent.sessions.sqlite import SqliteSessions as SqliteSessions
    from polyvox.agent.sessions.store import Sessions as Sessions

_HOMES = {
    "JsonlSessions": "jsonl",
    "SessionBusyError": "lock",
    "SessionInfo": "info",
    "Sessions": "store",
    "SqliteSessions": "sqlite",
    "StoredSession": "session",
}

__all__ = [
    "JsonlSessions",
    "SessionBusyError",
    "SessionInfo",
    "Sessions",
    "SqliteSessions",
    "StoredSession",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
