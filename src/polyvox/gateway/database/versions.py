"""How the processes of a gateway learn that one of them has changed something.

Every change of keys, templates, ... bumps a number in its own transaction; the others look at the
numbers every few seconds, and read anew what has another number than before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection, select

from polyvox.errors import OverloadedError, PolyvoxError, in_words
from polyvox.gateway.database.engine import Database, insert_into
from polyvox.gateway.database.tables import versions

__all__ = ["Lookout", "bump", "numbers"]

_log = logging.getLogger(__name__)


def bump(connection: Connection, name: str) -> None:
    """What goes by this name has changed; others see it when the transaction is committed."""
    insert = insert_into(connection, versions).values(name=name, number=1)
    connection.execute(
        insert.on_conflict_do_update(
            index_elements=[versions.c.name], set_={"number": versions.c.number + 1}
        )
    )


def numbers(connection: Connection) -> dict[str, int]:
    """Every name with its number; one that never changed is not there."""
    rows = connection.execute(select(versions.c.name, versions.c.number))
    return {row.name: row.number for row in rows}


class Lookout:
    """Look at the numbers every few seconds, and call who is concerned of one that has changed.

    A callback that fails is called again the next time. While the database is down all are called, so
    that they know that they may miss something; and once more when it is back.

    Args:
        database: where the numbers are.
        seconds: how often to look.
    """

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._watchers: dict[str, list[_Watcher]] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def watch(self, name: str, callback: Callable[[], Awaitable[None]]) -> None:
        """Call this at the first look, and whenever the number of that name has changed."""
        self._watchers.setdefault(name, []).append(_Watcher(name, callback))

    async def look(self) -> None:
        """Look now. Raises nothing when the database can't be used."""
        try:
            present = await self._database.run(numbers, read_only=True)
        except PolyvoxError as error:
            _log.debug("the numbers of versions can't be read: %s", error.text)
            present = None
        for name, watchers in self._watchers.items():
            for watcher in watchers:
                await watcher.tell(None if present is None else present.get(name, 0))

    def start(self) -> None:
        """Look from now on, in a task of the running loop; at once too when the database comes back."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._run())
        self._database.on_up(lambda: loop.call_soon_threadsafe(self._wake.set))

    async def aclose(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self.look()
            try:
                async with asyncio.timeout(self._seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass


class _Watcher:
    def __init__(self, name: str, callback: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._callback = callback
        self._seen: int | None = None
        self._failing = False

    async def tell(self, number: int | None) -> None:
        if number is not None and number == self._seen:
            return
        self._seen = None
        try:
            await self._callback()
        except OverloadedError:  # the database has told of itself
            pass
        except Exception as error:  # noqa: BLE001 - the others are told all the same
            if not self._failing:
                _log.warning("%s could not be read anew: %s", self._name, in_words(error))
            self._failing = True
        else:
            self._seen, self._failing = number, False
