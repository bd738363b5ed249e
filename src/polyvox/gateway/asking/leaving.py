"""A caller who leaves ends what is done for them.

Whoever is answered at once has no time to leave, and a task that waits for it would cost more than most
of their answer. So only those are watched who are still here after a tenth of a second or two; who left
before that is seen then, since a server tells it whenever it is asked.
"""

import asyncio
from typing import Any

from polyvox.errors import AbortedError
from polyvox.gateway.web.incoming import Incoming

__all__ = ["watched"]


class watched:  # noqa: N801 - reads as a word where it is used
    """While in the block: when the caller leaves, what is done in it soon ends, unless detached.

    Raises ``AbortedError`` then, which nobody is there to be told of.
    """

    __slots__ = ("_among", "_cancelled", "_detached", "_incoming", "_task", "_watch")

    def __init__(self, incoming: Incoming, *, detached: bool) -> None:
        self._incoming = incoming
        self._detached = detached
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cancelled = False

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._among = self._incoming.crowd.join(self)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._among.discard(self)
        if self._watch is None:
            return
        self._watch.cancel()
        task, self._task = self._task, None
        if self._cancelled and isinstance(error, asyncio.CancelledError):
            assert task is not None
            if task.uncancel() == 0:
                raise AbortedError("the caller left") from None

    def lasts(self) -> None:
        """The caller has been here for a while: from now on it is seen at once when they leave."""
        self._watch = asyncio.ensure_future(self._incoming.gone())
        self._watch.add_done_callback(self._left)

    def _left(self, watch: "asyncio.Task[None]") -> None:
        if watch.cancelled() or watch.exception() is not None or self._detached:
            return
        if self._task is not None:  # else all was over in the moment in which they left
            self._cancelled = True
            self._task.cancel()
