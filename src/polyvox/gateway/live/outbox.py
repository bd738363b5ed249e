"""What a WebSocket is told: short replies first, then a message of each call in turn.

Nothing is copied into a queue: a call keeps what is not sent yet, and waits when that is too much.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from polyvox.gateway.live import wire

__all__ = ["Outbox", "Speaker"]

_MOST_REPLIES = 1_000

Send = Callable[[dict[str, object]], Awaitable[None]]


class Speaker(Protocol):
    """Has something to say now and then."""

    def take(self, outbox: "Outbox") -> str | None:
        """The next message for this one, if there is any."""
        ...


class Outbox:
    """Sends what there is to one client, as fast as it reads.

    Args:
        send: sends one ASGI message, and returns when there is room for another.
        idle_seconds: after how long a silence a ping is sent.
    """

    def __init__(self, send: Send, idle_seconds: float) -> None:
        self._send = send
        self._idle = idle_seconds
        self._loop = asyncio.get_running_loop()
        self._replies: deque[str] = deque()
        self._ready: dict[Speaker, None] = {}
        self._work = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self._at_once = False
        self._last = self._loop.time()

    def reply(self, text: str) -> None:
        """Say this before anything else. Who sends so much, and reads nothing, is left."""
        if len(self._replies) >= _MOST_REPLIES:
            self.close(1008, "you send, and don't read the answers")
        else:
            self._replies.append(text)
        self._work.set()

    def wake(self, speaker: Speaker) -> None:
        """Somebody has something to say."""
        self._ready[speaker] = None
        self._work.set()

    def close(self, code: int, reason: str, *, at_once: bool = True) -> None:
        """Close the connection when the replies are sent, or all else as well. The first reason stays."""
        self._closing = self._closing or (code, reason)
        self._at_once = self._at_once or at_once
        self._work.set()

    async def run(self) -> None:
        """Send until the connection is closed or lost."""
        self._timer = self._loop.call_later(self._idle, self._beat)
        try:
            while await self._turn():
                pass
        except (OSError, RuntimeError):  # what servers raise where nobody listens any more
            pass
        finally:
            self._timer.cancel()

    async def _turn(self) -> bool:
        """Send one message, or wait for one; whether there may be more."""
        if self._replies:
            await self._say(self._replies.popleft())
        elif self._closing is not None and (self._at_once or not self._ready):
            code, reason = self._closing
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
            return False
        elif self._ready:
            speaker = next(iter(self._ready))
            del self._ready[speaker]
            if (text := speaker.take(self)) is not None:
                self._ready[speaker] = None  # behind the others
                await self._say(text)
        else:
            self._work.clear()
            await self._work.wait()
        return True

    async def _say(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})
        self._last = self._loop.time()

    def _beat(self) -> None:
        if self._loop.time() - self._last >= self._idle and not self._replies:
            self.reply(wire.PING)
        self._timer = self._loop.call_later(self._idle, self._beat)
