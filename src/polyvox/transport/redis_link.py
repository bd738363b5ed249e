"""Redis, asked in bounded time. Needs the extra ``redis``."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from polyvox.errors import ConfigurationError, NetworkError

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisLink", "RedisNotAskedError", "RedisState"]

_T = TypeVar("_T")

RedisState: TypeAlias = Literal["untried", "up", "down"]

_CONNECTIONS = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0

_log = logging.getLogger(__name__)


class RedisNotAskedError(NetworkError):
    """Redis did not answer a moment ago, and was not asked again so soon."""


class RedisLink:
    """The connections to one Redis, from any number of event loops.

    No command takes longer than ``timeout`` seconds. After one that failed none is sent for a pause,
    which doubles from failure to failure up to 15 seconds; then a single one tries. So many commands
    at once that they wait for one another are no failure of Redis. Connections are closed with their
    loop, where ``asyncio.run`` runs it, or by ``aclose``.

    Args:
        url: where it is: redis://host:6379/0, rediss:// with TLS, unix://path.
        purpose: what it is for, in errors: "the limits".
        timeout: how long a command may take, connecting included, in seconds.
        clock: the time in seconds; a test gives its own.

    Raises ``ConfigurationError`` without the extra, or for a malformed URL.
    """

    def __init__(
        self,
        url: str,
        *,
        purpose: str,
        timeout: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis, self._place = _load(url)
        self._url = url
        self._purpose = purpose
        self._timeout = timeout
        self._clock = clock
        self._loops: dict[asyncio.AbstractEventLoop, tuple[Redis, asyncio.Semaphore]] = {}
        self._guards: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._state: RedisState = "untried"
        self._pause = _FIRST_PAUSE
        self._failed = 0.0
        self._closed_until = 0.0

    def __repr__(self) -> str:
        return f"RedisLink({self._place}, {self._state})"

    @property
    def state(self) -> RedisState:
        """Whether it answered when it was last asked."""
        return self._state

    async def run(self, command: "Callable[[Redis], Awaitable[_T]]") -> _T:
        """What the command gives.

        Raises ``NetworkError`` when it fails or takes too long (it may have been carried out all the
        same), ``RedisNotAskedError`` when it was not even tried. Whoever is cancelled goes at once;
        the command does not.
        """
        self._check()
        # In a task of its own: the client library may swallow the cancellation of a command.
        task = asyncio.create_task(self._take_turn(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _take_turn(self, command: "Callable[[Redis], Awaitable[_T]]") -> _T:
        client, turns = await self._here()
        async with turns:
            return await self._run(command, client)

    async def _run(self, command: "Callable[[Redis], Awaitable[_T]]", client: "Redis") -> _T:
        began = self._check()
        if self._state == "down":
            self._closed_until = began + self._pause  # only this one tries
        try:
            async with asyncio.timeout(self._timeout):
                answer = await command(client)
        except (self._redis.RedisError, OSError) as error:  # TimeoutError is an OSError
            why = f"no answer within {self._timeout:g} s" if not str(error) else str(error)
            self._fail(began, why)
            raise NetworkError(f"{self._name()} can't be used: {why}", hint=self._hint()) from error
        if self._state == "down":
            _log.info("%s can be used again", self._name())
        self._state, self._pause = "up", _FIRST_PAUSE
        return answer

    async def aclose(self) -> None:
        """Finish what is under way in the running loop, and close its connections.

        Those of other loops close with theirs.
        """
        loop = asyncio.get_running_loop()
        here = [task for task in self._tasks if task.get_loop() is loop]
        await asyncio.gather(*here, return_exceptions=True)
        self._loops.pop(loop, None)
        guard = self._guards.pop(loop, None)
        if guard is not None:
            await guard.aclose()

    def _check(self) -> float:
        """The time. Raises ``RedisNotAskedError`` where Redis is left alone just now."""
        now = self._clock()
        if self._state == "down" and now < self._closed_until:
            raise RedisNotAskedError(
                f"{self._name()} did not answer a moment ago", hint=self._hint()
            )
        return now

    def _fail(self, began: float, why: str) -> None:
        if self._state != "down":  # once for an outage, not for every command
            _log.warning("%s can't be used: %s", self._name(), why)
        if (
            self._state == "down" and began >= self._failed
        ):  # not one of several that failed at once
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._state, self._failed = "down", self._clock()
        self._closed_until = self._failed + self._pause

    def _name(self) -> str:
        return f"the Redis of {self._purpose} at {self._place}"

    def _hint(self) -> str:
        return "This is no fault of the provider or its key: check that Redis runs there."

    async def _here(self) -> "tuple[Redis, asyncio.Semaphore]":
        """The running loop's connections, and whose turn it is to use them."""
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            here = self._loops[loop] = self._open(), asyncio.Semaphore(_CONNECTIONS)
            self._guards[loop] = guard = self._close_with_loop(loop, here[0])
            await anext(guard)
        return here

    def _open(self) -> "Redis":
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        return Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            self._url,
            socket_timeout=self._timeout,
            socket_connect_timeout=self._timeout,
            retry=Retry(NoBackoff(), 1),  # a kept connection may have been closed meanwhile
        )

    async def _close_with_loop(
        self, loop: asyncio.AbstractEventLoop, client: "Redis"
    ) -> AsyncGenerator[None]:
        """A generator that the loop closes, and the connections with it, before it closes itself."""
        try:
            yield
        finally:
            self._loops.pop(loop, None)
            self._guards.pop(loop, None)
            await client.aclose()


def _load(url: str) -> tuple[Any, str]:
    """The module of Redis' exceptions, and the place that the URL names, without its password."""
    try:
        connection = import_module("redis.asyncio.connection")
        exceptions = import_module("redis.exceptions")
    except ImportError as error:
        raise ConfigurationError(
            "Redis needs the package redis, which is not installed",
            hint="Install it with: pip install 'polyvox[redis]'",
        ) from error
    try:
        parts: dict[str, Any] = connection.parse_url(url)
    except ValueError as error:
        raise ConfigurationError(
            f"a URL of Redis is malformed: {error}", hint="Such as redis://localhost:6379/0"
        ) from error
    host = f"{parts.get('host', 'localhost')}:{parts.get('port', 6379)}"
    return exceptions, parts.get("path", host)
