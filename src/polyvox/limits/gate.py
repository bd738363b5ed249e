"""Around a call: reserve on every limit before it, settle on every limit however it ends."""

import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from itertools import count
from secrets import token_hex
from typing import Protocol, TypeAlias

import msgspec

from polyvox.assembly import failed
from polyvox.attempt import Attempt
from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.events import Done, Event, Failed, Start, Warned
from polyvox.limits.meters import Calendar
from polyvox.limits.store import Hold, LimitStore, Standing
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.usage import Usage
from polyvox.whole import whole

__all__ = ["Admission", "Admit", "Gate", "Limit", "admitted", "answered", "scope_of"]

_TURNS = (Start, Done, Failed)


class Limit(Protocol):
    """What is limited: one account for each subject of its scope."""

    @property
    def name(self) -> str:
        """The name of its accounts: limits of the same name in one store are the same."""
        ...

    @property
    def told(self) -> str:
        """What it is called in errors."""
        ...

    def hold(self, quote: Usage, call: Call) -> Hold:
        """What a call may use at most."""
        ...

    def actual(self, attempts: Sequence[Attempt], reserved: float) -> float:
        """What the attempts of a call have used."""
        ...


class Gate:
    """Limits that are reserved together and settled together."""

    def __init__(self, store: LimitStore, limits: Sequence[Limit]) -> None:
        names = [limit.name for limit in limits]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(
                f"there are two limits of the name {min(twice)!r}",
                hint='Give each a name of its own: name="..."',
            )
        self._store = store
        self._limits = limits
        self._mark = token_hex(12)
        self._count = count()

    async def enter(self, model: Model, quote: Usage, call: Call) -> "Admission":
        """Reserve what asking this model may use. The admission says where that does not fit.

        The call is told what its budgets are debited, now and when it is over.
        """
        holds = [limit.hold(quote, call) for limit in self._limits]
        # Of this gate in this process, which may have been forked: drawing lots each time is slower.
        reservation = f"{self._mark}-{os.getpid()}-{next(self._count)}"
        over = await self._store.reserve(reservation, holds)
        admission = Admission(self._store, self._limits, model, holds, reservation, over, call)
        if not admission.refused:
            admission.tell(time.time())
        return admission


class Admission(msgspec.Struct, eq=False):
    """One call at the gate: whom it may ask, what is reserved for it, where that did not fit."""

    _store: LimitStore
    _limits: Sequence[Limit]
    model: Model
    holds: list[Hold]
    reservation: str
    over: list[Standing]
    _call: Call
    _windows: list[tuple[int, tuple[str, int]]] = []  # of budgets: the hold's place, account, mark
    warnings: list[Warned] = []
    settled: bool = False

    @property
    def refused(self) -> bool:
        """Whether the call may not be made; nothing is reserved then."""
        over = self.over
        return bool(over) and not all(self.holds[standing.place].soft for standing in over)

    def tell(self, now: float) -> None:
        """Tell the call what its budgets are debited. Rates drain within minutes, and nobody keeps them."""
        for place, hold in enumerate(self.holds):
            if isinstance(hold.meter, Calendar):
                self._windows.append((place, (hold.key, hold.meter.window(now).number)))
        if self._windows:
            self._call.debit({w: int(self.holds[place].amount) for place, w in self._windows})

    def settle(self, attempts: Sequence[Attempt]) -> Awaitable[None]:
        """The call is over, with these attempts. It is told at once, and the store when this is awaited."""
        self.settled = True
        limits = zip(self._limits, self.holds, strict=True)
        actual = [limit.actual(attempts, hold.amount) for limit, hold in limits]
        if self._windows:
            reserved = self.holds
            self._call.debit(
                {w: int(actual[place] - reserved[place].amount) for place, w in self._windows}
            )
        return self._store.settle(self.reservation, self.holds, actual)


Admit: TypeAlias = Callable[[Request, Call], Awaitable[Admission]]


async def admitted(admit: Admit, request: Request, call: Call) -> AsyncGenerator[Event]:
    """The answer of the model that may be asked, settled before its last event is given.

    When ``admit`` raises ``PolyvoxError``, that is the last event.
    """
    try:
        admission = await admit(request, call)
    except PolyvoxError as error:
        yield failed(error)
        return
    inner = call.child()
    try:
        events = admission.model.stream(request, inner)
        try:
            async for event in events:
                if type(event) in _TURNS:
                    if type(event) is not Start:
                        await admission.settle(inner.attempts)
                    elif admission.warnings:
                        yield event
                        for event in admission.warnings:
                            yield event
                        continue
                yield event
        finally:
            await events.aclose()
    finally:
        if not admission.settled:
            await admission.settle(inner.attempts)


async def answered(admit: Admit, request: Request, call: Call) -> AssistantMessage:
    """The whole answer of the model that may be asked, settled before it is given.

    Raises ``PolyvoxError``: that of ``admit``, or of the model.
    """
    try:
        admission = await admit(request, call)
    except PolyvoxError as error:
        failed(error)  # which gives it the message of a call that never began
        raise
    inner = call.child()
    try:
        return await whole(admission.model, request, inner)
    finally:
        await admission.settle(inner.attempts)


def scope_of(scope: str, name: str) -> Callable[[Call], str]:
    """How the account of a call is named, for a limit of that name and scope.

    Raises ``ConfigurationError`` for a scope that there is not.
    """
    if scope == "global":
        return lambda call: name
    if scope == "tenant":
        return lambda call: f"{name}:tenant:{call.tenant}"
    if scope == "session":
        return lambda call: f"{name}:session:{call.session or ''}"
    kind, _, tag = scope.partition(":")
    if kind == "tag" and tag:
        return lambda call: f"{name}:{tag}:{call.tags.get(tag, '')}"
    raise ConfigurationError(
        f"there is no scope {scope!r}",
        hint='It is "global", "tenant", "session", or "tag:" and the name of a tag.',
    )
