"""A context as a writer finds it: its row, and what was said since it was last in memory."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, select

from polyvox.errors import BadRequestError, NotFoundError
from polyvox.gateway.contexts import store
from polyvox.gateway.contexts.leases import Taking
from polyvox.gateway.contexts.memory import Memory
from polyvox.gateway.contexts.shapes import About, checked_name
from polyvox.gateway.contexts.tables import contexts
from polyvox.gateway.tenants.access import Access
from polyvox.messages import Message

__all__ = ["Opened", "Opening"]


class Opened(NamedTuple):
    """The row, and its messages from a place on with the bytes that they have as JSON."""

    row: Row[Any]
    place: int
    messages: list[Message]
    size: int

    @classmethod
    def of(cls, connection: Connection, row: Row[Any], place: int) -> "Opened":
        """... read now."""
        texts = [each.message for each in store.stored_after(connection, row.id, place)]
        return cls(row, place, [store.decoded(text) for text in texts], sum(map(len, texts)))


class Opening:
    """How a context is opened to have ``more`` messages added; without a memory none are read."""

    def __init__(self, memory: Memory | None, max_messages: int, more: int) -> None:
        self._memory = memory
        self._max_messages = max_messages
        self._more = more

    def taking(self, access: Access, key: str, create: About | None) -> Taking:
        """What takes the lease. One that is not there is begun, if it is said as what."""

        def take(
            connection: Connection, holder: str, until: float, now: float
        ) -> tuple[str, Opened] | None:
            row = store.entered(connection, access, key, holder, until, now)
            if row is None and not _is_there(connection, access, key):
                self._begin(connection, access, key, create, now)
                row = store.entered(connection, access, key, holder, until, now)
            if row is None:
                return None
            self._check_length(row)
            if self._memory is None:
                return row.id, Opened(row, row.messages, [], 0)
            return row.id, Opened.of(connection, row, self._memory.count(row.id))

        return take

    def _begin(
        self, connection: Connection, access: Access, key: str, create: About | None, now: float
    ) -> None:
        if create is None or key.startswith("ctx_"):
            raise NotFoundError(f"there is no context {key!r}")
        store.begun(connection, access, checked_name(key), create, now)

    def _check_length(self, row: Row[Any]) -> None:
        if row.messages + self._more > self._max_messages:
            raise BadRequestError(
                f"the context {row.name!r} has {row.messages:,} messages; "
                f"more than {self._max_messages:,} may not be",
                hint="Begin another, or fork it at an early message.",
            )


def _is_there(connection: Connection, access: Access, key: str) -> bool:
    there = select(contexts.c.id).where(store.whose(access, key))
    return connection.execute(there).first() is not None
