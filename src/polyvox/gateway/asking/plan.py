"""A call that was let in: what it is, what is reserved for it, and how it ends up in the books."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import msgspec
from msgspec.structs import replace

from polyvox.attempt import Attempt
from polyvox.errors import AbortedError, PolyvoxError
from polyvox.gateway.asking.books import Books
from polyvox.gateway.asking.calls import LiveCall
from polyvox.gateway.asking.wishes import NO_WISHES, Wishes
from polyvox.gateway.journal.lines import Begun, Debit, Ended, Reserved
from polyvox.gateway.tenants.access import Access, Level
from polyvox.gateway.web.ids import new_id
from polyvox.ledger.tally import total_usage
from polyvox.limits.gate import Admission
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Debits, Kind
from polyvox.request import Request
from polyvox.usage import Usage
from polyvox.verbatim import Verbatim

__all__ = ["Asked", "Plan", "Watch", "call_of"]


class Asked(msgspec.Struct, kw_only=True):
    """What somebody asks.

    ``dialect`` is the wire format of the caller, ``verbatim`` their own words in it, ``model`` the name
    that they ask. ``id`` names the call everywhere; ``level`` is one more whose limits hold, ``prompt``
    the template that was used, ``request_id`` the id of the caller's request. ``keep`` puts the answer into
    the conversation that it stands in. ``attempts`` are those that were made for it so far.
    """

    access: Access
    request: Request
    wishes: Wishes = NO_WISHES
    dialect: str = ""
    verbatim: Verbatim | None = None
    id: str = msgspec.field(default_factory=lambda: new_id("call"))
    level: Level | None = None
    prompt: str | None = None
    request_id: str | None = None
    attempts: list[Attempt] = []
    keep: Callable[[AssistantMessage], Awaitable[object]] | None = None


class Watch:
    """Looks on. This one sees nothing; the gateway's has metrics."""

    def refusal(self) -> PolyvoxError | None:
        """Why no call can be let in just now: the journal is full."""
        return None

    def reason(self, error: PolyvoxError) -> str | None:
        """What may be written down of why a call failed."""
        return None

    def ended(self, plan: "Plan", line: Ended) -> None:
        """A call is over; ``plan.usage`` is what its answer used."""


class Plan:
    """A call that was let in: what is reserved for it, and how it is entered into the books.

    It is begun there once, and ended once, before the caller has the last byte.
    """

    __slots__ = (
        "_admission",
        "_began",
        "_books",
        "_first_token",
        "_watch",
        "asked",
        "begun",
        "call",
        "settled",
        "usage",
    )

    def __init__(
        self,
        books: Books,
        watch: Watch,
        asked: Asked,
        call: Call,
        admission: Admission | None,
    ) -> None:
        self._books = books
        self._watch = watch
        self._admission = admission
        self._began = time.perf_counter()
        self._first_token: float | None = None
        self.asked = asked
        self.call = call
        self.begun = False
        self.settled = False
        self.usage: Usage | None = None
        books.begin(_begun(asked, call))
        call.on_attempt = partial(books.attempt, call.id)  # a method of ours would make a cycle
        call.on_debit = partial(_debited, books, call.id, call.debits)

    def content(self) -> None:
        """The first content of the answer is there."""
        if not self.begun:
            self.begun = True
            self._first_token = time.perf_counter() - self._began

    def settle(
        self,
        error: PolyvoxError | None,
        usage: Usage | None = None,
        message: AssistantMessage | None = None,
    ) -> Awaitable[None]:
        """The call ended so: give back what it did not use, write it down, and keep what was said."""
        cached = False
        if message is not None:
            usage, cached = message.usage, message.cached
        settled = self._settled(error, usage, cached)
        if message is None or self.asked.keep is None:
            return settled
        return self._kept(settled, message)

    async def settle_left(self) -> None:
        """Its reader left, or its task was cancelled. A conversation keeps what had arrived."""
        usage = total_usage(self.call.attempts) if self.call.attempts else None
        settled = self._settled(AbortedError("the reader left"), usage, cached=False)
        left = None if self.asked.keep is None else self.call.partial
        if left is None:
            await settled
            return
        message = replace(left, stop_reason="aborted", error="the reader left")
        with suppress(PolyvoxError):  # nobody is there to be told of it
            await self._kept(settled, message)

    async def _kept(self, settled: Awaitable[None], message: AssistantMessage) -> None:
        """Settled, and kept even if the task is cancelled meanwhile."""
        assert self.asked.keep is not None
        try:
            await settled
        finally:
            await self.asked.keep(message)

    async def _settled(self, error: PolyvoxError | None, usage: Usage | None, cached: bool) -> None:
        self.settled = True
        self.usage = usage
        admission = self._admission
        self.call.on_debit = None
        accounts = admission.settle(self.call.attempts) if admission is not None else None
        # First the books, which wait for nothing; then the accounts, which may be in Redis.
        line = self._ended(error, cached)
        self._books.end(line)
        self._watch.ended(self, line)
        if accounts is not None:
            await accounts

    def _ended(self, error: PolyvoxError | None, cached: bool) -> Ended:
        seconds = time.perf_counter() - self._began
        ours = seconds
        for attempt in self.call.attempts:
            ours -= attempt.seconds
        return Ended(
            id=self.call.id,
            at=time.time(),
            error=None if error is None else error.kind,
            reason=None if error is None else self._watch.reason(error),
            partial=self.begun and error is not None,
            cached=cached,
            debits=_listed(self.call.debits),
            seconds=seconds,
            first_token=self._first_token,
            overhead=max(0.0, ours),
        )


def call_of(asked: Asked, live: LiveCall, kind: Kind) -> Call:
    """The call of what is asked."""
    access, wishes = asked.access, asked.wishes
    return Call(
        id=asked.id,
        interrupt=live.interrupt,
        deadline=None if wishes.timeout is None else time.monotonic() + wishes.timeout,
        tenant=access.tenant or access.organisation or access.key,
        session=wishes.session,
        tags=wishes.tags,
        fallbacks=wishes.fallbacks,
        caching=wishes.caching,
        caching_ttl=wishes.caching_ttl,
        kind=kind,
        verbatim=asked.verbatim,
        attempts=asked.attempts,
    )


def _begun(asked: Asked, call: Call) -> Begun:
    access, wishes = asked.access, asked.wishes
    return Begun(
        id=call.id,
        at=time.time(),
        model=asked.request.model,
        key=access.key,
        organisation=access.organisation,
        team=access.team,
        end_user=wishes.end_user,
        kind=call.kind,
        dialect=asked.dialect,
        session=wishes.session,
        context=wishes.context,
        prompt=asked.prompt,
        request_id=asked.request_id,
        tags=wishes.tags,
        reserved=_listed(call.debits),
    )


def _debited(books: Books, call: str, debits: Debits, more: Debits) -> None:
    """Write down what is reserved beside what the call began with; what comes back, its end says."""
    if any(nanos > 0 for nanos in more.values()):
        books.reserve(Reserved(id=call, debits=_listed(debits)))


def _listed(debits: Debits) -> list[Debit]:
    return [(*window, nanos) for window, nanos in debits.items()]
