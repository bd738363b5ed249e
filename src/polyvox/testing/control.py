"""What a mock provider answers besides its dialect, to whoever watches it from another process.

    GET  /_mock/record                          its books as JSON: a ``Ledger``
    GET  /_mock/record?in_flight=0&sockets=0    the same, as soon as they are like that
    POST /_mock/release                         let go what the knob ``hold_until`` keeps waiting

A record is waited for at most ``within`` seconds, 30 if that is not said; then its status is 504.
Nothing of this is counted in the books, neither are the watcher's sockets.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from polyvox import jsontext
from polyvox.dialects import Dialect
from polyvox.testing.hold import Hold
from polyvox.testing.ledger import Ledger, ledger_of
from polyvox.testing.record import Record

PREFIX = "/_mock/"

_AWAITED = ("in_flight", "sockets", "total")
_WITHIN = 30.0
_TICK = 0.005
"""Seconds; a server is not told when its sockets close, so that it has to look."""


class Control:
    """Watches one mock provider; ``connections`` are those that are open."""

    def __init__(
        self,
        record: Record,
        dialect: Dialect,
        hold: Hold,
        connections: Callable[[], Sequence[object]],
    ) -> None:
        self._record = record
        self._dialect = dialect
        self._hold = hold
        self._connections = connections
        self._watchers: set[object] = set()

    def ledger(self) -> Ledger:
        """The books as they stand now."""
        return ledger_of(self._record, self._dialect, self._sockets())

    async def handle(self, http: web.Request) -> web.Response:
        """The answer to a watcher, who is given a new connection for each."""
        self._watchers.add(http.protocol)
        response = await self._answer(http)
        response.force_close()
        return response

    async def _answer(self, http: web.Request) -> web.Response:
        if (http.method, http.path) == ("POST", f"{PREFIX}release"):
            self._hold.release()
            return web.Response(status=204)
        if (http.method, http.path) != ("GET", f"{PREFIX}record"):
            return _problem(404, f"there are GET {PREFIX}record and POST {PREFIX}release")
        try:
            wanted, within = _wish(http.query)
        except ValueError as error:
            return _problem(400, str(error))
        until = time.monotonic() + within
        while not wanted.items() <= self._figures().items():
            if time.monotonic() > until:
                return self._written(504)
            await asyncio.sleep(_TICK)
        return self._written(200)

    def _figures(self) -> dict[str, int]:
        """What may be waited for."""
        found = (self._record.in_flight, self._sockets(), self._record.total)
        return dict(zip(_AWAITED, found, strict=True))

    def _sockets(self) -> int:
        """How many connections are open that no watcher has."""
        still = set(self._connections())
        self._watchers &= still
        return len(still) - len(self._watchers)

    def _written(self, status: int) -> web.Response:
        body = jsontext.encode(self.ledger())
        return web.Response(body=body, status=status, content_type="application/json")


def _wish(query: Mapping[str, str]) -> tuple[dict[str, int], float]:
    """What is waited for, and how long. Raises ``ValueError``."""
    wanted: dict[str, int] = {}
    within = _WITHIN
    for name, value in query.items():
        if name == "within":
            within = float(value)
        elif name in _AWAITED:
            wanted[name] = int(value)
        else:
            raise ValueError(f"{name} can't be waited for; there are {', '.join(_AWAITED)}, within")
    if not 0 <= within < math.inf:
        raise ValueError(f"within is {within}; give seconds")
    return wanted, within


def _problem(status: int, text: str) -> web.Response:
    return web.json_response({"error": text}, status=status)
