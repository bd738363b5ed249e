"""Objects of one kind in their table: listed, read, written."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from polyvox.errors import BadRequestError, NotFoundError

__all__ = ["Shelf", "conflict"]

_T = TypeVar("_T", bound=msgspec.Struct)


class Shelf(Generic[_T]):
    """A table whose rows are documents of one kind.

    Args:
        title: what one of them is called in errors.
        kind: the struct.
        table: where they stand; its columns beside ``document`` are fields of the struct.
        key: the fields that make one of them out. Lists go by the last one.
    """

    def __init__(self, title: str, kind: type[_T], table: Table, *key: str) -> None:
        self.title = title
        self.kind = kind
        self.table = table
        self.key = key
        self._columns = [
            name for name in map(str, table.c.keys()) if name in kind.__struct_fields__
        ]

    def get(self, connection: Connection, *key: str, lock: bool = False) -> _T:
        """The one of this key; under ``lock`` nobody else changes it first. Raises ``NotFoundError``."""
        query = select(self.table.c.document).where(self._is(*key))
        found = connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()
        if found is None:
            raise NotFoundError(f"there is no {self.title} {'/'.join(key)!r}", status=404)
        return self.decoded(found)

    def page(
        self, connection: Connection, limit: int, after: str | None, where: Mapping[str, str]
    ) -> list[_T]:
        """Up to so many of them after the one of this id, in order."""
        by = self.table.c[self.key[-1]]
        query = select(self.table.c.document).order_by(by).limit(limit)
        for name, value in where.items():
            query = query.where(self.table.c[name] == value)
        if after is not None:
            query = query.where(by > after)
        return [self.decoded(document) for document in connection.execute(query).scalars()]

    def all(self, connection: Connection, where: ColumnElement[bool] | None = None) -> list[_T]:
        """All of them, or all of which this holds."""
        query = select(self.table.c.document)
        found = connection.execute(query if where is None else query.where(where)).scalars()
        return [self.decoded(document) for document in found]

    def add(self, connection: Connection, one: _T, **columns: object) -> None:
        """A new one; ``columns`` are those that are no fields of it. Raises ``BadRequestError``, 409."""
        try:
            with connection.begin_nested():
                connection.execute(insert(self.table).values(**self._row(one), **columns))
        except IntegrityError:
            name = "/".join(getattr(one, field) for field in self.key)
            raise conflict(
                f"the {self.title} {name!r} is there already", "Change that one, with PATCH."
            ) from None

    def put(self, connection: Connection, one: _T) -> None:
        """In place of the one that is there."""
        key = [getattr(one, field) for field in self.key]
        connection.execute(update(self.table).where(self._is(*key)).values(**self._row(one)))

    def remove(self, connection: Connection, *key: str) -> None:
        """Away with it."""
        connection.execute(delete(self.table).where(self._is(*key)))

    def decoded(self, document: str) -> _T:
        """What the document says."""
        return msgspec.json.decode(document, type=self.kind)

    def _is(self, *key: str) -> ColumnElement[bool]:
        return and_(
            *(self.table.c[name] == value for name, value in zip(self.key, key, strict=True))
        )

    def _row(self, one: _T) -> dict[str, Any]:
        columns = {name: getattr(one, name) for name in self._columns}
        return {**columns, "document": msgspec.json.encode(one).decode()}


def conflict(text: str, hint: str) -> BadRequestError:
    """The error of a change that does not go together with what is there."""
    return BadRequestError(text, hint=hint, status=409)
