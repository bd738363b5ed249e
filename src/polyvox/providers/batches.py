"""Many texts, few at a time: embeddings in as many requests as a provider's limits want."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import isfinite
from time import monotonic
from typing import TypeAlias, TypeVar

import msgspec

from polyvox import estimate
from polyvox.dialects import Target
from polyvox.embedding import EmbeddingRequest, Embeddings
from polyvox.errors import AbortedError, PolyvoxError, ProtocolError
from polyvox.events import Done, Failed
from polyvox.http import Timeouts
from polyvox.layers import Layers, layered
from polyvox.messages import AssistantMessage, Text, UserMessage
from polyvox.model import Call
from polyvox.providers.settlement import NOTHING_USED, Pricing, Settlement, unknown_price
from polyvox.quote import priced, worst_embedding
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = ["CONCURRENT", "Ask", "Batches", "cut"]

CONCURRENT = 4
"""So many requests are under way at once, at most."""

Ask: TypeAlias = Callable[[EmbeddingRequest, Call, Settlement], Awaitable[Embeddings]]
"""Asks for one batch, and tells the settlement when it does (``asking``, ``heard``)."""

_T = TypeVar("_T")


class Batches:
    """Ask for each batch, a few at a time; the first failure ends the others and is raised.

    Args:
        ask: how one batch is asked for.
        target: who is asked, whose limits hold.
        timeouts: of them, ``total`` is kept here: it is for all batches together.
        pricing: what a usage costs.
        layers: what is around each batch. Retries have their place here: what was paid for the
            other batches is not paid again.
    """

    def __init__(
        self,
        ask: Ask,
        target: Target,
        *,
        timeouts: Timeouts | None = None,
        pricing: Pricing = unknown_price,
        layers: Layers | None = None,
    ) -> None:
        self.ask = ask
        self.target = target
        self.timeouts = timeouts or Timeouts()
        self.pricing = pricing
        batch = _Batch(target.producer, self._settled)
        self._batch = batch if layers is None else layered(batch, layers)

    def quote(self, request: EmbeddingRequest) -> Usage:
        """The most that embedding may use, with its cost."""
        return priced(worst_embedding(request.inputs), self.pricing)

    async def run(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        """The vectors of all inputs, in order.

        Raises ``PolyvoxError``. The usage of its ``message`` is that of every request sent, as it is
        that of ``call.partial`` when the task is cancelled.
        """
        limits = self.target.quirks.embed
        batches = cut(request.inputs, limits.batch, limits.tokens)
        books = self._books(call)
        jobs = [msgspec.structs.replace(request, inputs=batch) for batch in batches]
        try:
            answers = await _a_few_at_a_time(lambda job: self._batch.embed(job, books), jobs)
            return self._joined(answers, request, books)
        except PolyvoxError as error:
            error.message = self._so_far(books, error)
            raise
        except asyncio.CancelledError:
            call.leave(self._so_far(books, AbortedError("the task was cancelled")))
            raise

    def _books(self, call: Call) -> Call:
        """A call for all batches, which ends in time."""
        books = call.child()
        if self.timeouts.total is not None:
            ends = monotonic() + self.timeouts.total
            books.deadline = ends if books.deadline is None else min(ends, books.deadline)
        return books

    async def _settled(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        asked = Request(messages=[UserMessage([Text(text) for text in request.inputs])])
        settlement = Settlement(asked, self.pricing, self.target, call)
        message = self._message()
        try:
            answer = await self.ask(request, call, settlement)
            message.usage, message.response_model = answer.usage, answer.response_model
            _check(answer.vectors, len(request.inputs))
        except PolyvoxError as error:
            error.provider = error.provider or self.target.provider
            error.model = error.model or self.target.model
            settlement.settle(Failed(error, message))
            raise
        except asyncio.CancelledError:
            settlement.cut_short(message)
            raise
        settlement.settle(Done(message))
        return answer

    def _joined(
        self, answers: list[Embeddings], request: EmbeddingRequest, books: Call
    ) -> Embeddings:
        vectors = [vector for answer in answers for vector in answer.vectors]
        _check(vectors, len(request.inputs))
        dropped, length, wanted = answers[0].dropped, len(vectors[0]), request.dimensions
        if wanted is not None and wanted != length:
            text = f"not kept: the vectors have {length} dimensions, not {wanted}"
            dropped = (*dropped, ("dimensions", text))
        return msgspec.structs.replace(
            answers[0], vectors=vectors, usage=_spent(books), dropped=dropped
        )

    def _so_far(self, books: Call, error: PolyvoxError) -> AssistantMessage:
        """What was charged, as the message that every error carries; vectors have no place there."""
        message = self._message()
        message.usage, message.error = _spent(books), error.text
        message.stop_reason = "aborted" if isinstance(error, AbortedError) else "error"
        message.request_id = error.request_id
        return message

    def _message(self) -> AssistantMessage:
        return AssistantMessage([], provider=self.target.provider, model=self.target.model)


class _Batch:
    """What asks for one batch, as an embedder."""

    def __init__(
        self, name: str, ask: Callable[[EmbeddingRequest, Call], Awaitable[Embeddings]]
    ) -> None:
        self.name = name
        self._ask = ask

    async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        return await self._ask(request, call)


def cut(inputs: Sequence[str], most: int, tokens: int | None) -> list[list[str]]:
    """The inputs in order, in batches of at most so many texts and so many tokens.

    Tokens are estimated, and an estimate may well be off by half: only half of them are planned
    with. A text that is longer than that alone is a batch of its own.

    >>> cut(["a", "b", "c"], 2, None)
    [['a', 'b'], ['c']]
    """
    batches: list[list[str]] = []
    room = 0.0
    for text in inputs:
        size = 0 if tokens is None else estimate.text_tokens(text)
        if not batches or len(batches[-1]) >= most or size > room:
            batches.append([])
            room = float("inf") if tokens is None else tokens // 2
        batches[-1].append(text)
        room -= size
    return batches


async def _a_few_at_a_time(
    ask: Callable[[EmbeddingRequest], Awaitable[_T]], jobs: Sequence[EmbeddingRequest]
) -> list[_T]:
    """Every answer, in the order of the jobs."""
    answers: dict[int, _T] = {}
    waiting = iter(enumerate(jobs))

    async def work() -> None:
        for place, job in waiting:  # one iterator for all: each takes the next that nobody has
            answers[place] = await ask(job)

    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(CONCURRENT, len(jobs))):
                group.create_task(work())
    except ExceptionGroup as failures:
        failure = failures.exceptions[0]
    if failure is not None:
        raise failure
    return [answers[place] for place in range(len(jobs))]


def _check(vectors: list[list[float]], count: int) -> None:
    if len(vectors) != count:
        raise ProtocolError(f"{count} texts were sent, but {len(vectors)} vectors came back")
    lengths = {len(vector) for vector in vectors}
    if len(lengths) > 1:
        raise ProtocolError(f"the vectors have different lengths: {sorted(lengths)}")
    if 0 in lengths:
        raise ProtocolError("the vectors are empty")
    if not all(isfinite(sum(vector)) for vector in vectors):
        raise ProtocolError("a vector holds what is no number")


def _spent(books: Call) -> Usage:
    return sum(attempt.usage for attempt in books.attempts) or NOTHING_USED
