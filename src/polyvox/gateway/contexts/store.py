"""What is asked of the database about conversations; each function is part of one transaction."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    insert,
    literal,
    or_,
    select,
    update,
)

from polyvox import jsontext
from polyvox.errors import BadRequestError, NotFoundError
from polyvox.gateway.contexts.exchange import title_of
from polyvox.gateway.contexts.shapes import About, ContextView, checked_name
from polyvox.gateway.contexts.tables import context_messages, contexts
from polyvox.gateway.database.engine import insert_into
from polyvox.gateway.tenants.access import Access, Level
from polyvox.gateway.web.ids import new_id
from polyvox.messages import Message

__all__ = [
    "about_of",
    "added",
    "begun",
    "copied",
    "decoded",
    "entered",
    "found",
    "removed",
    "renamed",
    "stored_after",
    "taken_name",
    "view_of",
    "whose",
]

_MESSAGE = msgspec.json.Decoder(Message)
_ABOUT = msgspec.json.Decoder(About)


def whose(access: Access, key: str) -> ColumnElement[bool]:
    """The context of this name or id that the key may see. Names are those of its organisation."""
    named = and_(
        contexts.c.organisation == access.home,
        or_(contexts.c.id == key, contexts.c.name == key),
    )
    return or_(named, contexts.c.id == key) if access.admin else named


def found(connection: Connection, access: Access, key: str, *, lock: bool = False) -> Row[Any]:
    """The row of the context. Raises ``NotFoundError``, also for one of somebody else."""
    statement = select(contexts).where(whose(access, key))
    row = connection.execute(statement.with_for_update() if lock else statement).first()
    if row is None:
        raise NotFoundError(
            f"there is no context {key!r}", hint="GET /v1/contexts has the names and ids of all."
        )
    return row


def begun(
    connection: Connection, access: Access, name: str, about: About, now: float
) -> Row[Any] | None:
    """A new context; None if there is one of that name. An empty name is that of its id."""
    id = new_id("ctx", lambda: now)
    values = {
        "id": id,
        "organisation": access.home,
        "name": checked_name(name) if name else id,
        "title": "",
        "about": jsontext.encode(about).decode(),
        "summary": "",
        "summarised": 0,
        "parent": "",
        "messages": 0,
        "version": 1,
        "created": now,
        "used": now,
        "lease_holder": "",
        "lease_until": 0.0,
    }
    statement = insert_into(connection, contexts).values(values).on_conflict_do_nothing()
    return connection.execute(statement.returning(contexts)).first()


def entered(
    connection: Connection, access: Access, key: str, holder: str, until: float, now: float
) -> Row[Any] | None:
    """The context with its lease taken by this holder; None if another has it, or there is none."""
    free = or_(contexts.c.lease_holder == "", contexts.c.lease_until <= now)
    return connection.execute(
        update(contexts)
        .where(whose(access, key), free)
        .values(lease_holder=holder, lease_until=until, used=now)
        .returning(contexts)
    ).first()


def added(connection: Connection, row: Row[Any], messages: Sequence[Message], now: float) -> int:
    """Put messages behind the last one; how many there are now. The row is the one just locked."""
    connection.execute(
        insert(context_messages),
        [
            {
                "context": row.id,
                "place": row.messages + place,
                "created": now,
                "message": jsontext.encode(message).decode(),
                "folded": message.text.casefold(),
            }
            for place, message in enumerate(messages)
        ],
    )
    count = row.messages + len(messages)
    connection.execute(
        update(contexts)
        .where(contexts.c.id == row.id)
        .values(
            messages=count,
            version=contexts.c.version + 1,
            title=row.title or title_of(messages),
        )
    )
    return count


def stored_after(
    connection: Connection, id: str, place: int, limit: int | None = None
) -> list[Any]:
    """The rows of messages from this place on, in order."""
    table = context_messages
    statement = (
        select(table.c.place, table.c.created, table.c.message)
        .where(table.c.context == id, table.c.place >= place)
        .order_by(table.c.place)
    )
    return list(connection.execute(statement.limit(limit) if limit is not None else statement))


def copied(connection: Connection, row: Row[Any], into: str, count: int) -> None:
    """The first messages of a context, in another that is empty."""
    table = context_messages
    same = (table.c.place, table.c.created, table.c.message, table.c.folded)
    first = (
        select(literal(into), *same)
        .where(table.c.context == row.id, table.c.place < count)
        .order_by(table.c.place)
    )
    names = ["context", "place", "created", "message", "folded"]
    connection.execute(insert(table).from_select(names, first))
    whole = row.summarised <= count
    connection.execute(
        update(contexts)
        .where(contexts.c.id == into)
        .values(
            title=row.title if count else "",
            parent=row.id,
            messages=count,
            summary=row.summary if whole else "",
            summarised=row.summarised if whole else 0,
        )
    )


def renamed(connection: Connection, row: Row[Any], name: str) -> None:
    """Give it another name. Raises ``BadRequestError`` if another of the organisation has it."""
    if name == row.name:
        return
    taken = and_(contexts.c.organisation == row.organisation, contexts.c.name == checked_name(name))
    if connection.execute(select(contexts.c.id).where(taken)).first() is not None:
        raise taken_name(name)
    connection.execute(update(contexts).where(contexts.c.id == row.id).values(name=name))


def removed(connection: Connection, id: str, only: ColumnElement[bool] | None = None) -> bool:
    """Delete a context and what was said in it, if it is still as it must be; whether it was."""
    condition = contexts.c.id == id if only is None else and_(contexts.c.id == id, only)
    # Locked first, so that nobody adds a message between the two.
    locked = update(contexts).where(condition).values(version=contexts.c.version + 1)
    if not connection.execute(locked.returning(contexts.c.id)).first():
        return False
    connection.execute(delete(context_messages).where(context_messages.c.context == id))
    connection.execute(delete(contexts).where(contexts.c.id == id))
    return True


def taken_name(name: str) -> BadRequestError:
    """The error that there is a context of this name."""
    return BadRequestError(
        f"name: there is a context {name!r} already",
        hint="Delete it, or give another name.",
        status=409,
    )


def decoded(text: str) -> Message:
    """A message as it was stored."""
    return _MESSAGE.decode(text)


def about_of(row: Row[Any]) -> About:
    """What the owner says of a context."""
    return _ABOUT.decode(row.about)


def level_of(id: str, about: About) -> Level | None:
    """What limits the context beside its callers' own limits, if anything does."""
    return about.budget.level(f"context:{id}") if about.budget else None


def view_of(row: Row[Any]) -> ContextView:
    """A context in short."""
    about = about_of(row)
    return ContextView(
        id=row.id,
        name=row.name,
        organisation=row.organisation,
        title=row.title,
        system="\n\n".join(block.text for block in about.system),
        template=about.template,
        budget=about.budget,
        tags=about.tags,
        messages=row.messages,
        summary=row.summary,
        summarised=row.summarised,
        parent=row.parent,
        version=row.version,
        created=row.created,
        used=row.used,
    )
