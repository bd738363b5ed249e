"""The calls that are under way: who asked, since when, and the switch that ends each of them."""

import asyncio
import time

import msgspec

from polyvox.errors import NotFoundError
from polyvox.gateway.tenants.access import Access
from polyvox.model import Interrupt

__all__ = ["CallView", "Calls", "LiveCall"]


class CallView(msgspec.Struct, kw_only=True):
    """A call that is under way, as it is told. ``started`` is seconds since the epoch."""

    id: str
    model: str
    started: float
    dialect: str = ""
    key: str = ""
    organisation: str = ""
    detached: bool = False


class LiveCall:
    """A call that is under way. ``over`` is there where somebody waits for its end."""

    __slots__ = ("access", "detached", "dialect", "id", "interrupt", "model", "over", "started")

    def __init__(self, call_id: str, access: Access, model: str, dialect: str) -> None:
        self.id = call_id
        self.access = access
        self.model = model
        self.dialect = dialect
        self.interrupt = Interrupt()
        self.over: asyncio.Event | None = None
        self.started = time.time()
        self.detached = False

    @property
    def view(self) -> CallView:
        """What may be told of it."""
        return CallView(
            id=self.id,
            model=self.model,
            started=self.started,
            dialect=self.dialect,
            key=self.access.key,
            organisation=self.access.organisation,
            detached=self.detached,
        )


class Calls:
    """Every call that is under way in this process."""

    def __init__(self) -> None:
        self._live: dict[str, LiveCall] = {}
        self._idle: asyncio.Event | None = None

    def __len__(self) -> int:
        return len(self._live)

    def begin(self, call: LiveCall) -> None:
        """A call was let in."""
        self._live[call.id] = call

    def end(self, call: LiveCall) -> None:
        """The call is over."""
        self._live.pop(call.id, None)
        if call.over is not None:
            call.over.set()
        if self._idle is not None and not self._live:
            self._idle.set()
            self._idle = None

    def seen_by(self, access: Access) -> list[CallView]:
        """The calls that the holder of this access may know of, oldest first."""
        return [call.view for call in self._live.values() if _may_see(access, call)]

    def interrupt(self, call_id: str, access: Access, reason: str) -> CallView:
        """End a call; its caller gets what had arrived. Raises ``NotFoundError``."""
        call = self._live.get(call_id)
        if call is None or not _may_see(access, call):
            raise NotFoundError(
                f"no call {call_id!r} is under way",
                hint="It may be over. The id stands in the header x-polyvox-call-id of its answer.",
            )
        call.interrupt.set(reason)
        return call.view

    def interrupt_all(self, reason: str) -> None:
        """End every call."""
        for call in list(self._live.values()):
            call.interrupt.set(reason)

    async def over(self) -> None:
        """Wait until those are over that are under way now; others may have begun by then."""
        for call in list(self._live.values()):
            if self._live.get(call.id) is call:
                call.over = call.over or asyncio.Event()
                await call.over.wait()

    async def idle(self) -> None:
        """Wait until no call is under way."""
        if self._live:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()


def _may_see(access: Access, call: LiveCall) -> bool:
    """An organisation's keys see its calls; keys without one see their own."""
    theirs = call.access
    return (
        access.admin
        or access.key == theirs.key
        or bool(access.organisation and access.organisation == theirs.organisation)
    )
