"""The calls that are under way: who asked, since when, and the switch that ends each of them."""

import asyncio
import time

import msgspec

from polyvox.errors import NotFoundError
from polyvox.gateway.tenants.access import Access
from polyvox.model import Interrupt

__all__ = ["UNDER_WAY", "AttemptView", "CallView", "Calls", "LiveCall"]

UNDER_WAY = "under way"


class AttemptView(msgspec.Struct, kw_only=True):
    """Who was asked for a call that is over, and how that went.

    ``error`` is the kind of the failure, None if there was none, ``reason`` why, ``status`` the HTTP status
    of a refusal, and ``request_id`` the provider's. ``dollars`` is None where the price is not known.
    """

    provider: str
    model: str
    started: float
    seconds: float = 0.0
    error: str | None = None
    reason: str | None = None
    status: int | None = None
    request_id: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: str | None = None


class CallView(msgspec.Struct, kw_only=True):
    """A call as it is told. ``started`` is seconds since the epoch.

    ``status`` is "under way", "ok", the kind of the error, or "unsettled" for a call that was cut off with
    the gateway; all that follows is told of a call that is over. ``reason`` is why it failed, ``attempts``
    are told where one call alone is asked for. ``dollars`` is None where a price is not known.
    """

    id: str
    model: str
    started: float
    kind: str = "answer"
    dialect: str = ""
    key: str = ""
    key_name: str = ""
    organisation: str = ""
    team: str = ""
    detached: bool = False
    status: str = UNDER_WAY
    reason: str | None = None
    request_id: str | None = None
    end_user: str = ""
    session: str | None = None
    context: str | None = None
    prompt: str | None = None
    tags: dict[str, str] = {}
    partial: bool = False
    cached: bool = False
    seconds: float = 0.0
    first_token: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: str | None = None
    attempts: list[AttemptView] | None = None


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

    def is_seen_by(self, access: Access) -> bool:
        """Whether its holder may know of it, and end it."""
        return access.sees(self.access.organisation, self.access.key)

    @property
    def view(self) -> CallView:
        """What may be told of it."""
        return CallView(
            id=self.id,
            model=self.model,
            started=self.started,
            dialect=self.dialect,
            key=self.access.key,
            key_name=self.access.name,
            organisation=self.access.organisation,
            team=self.access.team,
            detached=self.detached,
        )


class Calls:
    """Every call that is under way in this process."""

    def __init__(self) -> None:
        self._live: dict[str, LiveCall] = {}

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

    def seen_by(self, access: Access) -> list[CallView]:
        """The calls that the holder of this access may know of, oldest first."""
        return [call.view for call in self._live.values() if call.is_seen_by(access)]

    def find(self, call_id: str, access: Access) -> CallView | None:
        """The call of this id, if it is under way and its holder may know of it."""
        call = self._live.get(call_id)
        return call.view if call is not None and call.is_seen_by(access) else None

    def interrupt(self, call_id: str, access: Access, reason: str) -> CallView:
        """End a call; its caller gets what had arrived. Raises ``NotFoundError``."""
        call = self._live.get(call_id)
        if call is None or not call.is_seen_by(access):
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
