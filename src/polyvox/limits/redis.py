"""The accounts of several processes, in Redis, and what becomes of them where Redis loses its data.

Where somebody has records of what calls used (``restore``), a marker stands beside the accounts, and every
script looks whether it is the one that its process knows. So the answer to a reservation also tells that
Redis was emptied, or that another process has filled it again. Then:

- Nothing is reserved until this process has put the accounts back; it is as if Redis were away. What calls
  under way have used is debited all the same.
- An account has used at least what the records say, with what is reserved on top: the greater of the two
  counts, never the sum. So it does not matter how many put it back, how often, or in which order.
- Each process does that once for each marker, when its own records are complete, which only it can know.
  The first that is done writes the marker. A process that starts takes the marker that it finds.
- What was still owed to the Redis that is lost is not debited: it stands in the records.

So nothing counts twice. Forgotten is at most what those calls used that were under way when Redis lost its
data and were over before it was put back. What another process had not recorded by the time that the first
was done is missing until that process is done, too. Rates are in no records, and begin anew.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha1
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from polyvox.errors import ConfigurationError, NetworkError
from polyvox.limits.meters import Calendar, Leak
from polyvox.limits.store import Hold, Standing
from polyvox.transport.redis_link import RedisLink, RedisNotAskedError, RedisState

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisLimits", "Used"]

_MOST_OWED = 10_000
_WINDOWS_AT_ONCE = 500
_RESTORE_SECONDS = 3600
_RESTORE_HINT = "Budgets are being put back from the records of calls; ask again in a moment."
_UNKNOWN = "?"
_FORGOTTEN = b"forgotten"

_Words: TypeAlias = list[str | float]

Used: TypeAlias = Mapping[str, Iterable[tuple[int, int]]]
"""By account: the marks of its windows, and what was used in each."""

_log = logging.getLogger(__name__)


class RedisLimits:
    """Keep the accounts in a Redis, for all processes that use it, by its clock.

    Each operation is one atomic script. When Redis does not answer in time, ``on_store_failure``
    holds: "deny" ends calls with a ``NetworkError`` that says so, "allow" lets them in uncounted.
    Either way what was used is kept here, ``owed``, and debited when Redis is back. A Redis that is
    down is asked now and then, not by every call; ``state`` says how it is.

    A process that dies leaves what its calls had reserved debited. Accounts of windows and rates
    expire when nothing of them is left; those of a limit "in total" stay.

    Args:
        url: where Redis is: redis://host:6379/0, rediss:// with TLS, unix://path.
        prefix: how all keys begin. What stands in braces puts them on one node of a cluster, which
            reserving on several accounts at once needs.
        timeout: how long an operation may take, in seconds.
        on_store_failure: "deny" or "allow" calls while Redis can't be reached.
        clock: the time in seconds since the epoch, for the windows of the calendar.

    Raises ``ConfigurationError`` without the extra ``redis``, or for a malformed URL.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        *,
        prefix: str = "{polyvox}",
        timeout: float = 0.5,
        on_store_failure: Literal["deny", "allow"] = "deny",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if on_store_failure not in ("deny", "allow"):
            raise ConfigurationError(
                f"on_store_failure is {on_store_failure!r}", hint='It is "deny" or "allow".'
            )
        self.on_store_failure = on_store_failure
        self._link = RedisLink(url, purpose="the limits", timeout=timeout)
        self._prefix = f"{prefix}:limits:v1:"
        self._clock = clock
        self._script = _Script()
        self._marker = ""  # not looked for, unless there is somebody who can restore accounts
        self._forgotten = asyncio.Event()
        self._owed: deque[tuple[list[str], _Words]] = deque()
        self._lost = 0
        self._paying = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> RedisState:
        """Whether Redis answered when it was last asked: "untried", "up" or "down"."""
        return self._link.state

    @property
    def owed(self) -> int:
        """How many settlements wait for Redis to come back."""
        return len(self._owed)

    @property
    def lost(self) -> int:
        """How many were given up, the oldest first, because too many waited."""
        return self._lost

    async def reserve(self, reservation: str, holds: Sequence[Hold]) -> list[Standing]:
        """Debit all holds, or none when one of them does not fit. Raises ``NetworkError``."""
        keys, amounts = self._keys(reservation, holds), [hold.amount for hold in holds]
        # It may have been reserved also where that fails, the answer lost.
        undo = keys, self._words(holds, [0] * len(holds))
        try:
            answer = await self._run("reserve", keys, self._words(holds, amounts))
        except NetworkError as error:
            if self.on_store_failure == "allow":
                return []
            if not isinstance(error, RedisNotAskedError):
                self._owe(*undo)
            raise
        except asyncio.CancelledError:
            self._start(self._settle(*undo))
            raise
        if answer[0] == _FORGOTTEN:
            if self.on_store_failure == "allow":
                return []
            raise NetworkError("the Redis of the limits has lost its data", hint=_RESTORE_HINT)
        self._catch_up()
        now, *rest = map(float, answer)
        return [
            _standing(holds[int(place)], int(place), used, held, now)
            for place, used, held in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
        ]

    async def settle(
        self, reservation: str, holds: Sequence[Hold], actual: Sequence[float]
    ) -> None:
        """Put what was used in the place of what was reserved, at the latest when Redis is back."""
        keys = self._keys(reservation, holds)
        # In a task of its own: a call that is cancelled is settled all the same.
        await asyncio.shield(self._start(self._settle(keys, self._words(holds, actual))))

    @property
    def restoring(self) -> bool:
        """Whether the accounts wait for being put back."""
        return self._forgotten.is_set()

    async def forgotten(self) -> None:
        """Wait until Redis has forgotten the accounts."""
        await self._forgotten.wait()

    async def restore(self, used: Callable[[], Awaitable[Used]]) -> None:
        """Put back what Redis has forgotten, and from now on find out when it does.

        ``used`` gives what all accounts have used by the records, those of this process complete; it
        is only asked where something was forgotten. Raises ``PolyvoxError`` where that can't be done
        now: then calls are treated as without Redis until it is tried again.
        """
        if not self._marker:
            self._marker = _UNKNOWN
            self._forgotten.set()
        found = await self._get_marker() if self._marker == _UNKNOWN else None
        if found is None:
            owed, self._owed = self._owed, deque()
            try:
                found = await self._put_back(used)
            except BaseException:
                self._owed.extendleft(reversed(owed))
                raise
        self._marker = found
        self._forgotten.clear()

    async def _get_marker(self) -> str | None:
        found: Any = await self._link.run(lambda client: client.get(f"{self._prefix}marker"))
        return None if found is None else found.decode()

    async def _put_back(self, used: Callable[[], Awaitable[Used]]) -> str:
        """Give what the marker is when all is put back."""
        mine = token_hex(12)
        begun = f"{self._prefix}restoring:{mine}"  # gone, if Redis forgets meanwhile
        await self._link.run(lambda client: client.set(begun, 1, ex=_RESTORE_SECONDS))
        accounts = await used()
        rows = ((key, *window) for key, windows in accounts.items() for window in windows)
        while some := list(islice(rows, _WINDOWS_AT_ONCE)):
            keys = [begun, *(self._account(key) for key, _, _ in some)]
            await self._run("restore", keys, [word for _, *words in some for word in words])
        (marker,) = await self._run("restored", [begun], [mine])
        if marker == _FORGOTTEN:
            raise NetworkError(
                "the Redis of the limits has lost its data again", hint=_RESTORE_HINT
            )
        if accounts:
            _log.info("the Redis of the limits has back what %s accounts had used", len(accounts))
        return marker.decode()

    async def aclose(self) -> None:
        """Finish what is under way, and close the connections of the running loop."""
        loop = asyncio.get_running_loop()
        self._catch_up()
        while here := [task for task in self._tasks if task.get_loop() is loop]:
            await asyncio.gather(*here, return_exceptions=True)
        await self._link.aclose()

    async def _settle(self, keys: list[str], words: _Words) -> None:
        try:
            await self._run("settle", keys, words)
        except (NetworkError, asyncio.CancelledError):
            self._owe(keys, words)
        else:
            self._catch_up()

    def _owe(self, keys: list[str], words: _Words) -> None:
        if len(self._owed) >= _MOST_OWED:
            self._owed.popleft()
            self._lost += 1
        self._owed.append((keys, words))

    def _catch_up(self) -> None:
        if self._owed and not self._paying:
            self._start(self._pay())

    async def _pay(self) -> None:
        """Settle what is owed, as long as Redis answers."""
        self._paying = True
        try:
            while self._owed:
                debt = self._owed[0]
                (answer, *_) = await self._run("pay", *debt)
                if answer == _FORGOTTEN:
                    return
                if self._owed and self._owed[0] is debt:  # it may have been given up meanwhile
                    self._owed.popleft()
        except (NetworkError, asyncio.CancelledError):
            pass
        finally:
            self._paying = False

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, operation: str, keys: list[str], words: _Words) -> list[bytes]:
        marker = self._marker
        keys, words = [f"{self._prefix}marker", *keys], [operation, marker, *words]
        answer = await self._link.run(lambda client: self._script.run(client, keys, words))
        if answer[0] == _FORGOTTEN and marker == self._marker and not self.restoring:
            _log.warning("the Redis of the limits has lost its data: budgets are being put back")
            self._forgotten.set()
        return answer

    def _keys(self, reservation: str, holds: Sequence[Hold]) -> list[str]:
        accounts = [self._account(hold.key) for hold in holds]
        return [f"{self._prefix}reservation:{reservation}", *accounts]

    def _account(self, key: str) -> str:
        return f"{self._prefix}account:{key}"

    def _words(self, holds: Sequence[Hold], amounts: Sequence[float]) -> _Words:
        now = self._clock()
        words: _Words = []
        for hold, amount in zip(holds, amounts, strict=True):
            words += [*_meter_words(hold, now), hold.limit, amount, int(hold.soft)]
        return words


class _Script:
    """The script by the hash of its text, so that old and new ones live beside each other."""

    def __init__(self) -> None:
        self._text = Path(__file__).with_name("script.lua").read_text(encoding="utf-8")
        self._hash = sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: "Redis", keys: list[str], words: _Words) -> list[bytes]:
        from redis.exceptions import NoScriptError

        with suppress(NoScriptError):
            return await client.evalsha(self._hash, len(keys), *keys, *words)
        return await client.eval(self._text, len(keys), *keys, *words)


def _meter_words(hold: Hold, now: float) -> list[str | float]:
    meter = hold.meter
    if isinstance(meter, Leak):
        return ["leak", meter.seconds, 0, 0]
    if isinstance(meter, Calendar) and meter.per != "total":
        window = meter.window(now)
        return ["window", window.number, window.start, window.end]
    return ["total", 0, 0, 0]


def _standing(hold: Hold, place: int, used: float, held: float, now: float) -> Standing:
    wait = hold.meter.wait(used + hold.amount - hold.limit, hold.limit, now)
    return Standing(place, used, held, wait)
