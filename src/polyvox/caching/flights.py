"""Single flight: of identical calls at the same time one asks, the others wait for its answer."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from polyvox.model import Call
from polyvox.waiting import Waiter

__all__ = ["Flights", "Seat"]

_MOST_FAILURES = 3


class Flights:
    """The calls under way, by key.

    An answer goes to all that wait. An error is never shared: it belongs to the call that met it, and
    the next in line asks, as it does when a call is cancelled or left. When three have failed, the
    rest ask at once, each for itself, so that nobody waits behind a long row of failures.

    It may be used from several event loops.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: dict[bytes, _Flight] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def board(self, key: bytes) -> "Seat":
        """A seat in the flight of this key. The first one leads."""
        with self._lock:
            flight = self._under_way.get(key)
            if flight is None:
                flight = self._under_way[key] = _Flight()
                return Seat(self, key, leads=True)
            seat = Seat(self, key)
            flight.waiting[seat] = None
            return seat

    def give_up(self, seat: "Seat") -> None:
        """Wait no longer. What was given to the seat meanwhile stays."""
        with self._lock:
            if seat.waits:
                del self._under_way[seat.key].waiting[seat]
                seat.waits = False

    def land(self, leader: "Seat", answer: bytes | None, *, failed: bool = False) -> None:
        """The leader's call is over. What comes after the first time changes nothing."""
        with self._lock:
            if not leader.leads:
                return
            leader.leads = False
            flight = self._under_way[leader.key]
            flight.failures += failed
            woken = list(flight.waiting)
            if answer is None and woken and flight.failures < _MOST_FAILURES:
                woken = woken[:1]
                woken[0].leads = True
                del flight.waiting[woken[0]]
            else:
                del self._under_way[leader.key]
            for seat in woken:
                seat.answer, seat.waits = answer, False
        for seat in woken:
            seat.wake()


class Seat:
    """One call's place among those with the same key. Without a flight it is on its own.

    It ``waits``, or ``leads``, or has an ``answer``, or none of these: then it asks for itself.
    """

    __slots__ = ("_flights", "answer", "key", "leads", "waits", "wake")

    def __init__(
        self, flights: Flights | None = None, key: bytes = b"", *, leads: bool = False
    ) -> None:
        self._flights = flights
        self.key = key
        self.leads = leads
        self.waits = flights is not None and not leads
        self.answer: bytes | None = None
        self.wake: Callable[[], None] = _nobody_waits

    async def wait(self, call: Call, patience: float) -> None:
        """Wait for the answer or for one's turn, for so many seconds; after that one is on one's own.

        Raises ``AbortedError`` or ``RequestTimeoutError`` when the call may wait no longer.
        """
        if self._flights is None or not self.waits:
            return
        due = time.monotonic() + patience
        with Waiter(call) as waiter:
            self.wake = waiter.wake
            while self.waits and time.monotonic() < due:
                await waiter.until(due)
        self._flights.give_up(self)

    def land(self, answer: bytes | None, *, failed: bool = False) -> None:
        """Tell those who wait that the call is over."""
        if self._flights is not None:
            self._flights.land(self, answer, failed=failed)

    def leave(self) -> None:
        """The call is over, however it ended."""
        if self._flights is not None:
            self._flights.give_up(self)
            self._flights.land(self, None)


class _Flight:
    __slots__ = ("failures", "waiting")

    def __init__(self) -> None:
        self.failures = 0
        self.waiting: OrderedDict[Seat, None] = OrderedDict()


def _nobody_waits() -> None:
    pass
