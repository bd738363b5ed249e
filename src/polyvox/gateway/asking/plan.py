"""A call that was let in: what it is, what is reserved for it, and how it ends up in the books."""

import time

import msgspec

from polyvox.errors import PolyvoxError
from polyvox.gateway.asking.books import Books, Entry
from polyvox.gateway.asking.calls import LiveCall
from polyvox.gateway.asking.gates import AccessGate
from polyvox.gateway.asking.wishes import NO_WISHES, Wishes
from polyvox.gateway.journal.balances import reserved_of
from polyvox.gateway.journal.lines import Begun, Ended
from polyvox.gateway.tenants.access import Access, Level
from polyvox.gateway.web.ids import new_id
from polyvox.ledger.tally import total_usage
from polyvox.limits.gate import Admission
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Kind
from polyvox.request import Request
from polyvox.usage import Usage
from polyvox.verbatim import Verbatim

__all__ = ["Asked", "Plan", "Watch", "call_of"]


class Asked(msgspec.Struct, kw_only=True):
    """What somebody asks.

    ``dialect`` is the wire format of the caller, ``verbatim`` their own words in it, ``model`` the name
    that they ask. ``id`` names the call everywhere; ``level`` is one more whose limits hold, ``prompt``
    the template that was used.
    """

    access: Access
    request: Request
    wishes: Wishes = NO_WISHES
    dialect: str = ""
    verbatim: Verbatim | None = None
    id: str = msgspec.field(default_factory=lambda: new_id("call"))
    level: Level | None = None
    prompt: str | None = None


class Watch:
    """Looks on. This one sees nothing; the gateway's has metrics."""

    def refusal(self) -> PolyvoxError | None:
        """Why no call can be let in just now: the journal is full."""
        return None

    def ended(self, plan: "Plan", line: Ended) -> None:
        """A call is over; ``plan.usage`` is what its answer used."""


class Plan:
    """A call that was let in: what is reserved for it, and how it is entered into the books."""

    __slots__ = (
        "_admission",
        "_entry",
        "_gate",
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
        gate: AccessGate | None,
        admission: Admission | None,
    ) -> None:
        self._watch = watch
        self._gate = gate
        self._admission = admission
        self.asked = asked
        self.call = call
        self.begun = False
        self.settled = False
        self.usage: Usage | None = None
        begun = _begun(asked, call)
        if admission is not None:
            begun.reserved, begun.marks = reserved_of(admission.holds, begun.at)
        self._entry = Entry(books, begun)
        call.on_attempt = self._entry.attempt

    def content(self) -> None:
        """The first content of the answer is there."""
        self.begun = True
        self._entry.content()

    async def settle(
        self,
        error: PolyvoxError | None,
        usage: Usage | None = None,
        message: AssistantMessage | None = None,
    ) -> None:
        """The call ended so: give back what it did not use, and write it down."""
        self.usage = message.usage if message is not None else usage
        cached = message is not None and message.cached
        await self._settled(error.kind if error else None, cached=cached)

    async def settle_left(self) -> None:
        """Its reader left, or its task was cancelled."""
        self.usage = total_usage(self.call.attempts) if self.call.attempts else None
        await self._settled("aborted", cached=False)

    async def _settled(self, error: str | None, *, cached: bool) -> None:
        self.settled = True
        actual: list[float] = []
        debits: dict[str, int] = {}
        if self._gate is not None and self._admission is not None:
            actual = self._admission.actual(self.call.attempts)
            debits = self._gate.debits(self._admission, actual)
        # First the books, which wait for nothing; then the accounts, which may be in Redis.
        partial = self.begun and error is not None
        line = self._entry.end(debits, error, partial=partial, cached=cached)
        if self._admission is not None:
            await self._admission.debit(actual)
        self._watch.ended(self, line)


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
        tags=wishes.tags,
    )
