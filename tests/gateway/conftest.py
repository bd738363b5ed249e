"""What the rooms of the gateway share in their tests: a database of each kind.

    async def test_something(database: Database): ...   # runs on SQLite and on PostgreSQL

``database_url`` is an empty database that is not opened yet, ``clock`` a time that a test sets.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.inside import Clock
from gateway.running import Running
from polyvox.gateway.database.engine import Database
from postgres_server import *  # noqa: F403


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'gateway.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A database of each kind, opened and up to date."""
    database = Database(database_url)
    await database.open()
    assert database.state.status == "up", database.state.error
    yield database
    await database.aclose()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """``running(config, ...)`` starts a whole gateway as a process; see ``Running``."""
    made: list[Running] = []

    def start(config: str = "", **more: Any) -> Running:
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        made.append(Running(folder, config, **more))
        return made[-1].start()

    yield start
    for gateway in made:
        gateway.close()
