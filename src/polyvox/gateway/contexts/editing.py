"""What the owner of a conversation does to it, each as the work of one transaction."""

from collections.abc import Callable
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace
from sqlalchemy import Connection, update

from polyvox import jsontext
from polyvox.errors import BadRequestError
from polyvox.gateway.asking.wishes import PromptUse
from polyvox.gateway.contexts import store
from polyvox.gateway.contexts.exchange import read_messages, with_instructions
from polyvox.gateway.contexts.shapes import About, Change, ContextView, NewContext
from polyvox.gateway.contexts.tables import contexts
from polyvox.gateway.database.engine import Work
from polyvox.gateway.tenants.access import Access

__all__ = ["changing", "creating", "forking"]


def creating(
    access: Access, new: NewContext, max_messages: int, clock: Callable[[], float]
) -> Work[ContextView]:
    """Begin a conversation. Raises ``BadRequestError`` for what can't be one."""
    system, messages = with_instructions(new.system, read_messages(new.messages))
    if len(messages) > max_messages:
        raise BadRequestError(
            f"messages: {len(messages):,}, more than the {max_messages:,} that may be"
        )
    _check(new)
    about = About(system=system, template=_use(new.template), budget=new.budget, tags=new.tags)

    def work(connection: Connection) -> ContextView:
        now = clock()
        row = store.begun(connection, access, new.name, about, now)
        if row is None:
            raise store.taken_name(new.name)
        if messages:
            store.added(connection, row, messages, now)
        return store.view_of(store.found(connection, access, row.id))

    return work


def changing(access: Access, key: str, change: Change) -> Work[ContextView]:
    """Say something else of a conversation; what the change does not say stays."""
    _check(change)

    def work(connection: Connection) -> ContextView:
        row = store.found(connection, access, key, lock=True)
        if change.name is not UNSET:
            store.renamed(connection, row, change.name)
        about = _changed(store.about_of(row), change)
        values = {"about": jsontext.encode(about).decode(), "version": row.version + 1}
        connection.execute(update(contexts).where(contexts.c.id == row.id).values(values))
        return store.view_of(store.found(connection, access, row.id))

    return work


def forking(
    access: Access, key: str, count: int | None, name: str, clock: Callable[[], float]
) -> Work[ContextView]:
    """A new conversation that begins as this one does, for the same organisation."""

    def work(connection: Connection) -> ContextView:
        row = store.found(connection, access, key)
        first = row.messages if count is None else count
        if first > row.messages:
            raise BadRequestError(f"messages is {first}; the context has {row.messages}")
        owner = replace(access, organisation=row.organisation)
        copy = store.begun(connection, owner, name, store.about_of(row), clock())
        if copy is None:
            raise store.taken_name(name)
        store.copied(connection, row, copy.id, first)
        return store.view_of(store.found(connection, owner, copy.id))

    return work


def _use(template: PromptUse | str | None) -> PromptUse | None:
    return PromptUse(template) if isinstance(template, str) else template


def _check(said: NewContext | Change) -> None:
    """Raises ``BadRequestError`` for a budget that is none."""
    if said.budget is not UNSET and said.budget is not None:
        said.budget.level("budget")


def _changed(about: About, change: Change) -> About:
    said: dict[str, Any] = {}
    if change.system is not UNSET:
        said["system"] = with_instructions(change.system, [])[0]
    if change.template is not UNSET:
        said["template"] = _use(change.template)
    if change.budget is not UNSET:
        said["budget"] = change.budget
    if change.tags is not UNSET:
        said["tags"] = change.tags
    return replace(about, **said)
