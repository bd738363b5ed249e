"""A model that is asked what nobody has asked in other words."""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeAlias

from msgspec.structs import replace

from polyvox.around import Around
from polyvox.caching.answers import Answer, asked, pack, refused, replay, unpack
from polyvox.caching.cached import checked_ttl
from polyvox.caching.keys import KeyMaker
from polyvox.caching.near_misses import same_facts
from polyvox.caching.similar import Direction, SimilarTexts, direction
from polyvox.caching.store import CacheStats
from polyvox.errors import ConfigurationError, PolyvoxError
from polyvox.events import Event, Warned
from polyvox.messages import Text, UserMessage
from polyvox.model import Call, Model
from polyvox.request import Request
from polyvox.waiting import Waiter

__all__ = ["SemanticCache"]

_EMBED_SECONDS = 10.0

_Vector: TypeAlias = Sequence[float]
_Embed: TypeAlias = Callable[[str], Awaitable[_Vector] | _Vector]


class SemanticCache(Around):
    """Give the stored answer to a question like the one at hand; ask when there is none.

    Two requests are compared only if they are alike in everything but the text that the user wrote
    last, and only within a tenant. A likeness of vectors is no proof: some answers will be to another
    question. A warning tells the reader whenever an answer is given so. It lives in this process.

    Args:
        model: who is asked.
        embed: the vector of a text; a coroutine function, or a plain one, which is run in a thread.
            What it costs is not in the call's books. A fault of it is a miss.
        threshold: the cosine from which on questions pass for the same, up to 1. It depends on the
            embedding model: measure it on your own questions.
        ttl: how many seconds an answer is kept.
        scope: who shares answers within a tenant, as for ``Cached``.
        alike: whether two texts that are near may be the same question at all. A fault of it is a
            miss.
        texts: where texts and answers are kept, and how many; several models may share it.

    Raises ``ConfigurationError`` for a wrong ``threshold``, ``ttl`` or ``scope``.
    """

    def __init__(
        self,
        model: Model,
        *,
        embed: _Embed,
        threshold: float,
        ttl: float = 3600.0,
        scope: str = "tenant",
        alike: Callable[[str, str], bool] = same_facts,
        texts: SimilarTexts | None = None,
    ) -> None:
        if not 0 < threshold <= 1:
            raise ConfigurationError(
                f"threshold is {threshold}; give a cosine, more than 0 up to 1"
            )
        super().__init__(model)
        self.ttl = checked_ttl(ttl)
        self.stats = CacheStats()
        self.texts = SimilarTexts() if texts is None else texts
        self._embed = embed
        self._threshold = threshold
        self._alike = alike
        self._keys = KeyMaker(scope)

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The stored answer to a similar question, or a new one."""
        text, rest = _apart(request)
        group = self._keys.key(self.name, rest, call) if text and call.caching != "skip" else None
        if group is None:
            self.stats.skipped += 1
            return self.model.stream(request, call)
        return self._stream(group, text, request, call)

    async def _stream(
        self, group: bytes, text: str, request: Request, call: Call
    ) -> AsyncGenerator[Event]:
        try:
            source = await self._source(group, text, request, call)
        except PolyvoxError as error:
            yield refused(error, self)
            return
        async with aclosing(source) as events:
            async for event in events:
                yield event

    async def _source(
        self, group: bytes, text: str, request: Request, call: Call
    ) -> AsyncGenerator[Event]:
        vector = await self._vector(text, call)
        if vector is None:
            self.stats.misses += 1
            return self.model.stream(request, call)
        if call.caching == "use":
            found = await self._found(group, text, vector)
            if found is not None:
                return replay(self._hit(*found), call)
        self.stats.misses += 1
        finish = partial(self._finish, group, text, vector, call)
        return asked(self.model, request, call, finish)

    async def _found(
        self, group: bytes, text: str, vector: Direction
    ) -> tuple[bytes, float] | None:
        fits = partial(self._alike, text)
        try:
            return await self.texts.find(group, vector, self._threshold, fits)
        except Exception:  # noqa: BLE001 - whatever ``alike`` raises, the provider can still be asked
            self.stats.faults += 1
            return None

    def _hit(self, data: bytes, likeness: float) -> Answer:
        answer = unpack(data)
        self.stats.hits += 1
        self.stats.saved_nanos += answer.message.usage.cost.nanos
        text = f"this is the stored answer to a similar question (likeness {likeness:.3f})"
        return Answer(answer.message, [*answer.warnings, Warned(text, "messages")])

    async def _finish(
        self, group: bytes, text: str, vector: Direction, call: Call, answer: Answer | None
    ) -> None:
        ttl = self.ttl if call.caching_ttl is None else call.caching_ttl
        if answer is None or answer.message.cached or ttl <= 0:
            return
        data = pack(answer)
        self.texts.add(group, text, vector, data, ttl)
        self.stats.stored += 1
        self.stats.bytes += len(data)

    async def _vector(self, text: str, call: Call) -> Direction | None:
        """The text's direction. Raises ``PolyvoxError`` only when the call itself is at its end."""
        task = asyncio.ensure_future(self._embedded(text))
        due = time.monotonic() + _EMBED_SECONDS
        with Waiter(call) as waiter:
            task.add_done_callback(lambda _: waiter.wake())
            try:
                while not task.done() and time.monotonic() < due:
                    await waiter.until(due)
            finally:
                task.cancel()
        try:
            return direction(task.result())
        except (Exception, asyncio.InvalidStateError, asyncio.CancelledError):  # noqa: BLE001
            self.stats.faults += 1  # whatever it is, the provider can still be asked
            return None

    async def _embedded(self, text: str) -> _Vector:
        if inspect.iscoroutinefunction(self._embed):
            return await self._embed(text)
        found = await asyncio.to_thread(self._embed, text)
        return await found if inspect.isawaitable(found) else found


def _apart(request: Request) -> tuple[str, Request]:
    """What the user wrote last, and the request without it; "" if the last word is not the user's."""
    last = request.messages[-1] if request.messages else None
    if not isinstance(last, UserMessage):
        return "", request
    texts = [block.text for block in last.content if isinstance(block, Text)]
    blank = [replace(each, text="") if isinstance(each, Text) else each for each in last.content]
    rest = replace(request, messages=[*request.messages[:-1], UserMessage(blank)])
    return "\n".join(texts).strip(), rest
