"""``polyvox agent sessions``: where the sessions of agents are kept, and what is shown of them."""

import asyncio
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from polyvox import jsontext
from polyvox.agent import Agent
from polyvox.agent.sessions import JsonlSessions, SessionInfo, Sessions, StoredSession
from polyvox.agent.sessions.store import ExportFormat
from polyvox.cli.chat_input import state_folder
from polyvox.cli.exit_codes import FAILED
from polyvox.cli.tables import Column, print_table
from polyvox.cli.terminal import harmless, is_terminal, note, warn
from polyvox.errors import ConfigurationError, NotFoundError, PolyvoxError

__all__ = [
    "delete",
    "existing",
    "export",
    "last_of",
    "open_sessions",
    "session_names",
    "show",
    "show_list",
]

_COLUMNS = (
    Column("session", whole=True, style="bold"),
    Column("time", whole=True),
    Column("agent"),
    Column("turns", right=True),
    Column("cost", right=True),
    Column("ended", styles={"error": "red", "suspended": "yellow"}),
    Column("asked"),
)


def open_sessions() -> Sessions:
    """The sessions of the command line."""
    return JsonlSessions(state_folder() / "agent-sessions")


def session_names() -> list[str]:
    """Their names, for completion: none where they can't be read."""
    with suppress(PolyvoxError):
        return [info.id for info in asyncio.run(_list())]
    return []


async def existing(sessions: Sessions, name: str) -> StoredSession:
    """The session of that name, open. Raises ``NotFoundError`` if there is none."""
    if name not in {info.id for info in await sessions.list()}:
        hint = "'polyvox agent sessions list' has all names."
        raise NotFoundError(f"there is no session {name!r}", hint=hint)
    return await sessions.open(name)


async def last_of(sessions: Sessions, agents: Iterable[Agent[Any]]) -> str:
    """The session that one of these agents was last asked in. Raises ``NotFoundError`` if there is none."""
    names = {agent.name for agent in agents}
    for info in await sessions.list():
        if info.agent in names:
            return info.id
    raise NotFoundError(f"no session of {' or '.join(sorted(names))} is kept")


def show_list(*, as_json: bool) -> int:
    """All sessions, the last one first."""
    found = asyncio.run(_list())
    for info in found:
        if info.error:
            warn(f"{info.id}: {info.error}")
    if as_json:
        for info in found:
            click.echo(jsontext.encode(info).decode())
    elif found:
        print_table(_COLUMNS, [_cells(info) for info in found])
    else:
        note("No session is kept.")
    return 0 if found else FAILED


def show(name: str, *, as_json: bool) -> int:
    """One session, as Markdown; or as its state."""
    if as_json:
        click.echo(asyncio.run(_state(name)).decode())
        return 0
    text = asyncio.run(_export(name, "markdown"))
    click.echo(harmless(text) if is_terminal(sys.stdout) else text, nl=False)
    return 0


def export(name: str, form: ExportFormat, output: Path | None) -> int:
    """One session to be read elsewhere."""
    text = asyncio.run(_export(name, form))
    if output is None:
        click.echo(text, nl=False)
        return 0
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"can't write {output}: {error.strerror}") from None
    note(f"Written to {output}.")
    return 0


def delete(name: str) -> int:
    """Delete a session."""
    asyncio.run(_delete(name))
    note(f"Deleted {name}.")
    return 0


async def _list() -> list[SessionInfo]:
    async with open_sessions() as sessions:
        return await sessions.list()


async def _state(name: str) -> bytes:
    async with open_sessions() as sessions:
        return (await existing(sessions, name)).state.to_json()


async def _export(name: str, form: ExportFormat) -> str:
    async with open_sessions() as sessions:
        return await sessions.export(name, form)


async def _delete(name: str) -> None:
    async with open_sessions() as sessions:
        await sessions.delete(name)


def _cells(info: SessionInfo) -> list[str]:
    time = datetime.fromtimestamp(info.updated).astimezone().strftime("%Y-%m-%d %H:%M")
    turns, ended = str(info.turns), "unreadable" if info.error else info.outcome
    return [info.id, time, info.agent or "-", turns, str(info.cost), ended, info.title or "-"]
