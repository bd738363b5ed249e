"""Conversations found: lists in parts, and the words that were said."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, false, or_, select, true

from polyvox.errors import BadRequestError
from polyvox.gateway.contexts import store
from polyvox.gateway.contexts.shapes import ContextView, FoundMessage, ListQuery, SearchQuery
from polyvox.gateway.contexts.tables import context_messages, contexts
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.endpoints import Page, page_of

__all__ = ["listed", "searched"]

_MOST_WORDS = 20
_AROUND = 60


async def listed(database: Database, access: Access, query: ListQuery) -> Page[ContextView]:
    """The contexts that the key may see, the one used last first."""
    statement = (
        select(contexts)
        .where(_seen(access, query.organisation), _after(query.after))
        .order_by(contexts.c.used.desc(), contexts.c.id.desc())
        .limit(query.limit + 1)
    )
    rows = await database.run(
        lambda connection: list(connection.execute(statement)), read_only=True
    )
    views = [store.view_of(row) for row in rows]
    return page_of(views, query.limit, lambda last: f"{last.used!r}~{last.id}")


async def searched(database: Database, access: Access, query: SearchQuery) -> Page[FoundMessage]:
    """The messages in which all the words stand, the newest first."""
    words = query.q.casefold().split()
    if not 1 <= len(words) <= _MOST_WORDS:
        raise BadRequestError(f"q has {len(words)} words; it takes 1 to {_MOST_WORDS}")
    table = context_messages
    statement = (
        select(table, contexts.c.name)
        .join(contexts, contexts.c.id == table.c.context)
        .where(
            _seen(access, query.organisation),
            *(table.c.folded.contains(word, autoescape=True) for word in words),
            table.c.number < _number(query.after) if query.after else true(),
        )
        .order_by(table.c.number.desc())
        .limit(query.limit + 1)
    )

    def work(connection: Connection) -> Page[FoundMessage]:
        rows = list(connection.execute(statement))
        shown = page_of(rows, query.limit, lambda last: str(last.number))
        return Page(data=[_found(row, words[0]) for row in shown.data], next=shown.next)

    return await database.run(work, read_only=True)


def _seen(access: Access, organisation: str | None) -> ColumnElement[bool]:
    """What the key may see; the administrator says of which organisation, or sees all."""
    if not access.admin:
        same = organisation is None or organisation == access.home
        return contexts.c.organisation == access.home if same else false()
    return true() if organisation is None else contexts.c.organisation == organisation


def _after(cursor: str | None) -> ColumnElement[bool]:
    if cursor is None:
        return true()
    used, _, id = cursor.partition("~")
    try:
        when = float(used)
    except ValueError:
        raise BadRequestError("after: this is not what a list ended with") from None
    return or_(contexts.c.used < when, and_(contexts.c.used == when, contexts.c.id < id))


def _number(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise BadRequestError("after: this is not what a search ended with")
    return int(cursor)


def _found(row: Any, word: str) -> FoundMessage:
    message = store.decoded(row.message)
    return FoundMessage(
        context=row.context,
        name=row.name,
        place=row.place,
        role=message.role,
        created=row.created,
        excerpt=_excerpt(message.text, word),
    )


def _excerpt(text: str, word: str) -> str:
    """The words around the first place; folding may have moved it a little."""
    at = text.casefold().find(word)
    begin, end = max(at - _AROUND, 0), at + len(word) + _AROUND
    cut = " ".join(text[begin:end].split())
    return f"{'... ' if begin else ''}{cut}{' ...' if end < len(text) else ''}"
