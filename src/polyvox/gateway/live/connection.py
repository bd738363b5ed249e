"""One WebSocket: what the client says, message by message."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from polyvox.config.agents import PREFIX
from polyvox.errors import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OverloadedError,
    PolyvoxError,
    RateLimitError,
)
from polyvox.gateway.asking.asking import Asked, Asking
from polyvox.gateway.asking.dialects import Turnstile
from polyvox.gateway.live import wire
from polyvox.gateway.live.agents import AgentModel
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.bounds import Bounds
from polyvox.gateway.live.deciding import gone_on
from polyvox.gateway.live.following import Follower
from polyvox.gateway.live.handshake import Pass
from polyvox.gateway.live.line import Line
from polyvox.gateway.live.lines import Lines
from polyvox.gateway.live.outbox import Outbox
from polyvox.gateway.live.starting import asked_of
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.asgi import Receive
from polyvox.model import Interrupt

__all__ = ["Connection", "House"]

_LARGE = 1 << 20


class House(NamedTuple):
    """What all connections share."""

    asking: Asking
    turnstile: Turnstile
    approvals: Approvals
    lines: Lines
    bounds: Bounds
    draining: Interrupt
    tasks: "dict[asyncio.Task[None], Line]"


class Connection:
    """One WebSocket, after it was opened. ``outbox`` tells the client."""

    def __init__(self, house: House, key: Pass, receive: Receive, outbox: Outbox) -> None:
        self._house = house
        self._pass = key
        self._receive = receive
        self._outbox = outbox
        self._lines: dict[str, Line] = {}
        self._bad = 0
        self.closed = False
        self._takes: dict[type, Callable[[Any], None]] = {
            wire.InterruptCall: self._interrupt,
            wire.Steer: self._steer,
            wire.Approve: self._approve,
            wire.Resume: self._resume,
            wire.Ping: lambda _: self._outbox.reply(wire.PONG),
            wire.Pong: lambda _: None,
        }

    async def talk(self) -> None:
        """Take messages until the client leaves, or is asked to."""
        hello = None
        if not self._pass.shown:
            seconds = self._house.bounds.hello_seconds
            text = f"no key was sent within {seconds:g} s"
            loop = asyncio.get_running_loop()
            hello = loop.call_later(seconds, self._close_unless_shown, text)
        try:
            while not self.closed:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    return
                if message["type"] == "websocket.receive":
                    data = message.get("text")
                    await self._take(message.get("bytes") or b"" if data is None else data)
        finally:
            if hello is not None:
                hello.cancel()

    async def leave(self) -> None:
        """The client is gone: end what was not to go on without it."""
        ended: list[asyncio.Task[None]] = []
        for line in self._lines.values():
            if not line.detach(self._outbox):
                continue
            if line.resumable:
                self._house.lines.release(line)
            elif not line.asked.wishes.detach and (task := line.drop()) is not None:
                ended.append(task)
        if ended:
            await asyncio.wait(ended)

    def close_when_idle(self) -> None:
        """The gateway is being stopped: close as soon as no call is under way here."""
        lines = self._lines.values()
        if all(line.over or line.outbox is not self._outbox for line in lines):
            self._outbox.close(1012, "the gateway is being stopped", at_once=False)

    # ------------------------------------------------------------------------------ messages

    async def _take(self, data: str | bytes) -> None:
        bounds = self._house.bounds
        if len(data) > bounds.message_bytes:
            self._close(1009, f"a message may have {bounds.message_bytes} bytes")
            return
        try:
            message = wire.read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._refuse_bad(str(error), wire.advice(data, error))
            return
        name = getattr(message, "id", None)
        try:
            if isinstance(message, wire.Start):
                await self._start(message, large=len(data) > _LARGE)
            elif isinstance(message, wire.Hello):
                await self._hello(message)
            else:
                self._takes[type(message)](message)
        except PolyvoxError as error:
            self._outbox.reply(wire.error(name, error))

    def _refuse_bad(self, text: str, hint: str) -> None:
        self._bad += 1
        error = BadRequestError(f"this is no message: {text}", hint=hint or None)
        self._outbox.reply(wire.error(None, error))
        if self._bad >= self._house.bounds.bad_messages:
            self._close(1008, "too many messages that make no sense")

    async def _hello(self, message: wire.Hello) -> None:
        if self._pass.shown:
            raise BadRequestError("there is a key already: open another connection for another key")
        self._pass.show(message.key)
        try:
            await self._pass.meet()
        except PolyvoxError as error:
            self._outbox.reply(wire.error(None, error))
            self._close(1008, "the key is not good")
        else:
            self._outbox.reply(wire.WELCOME)

    async def _start(self, message: wire.Start, *, large: bool) -> None:
        access = self._enter("chat")
        self._check_room(message.id)
        asked = (
            await asyncio.to_thread(asked_of, message, access)
            if large
            else asked_of(message, access)
        )
        follower = Follower() if self._is_agent(asked) else None
        self._begin(message, asked, follower)

    def _approve(self, message: wire.Approve) -> None:
        access = self._enter("approvals")
        self._check_room(message.id)
        approvals = self._house.approvals
        run = approvals.take(message.approval, access)
        try:
            asked, follower = gone_on(run, message.decision, access, {})
            self._begin(message, asked, follower)
        except BaseException:
            approvals.put(run)
            raise

    def _begin(
        self, message: wire.Start | wire.Approve, asked: Asked, follower: Follower | None
    ) -> None:
        house, bounds = self._house, self._house.bounds
        line = Line(
            house.asking,
            house.turnstile,
            asked,
            house.approvals,
            follower,
            nested=message.nested,
            resumable=message.resumable,
            room=bounds.kept_bytes if message.resumable else bounds.unsent_bytes,
        )
        if line.resumable:
            house.lines.add(line)
        self._outbox.reply(wire.accepted(message.id, line.id))
        self._attach(line, message.id, 0)
        task = line.start()
        house.tasks[task] = line
        task.add_done_callback(lambda task: self._ended(line, task))

    def _resume(self, message: wire.Resume) -> None:
        access = self._enter("chat")
        other = self._lines.get(message.id)
        if other is not None and other.id != message.call:
            self._check_name(message.id, other)
        line = self._house.lines.find(message.call, access)
        self._attach(line, message.id, message.after)
        self._outbox.reply(wire.accepted(message.id, line.id))

    def _attach(self, line: Line, name: str, after: int) -> None:
        try:
            line.attach(self._outbox, name, after)
        finally:
            if line.over or line.outbox is None:
                self._house.lines.release(line)
        self._lines[name] = line

    def _interrupt(self, message: wire.InterruptCall) -> None:
        self._line(message.id).interrupt(message.reason)

    def _steer(self, message: wire.Steer) -> None:
        self._line(message.id).steer(message.text)

    # ------------------------------------------------------------------------------ checks

    def _enter(self, use: str) -> Access:
        if not self._pass.shown:
            raise AuthenticationError(
                "there is no key yet", hint='Begin with {"type": "hello", "key": "..."}.'
            )
        return self._pass.enter(use)

    def _check_room(self, name: str) -> None:
        """Whether a call of that name may begin here. Raises ``PolyvoxError``."""
        if self._house.draining.is_set:
            error = OverloadedError(
                "the gateway is being stopped",
                hint="Connect again, and start it there.",
                status=503,
            )
            error.retry_after = 1.0
            raise error
        self._lines = {
            name: line
            for name, line in self._lines.items()
            if line.busy and line.outbox is self._outbox
        }
        self._check_name(name, self._lines.get(name))
        if len(self._lines) >= self._house.bounds.calls:
            raise RateLimitError(
                f"{len(self._lines)} calls are under way on this connection, the most there may be",
                hint="Wait until one is over, or open another connection.",
            )

    def _check_name(self, name: str, line: Line | None) -> None:
        if line is not None and line.busy and line.outbox is self._outbox:
            raise BadRequestError(
                f"a call {name!r} is under way on this connection", hint="Take another id."
            )

    def _line(self, name: str) -> Line:
        line = self._lines.get(name)
        if line is None or line.outbox is not self._outbox:
            raise NotFoundError(f"no call {name!r} is under way on this connection")
        return line

    def _is_agent(self, asked: Asked) -> bool:
        """Whether an agent answers; a name that means nothing is told by the call itself."""
        name = asked.request.model
        if not name.startswith(PREFIX):
            return False
        try:
            return isinstance(self._house.asking.models.model(name, asked.access), AgentModel)
        except PolyvoxError:
            return False

    # ------------------------------------------------------------------------------ the end

    def _ended(self, line: Line, task: "asyncio.Task[None]") -> None:
        del self._house.tasks[task]
        if line.resumable:
            self._house.lines.release(line)
        if self._house.draining.is_set:
            self.close_when_idle()

    def _close_unless_shown(self, reason: str) -> None:
        if not self._pass.shown:
            self._close(1008, reason)

    def _close(self, code: int, reason: str) -> None:
        self.closed = True
        self._outbox.close(code, reason)
