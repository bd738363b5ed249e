"""The conversations of all organisations, each seen by its own alone."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

from msgspec.structs import replace
from sqlalchemy import Connection, and_, case, select, update

from polyvox.agent.summary import summary_message
from polyvox.config.serving import ContextsSection
from polyvox.errors import PolyvoxError
from polyvox.gateway.asking.wishes import PromptUse
from polyvox.gateway.contexts import editing, finding, store
from polyvox.gateway.contexts.compacting import Ask, AskedModel, Summary, summarised
from polyvox.gateway.contexts.exchange import read_messages, written_lines
from polyvox.gateway.contexts.leases import Lease, Leases
from polyvox.gateway.contexts.memory import Memory
from polyvox.gateway.contexts.opening import Opened, Opening
from polyvox.gateway.contexts.shapes import (
    About,
    Change,
    ContextView,
    Export,
    FoundMessage,
    KeptMessage,
    ListQuery,
    NewContext,
    SearchQuery,
)
from polyvox.gateway.contexts.tables import contexts
from polyvox.gateway.contexts.turns import Turn
from polyvox.gateway.contexts.window import assembled
from polyvox.gateway.database.engine import Database
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.tenants.counting import check_counted
from polyvox.gateway.web.endpoints import Page
from polyvox.messages import Message
from polyvox.request import Request

__all__ = ["Applied", "Contexts"]

Applied: TypeAlias = Callable[[Access, PromptUse | str, Request], Awaitable[Request]]
"""Puts a template before a request; see ``Prompts.apply``."""

_MEMORY = 32 << 20
_HOUR = 3600.0
_BATCH = 100


class Contexts:
    """Conversations by their names or ids.

    A name is one of the key's organisation; what belongs to another is not there. The administrator
    reaches those of others by their ids. Close it when nothing is asked any more.

    Args:
        database: where they are kept.
        section: how long they may become, and how long they are kept.
        applied: what puts a context's template before a request.
        clock: seconds since the epoch.
        pause: how to wait.
        memory_bytes: how much of the conversations used last is kept in memory.
        together: whether all workers count budgets together; else no conversation is given one.
    """

    def __init__(
        self,
        database: Database,
        section: ContextsSection,
        *,
        applied: Applied | None = None,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        memory_bytes: int = _MEMORY,
        together: bool = True,
    ) -> None:
        self._database = database
        self._together = together
        self._section = section
        self._applied = applied
        self._clock = clock
        self._pause = pause
        self._memory = Memory(memory_bytes)
        self._leases = Leases(database, wait_seconds=section.wait_seconds, clock=clock, pause=pause)
        self._tidying: asyncio.Task[None] | None = None

    def start(self) -> None:
        """From now on delete every hour what is kept no longer."""
        self._tidying = asyncio.create_task(self._tidy())

    async def aclose(self) -> None:
        """Give back what is still held."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)
        await self._leases.aclose()

    # ------------------------------------------------------------------------------------ calls

    @asynccontextmanager
    async def turn(
        self,
        access: Access,
        key: str,
        request: Request,
        window: int | None,
        *,
        template: bool = True,
    ) -> AsyncGenerator[Turn]:
        """Go on with a conversation: hold it alone, see what to ask, keep what comes.

        One of this name that is not there yet is begun, with the request's instructions as its own.
        The request holds what is new; instructions that it brings take the place of the context's.
        ``window`` is that of the model in tokens, where it is known. With ``template=False`` the
        context's template is left out, for a call that names another.

        Raises ``NotFoundError`` for an id that is not there, ``BadRequestError`` for a conversation
        that is too long to go on, ``RateLimitError`` when another call writes to it for too long.
        """
        opening = Opening(self._memory, self._section.max_messages, len(request.messages) + 1)
        create = About(system=request.system)
        async with self._held(access, key, opening, create) as lease:
            opened: Opened = lease.value
            row, about = opened.row, store.about_of(opened.row)
            history = (await self._history(opened))[row.summarised :]
            frame = replace(request, messages=[], system=request.system or about.system)
            if template and about.template is not None and self._applied is not None:
                frame = await self._applied(access, about.template, frame)
            if row.summarised:
                frame = replace(frame, messages=[*frame.messages, summary_message(row.summary)])
            yield Turn(
                assembled(frame, history, request.messages, window),
                store.level_of(row.id, about),
                request.messages,
                lambda messages: self._add(lease, messages),
            )

    # ------------------------------------------------------------------------------ what there is

    async def create(self, access: Access, new: NewContext) -> ContextView:
        """Begin a conversation. Raises ``BadRequestError`` if there is one of its name."""
        most = self._section.max_messages
        if new.budget:
            check_counted("budget", together=self._together)
        work = editing.creating(access, new, most, self._clock)
        return await self._database.run(work)

    async def get(self, access: Access, key: str) -> ContextView:
        """One of them, in short."""
        return await self._database.run(
            lambda connection: store.view_of(store.found(connection, access, key)), read_only=True
        )

    async def listed(self, access: Access, query: ListQuery) -> Page[ContextView]:
        """Those that the key may see, the one used last first."""
        return await finding.listed(self._database, access, query)

    async def searched(self, access: Access, query: SearchQuery) -> Page[FoundMessage]:
        """The messages in which all the words stand, the newest first."""
        return await finding.searched(self._database, access, query)

    async def messages(
        self, access: Access, key: str, after: int = -1, limit: int = 100
    ) -> list[KeptMessage]:
        """The messages behind this place, so many at most."""

        def work(connection: Connection) -> list[KeptMessage]:
            row = store.found(connection, access, key)
            rows = store.stored_after(connection, row.id, after + 1, limit)
            return [
                KeptMessage(place=place, created=created, message=store.decoded(text))
                for place, created, text in rows
            ]

        return await self._database.run(work, read_only=True)

    async def change(self, access: Access, key: str, change: Change) -> ContextView:
        """Say something else of it; what the change does not say stays."""
        if change.budget:
            check_counted("budget", together=self._together)
        return await self._database.run(editing.changing(access, key, change))

    async def append(
        self, access: Access, key: str, messages: Sequence[dict[str, Any]]
    ) -> ContextView:
        """Put messages behind the last one, as soon as no call writes to it."""
        read = read_messages(messages)
        opening = Opening(None, self._section.max_messages, len(read))
        async with self._held(access, key, opening, None) as lease:
            await self._add(lease, read)
        return await self.get(access, key)

    async def fork(
        self, access: Access, key: str, count: int | None = None, name: str = ""
    ) -> ContextView:
        """A new one that begins as this one does: with its first messages, by default with all."""
        work = editing.forking(access, key, count, name, self._clock)
        return await self._database.run(work)

    async def compact(
        self, access: Access, key: str, model: str, ask: Ask, keep_tokens: int | None = None
    ) -> ContextView:
        """Have a model summarise all but the newest turns; from now on models get that instead.

        Nothing is deleted, and calls go on meanwhile. The context's budget holds for it as for any call.
        Raises ``PolyvoxError`` if the summary fails.
        """

        def read(connection: Connection) -> tuple[Any, list[Message]]:
            row = store.found(connection, access, key)
            rows = store.stored_after(connection, row.id, row.summarised)
            return row, [store.decoded(each.message) for each in rows]

        row, messages = await self._database.run(read, read_only=True)
        before = Summary(row.summary, row.summarised)
        asked = AskedModel(model, ask, store.level_of(row.id, store.about_of(row)))
        summary = await summarised(before, messages, asked, keep_tokens)
        if summary is not None:
            same = and_(contexts.c.id == row.id, contexts.c.summarised == before.upto)
            statement = (
                update(contexts)
                .where(same)  # else somebody else was faster, and theirs is as good
                .values(
                    summary=summary.text,
                    summarised=summary.upto,
                    version=contexts.c.version + 1,
                )
            )
            await self._database.run(lambda connection: connection.execute(statement).close())
        return await self.get(access, row.id)

    async def export(self, access: Access, key: str, form: Export = "polyvox") -> bytes:
        """All of it as lines of JSON; the instructions first. ``create`` takes the lines again."""

        def work(connection: Connection) -> bytes:
            row = store.found(connection, access, key)
            rows = store.stored_after(connection, row.id, 0)
            messages = [store.decoded(each.message) for each in rows]
            return written_lines(store.about_of(row).system, messages, form)

        return await self._database.run(work, read_only=True)

    async def delete(self, access: Access, key: str) -> None:
        """Delete it with all that was said. A call that goes on with it now keeps nothing."""

        def work(connection: Connection) -> str:
            id: str = store.found(connection, access, key).id
            store.removed(connection, id)
            return id

        self._memory.forget(await self._database.run(work))

    async def expire(self) -> int:
        """Delete those that were not used for as long as they are kept, one by one; how many it were."""
        if self._section.retention_days is None:
            return 0
        now, count = self._clock(), 0
        oldest = now - self._section.retention_days * 86_400
        idle = and_(contexts.c.used < oldest, contexts.c.lease_until <= now)
        batch = select(contexts.c.id).where(idle).order_by(contexts.c.used).limit(_BATCH)
        while True:
            ids = await self._database.run(
                lambda connection: list(connection.scalars(batch)), read_only=True
            )
            for id in ids:
                count += await self._database.run(
                    lambda connection, id=id: store.removed(connection, id, idle)
                )
                self._memory.forget(id)
            if len(ids) < _BATCH:
                return count

    # --------------------------------------------------------------------------------- inside

    @asynccontextmanager
    async def _held(
        self, access: Access, key: str, opening: Opening, create: About | None
    ) -> AsyncGenerator[Lease]:
        take = opening.taking(access, key, create)
        async with self._leases.held(access.home, key, take) as lease:
            yield lease

    async def _history(self, opened: Opened) -> list[Message]:
        """All messages: those in memory, and those that were read just now."""
        id = opened.row.id
        try:
            return self._memory.with_more(id, opened.place, opened.messages, opened.size)
        except KeyError:  # left the memory meanwhile
            whole = await self._database.run(
                lambda connection: Opened.of(connection, opened.row, 0), read_only=True
            )
            return self._memory.with_more(id, 0, whole.messages, whole.size)

    async def _add(self, lease: Lease, messages: Sequence[Message]) -> bool:
        """Put these behind the last one, and give the lease back; False if the context is deleted."""

        def work(connection: Connection) -> bool:
            now = self._clock()
            mine = contexts.c.lease_holder == lease.holder
            row = connection.execute(
                update(contexts)
                .where(contexts.c.id == lease.id)
                .values(
                    lease_holder=case((mine, ""), else_=contexts.c.lease_holder),
                    lease_until=case((mine, 0.0), else_=contexts.c.lease_until),
                )
                .returning(contexts)
            ).first()
            if row is not None and messages:
                store.added(connection, row, messages, now)
            return row is not None

        lease.given_back = True  # by this, also when nobody waits for it any more
        try:
            return await self._leases.finished(self._database.run(work))
        except PolyvoxError:
            lease.given_back = False
            raise

    async def _tidy(self) -> None:
        while True:
            with suppress(PolyvoxError):
                await self.expire()
            await self._pause(_HOUR)
