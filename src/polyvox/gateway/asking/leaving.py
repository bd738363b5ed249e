"""A caller who leaves ends what is done for them."""

import asyncio
from typing import Any

from polyvox.errors import AbortedError
from polyvox.gateway.web.incoming import Incoming

__all__ = ["watched"]


class watched:  # noqa: N801 - reads as a word where it is used
    """While in the block: when the caller leaves, what is done in it ends at once, unless detached.

    Raises ``AbortedError`` then, which nobody is there to be told of.
    """

    def __init__(self, incoming: Incoming, *, detached: bool) -> None:
        self._incoming = incoming
        self._detached = detached
        self._task: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cancelled = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._watch = asyncio.ensure_future(self._incoming.gone())
        self._watch.add_done_callback(self._left)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        assert self._watch is not None
        self._watch.cancel()
        if self._cancelled and isinstance(error, asyncio.CancelledError):
            assert self._task is not None
            if self._task.uncancel() == 0:
                raise AbortedError("the caller left") from None

    def _left(self, watch: "asyncio.Task[None]") -> None:
        if watch.cancelled() or watch.exception() is not None or self._detached:
            return
        assert self._task is not None
        self._cancelled = True
        self._task.cancel()
