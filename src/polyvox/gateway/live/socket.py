"""The handler of ``/v1/ws``, over ASGI.

Source of the messages: "WebSocket Connection Scope" in the ASGI specification.
"""

import asyncio
from collections.abc import Sequence
from functools import partial

from polyvox.errors import OverloadedError, PolyvoxError
from polyvox.gateway.asking.asking import Asking
from polyvox.gateway.asking.dialects import Turnstile
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.bounds import Bounds
from polyvox.gateway.live.connection import Connection, House
from polyvox.gateway.live.handshake import Pass, check_origin, refuse
from polyvox.gateway.live.lines import Lines
from polyvox.gateway.live.outbox import Outbox
from polyvox.gateway.web.asgi import Receive, Scope, Send
from polyvox.gateway.web.door import Door
from polyvox.model import Interrupt
from polyvox.waiting import soon

__all__ = ["Live"]

_CLOSE_SECONDS = 5.0


class Live:
    """Handles WebSockets: many calls over each of them.

    Args:
        asking: whom calls are asked of.
        door: who comes in.
        turnstile: lets so many calls in at once.
        approvals: where runs of agents wait.
        origins: the pages that may open one from a browser; none by default.
        bounds: how much each may take.
        draining: set when the gateway takes on nothing new. A connection is closed then as soon as no
            call is under way on it.
    """

    def __init__(
        self,
        asking: Asking,
        door: Door,
        turnstile: Turnstile,
        approvals: Approvals,
        *,
        origins: Sequence[str] = (),
        bounds: Bounds | None = None,
        draining: Interrupt | None = None,
    ) -> None:
        bounds = bounds or Bounds()
        self._door = door
        self._origins = origins
        self._house = House(
            asking,
            turnstile,
            approvals,
            Lines(bounds.resumable_calls, bounds.grace_seconds),
            bounds,
            draining or Interrupt(),
            {},
        )
        self._connections: set[Connection] = set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one WebSocket, from its first message to its last."""
        await receive()  # websocket.connect
        try:
            if self._house.draining.is_set:
                raise OverloadedError("the gateway is being stopped", status=503)
            check_origin(scope, self._origins)
            key = Pass(self._door, scope)
            if key.shown:
                await key.meet()
        except PolyvoxError as error:
            await refuse(scope, send, error)
            return
        await send({"type": "websocket.accept", "subprotocol": key.protocol})
        await self._talk(key, receive, send)

    async def aclose(self) -> None:
        """End every call that is still under way, also those that wait for their client to come back."""
        tasks = dict(self._house.tasks)
        for line in tasks.values():
            line.drop()
        if tasks:
            await asyncio.wait(tasks)

    async def _talk(self, key: Pass, receive: Receive, send: Send) -> None:
        house = self._house
        outbox = Outbox(send, house.bounds.idle_seconds)
        connection = Connection(house, key, receive, outbox)
        self._connections.add(connection)
        loop = asyncio.get_running_loop()
        forget = house.draining.listen(partial(soon, loop, connection.close_when_idle))
        sending = asyncio.create_task(outbox.run())
        try:
            await connection.talk()
            if connection.closed:  # the client is told why, if it reads
                await asyncio.wait((sending,), timeout=_CLOSE_SECONDS)
        finally:
            forget()
            self._connections.discard(connection)
            sending.cancel()
            await connection.leave()
            await asyncio.wait((sending,))
