"""What is written of templates, each as the work of one transaction, which others hear of."""

from collections.abc import Sequence

from sqlalchemy import Connection, and_, delete, insert, select, update

from polyvox import jsontext
from polyvox.errors import NotFoundError
from polyvox.gateway.database.engine import insert_into
from polyvox.gateway.database.versions import bump, numbers
from polyvox.gateway.prompts.shapes import PromptTemplate
from polyvox.gateway.prompts.shelf import Shelf
from polyvox.gateway.prompts.tables import prompt_tags, prompt_versions, prompts
from polyvox.gateway.tenants.access import Access

__all__ = ["VERSIONS", "push", "read_all", "remove", "tag", "untag"]

VERSIONS = "prompts"
"""By this name others hear that something has changed."""


def read_all(connection: Connection) -> tuple[int, Shelf]:
    """All templates, after the number that tells whether any has changed since."""
    # In this order none refers to what was not there yet, whatever others write meanwhile.
    number = numbers(connection).get(VERSIONS, 0)
    tags = list(connection.execute(select(prompt_tags)))
    versions = list(connection.execute(select(prompt_versions)))
    return number, Shelf(connection.execute(select(prompts)), versions, tags)


def push(
    connection: Connection,
    access: Access,
    name: str,
    template: PromptTemplate,
    *,
    note: str,
    tags: Sequence[str],
    now: float,
) -> int:
    """A new version; the number of the newest one if it says the same already."""
    key = {"organisation": access.organisation, "name": name}
    begun = insert_into(connection, prompts).values(**key, created=now, updated=now)
    connection.execute(  # locks the row too: two who push get two numbers
        begun.on_conflict_do_update(index_elements=list(key), set_={"updated": now})
    )
    newest = connection.execute(
        select(prompt_versions.c.number, prompt_versions.c.template)
        .where(
            prompt_versions.c.organisation == access.organisation, prompt_versions.c.name == name
        )
        .order_by(prompt_versions.c.number.desc())
        .limit(1)
    ).first()
    text = jsontext.encode(template).decode()
    number = newest.number if newest else 0
    if newest is None or newest.template != text:
        number += 1
        row = {
            "number": number,
            "template": text,
            "note": note,
            "author": access.key,
            "created": now,
        }
        connection.execute(insert(prompt_versions).values(**key, **row))
    for each in tags:
        _tag(connection, access, name, each, number)
    bump(connection, VERSIONS)
    return number


def tag(
    connection: Connection, access: Access, name: str, word: str, number: int, now: float
) -> None:
    """Let a tag mean this version. Raises ``NotFoundError`` if the template was deleted meanwhile."""
    _touch(connection, access, name, now)
    _tag(connection, access, name, word, number)
    bump(connection, VERSIONS)


def untag(connection: Connection, access: Access, name: str, word: str, now: float) -> None:
    """Take a tag away. Raises ``NotFoundError`` if there is none."""
    _touch(connection, access, name, now)
    mine = and_(prompt_tags.c.organisation == access.organisation, prompt_tags.c.name == name)
    if not connection.execute(delete(prompt_tags).where(mine, prompt_tags.c.tag == word)).rowcount:
        raise NotFoundError(f"the template {name!r} has no tag {word!r}")
    bump(connection, VERSIONS)


def remove(connection: Connection, access: Access, name: str, now: float) -> None:
    """Delete a template with all versions and tags. Raises ``NotFoundError`` if there is none."""
    _touch(connection, access, name, now)
    for table in (prompt_tags, prompt_versions, prompts):
        mine = and_(table.c.organisation == access.organisation, table.c.name == name)
        connection.execute(delete(table).where(mine))
    bump(connection, VERSIONS)


def _touch(connection: Connection, access: Access, name: str, now: float) -> None:
    """Something about it changes; nobody else changes it meanwhile."""
    mine = and_(prompts.c.organisation == access.organisation, prompts.c.name == name)
    if not connection.execute(update(prompts).where(mine).values(updated=now)).rowcount:
        raise NotFoundError(f"there is no template {name!r}")


def _tag(connection: Connection, access: Access, name: str, word: str, number: int) -> None:
    row = {"organisation": access.organisation, "name": name, "tag": word}
    statement = insert_into(connection, prompt_tags).values(**row, number=number)
    connection.execute(
        statement.on_conflict_do_update(index_elements=list(row), set_={"number": number})
    )
