"""The beginning and the end of an application, by ASGI's lifespan, told apart from serving it."""

import asyncio
from typing import Any

from polyvox.errors import ConfigurationError
from polyvox.gateway.web.asgi import ASGIApp, Message

__all__ = ["Lifespan"]


class Lifespan:
    """Begins an application, and closes it.

    Servers do this too, but each in its own way, and neither closes an application whose last
    requests do not end.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._said: asyncio.Queue[Message] = asyncio.Queue()
        self._heard: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Begin. Raises what the application raises, or ``ConfigurationError`` with what it says."""
        scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._task = asyncio.create_task(self._run(scope))
        answer = await self._ask(self._task, "lifespan.startup")
        if answer == "lifespan.startup.failed":
            raise ConfigurationError("the gateway could not begin")

    async def end(self) -> None:
        """Close. Raises what the application raises."""
        if self._task is not None and not self._task.done():
            await self._ask(self._task, "lifespan.shutdown")
            await self._task

    async def _run(self, scope: dict[str, Any]) -> None:
        await self._app(scope, self._said.get, self._heard.put)

    async def _ask(self, task: "asyncio.Task[None]", what: str) -> str:
        await self._said.put({"type": what})
        answer = asyncio.ensure_future(self._heard.get())
        await asyncio.wait((answer, task), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            heard = answer.result()
            if heard["type"].endswith(".failed") and heard.get("message"):
                text, _, hint = str(heard["message"]).partition("\n")
                raise ConfigurationError(text, hint=hint or None)
            return str(heard["type"])
        answer.cancel()
        task.result()  # raises what it raised
        return f"{what}.complete"  # it wants no lifespan
