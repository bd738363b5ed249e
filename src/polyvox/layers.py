"""Embedders within the layers of models: what can be put around a model can be put around them.

Budgets, rate limits, retries, costs, traces and logs are models around models. Here a request for
vectors takes the shape of one for an answer, passes through any of them, and becomes itself again.
Layers see the texts as the user's message, and an answer that says in words how many vectors there
are. The vectors are an event of our own beside it, which layers pass on like any that they don't
know: none of them keeps them or writes them down.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias, cast

import msgspec

from polyvox.assembly import failed
from polyvox.embedding import Embedder, EmbeddingRequest, Embeddings, Encoding, Task
from polyvox.errors import PolyvoxError, ProtocolError
from polyvox.events import Done, Event, Failed, Start, Warned
from polyvox.messages import AssistantMessage, Text, UserMessage
from polyvox.model import Call, Model
from polyvox.quote import quote_of, worst_embedding
from polyvox.request import Request
from polyvox.usage import Usage

__all__ = ["Layers", "layered"]

Layers: TypeAlias = Callable[[Model], Model]
"""Puts something around a model: ``lambda model: Budgeted(model, Budget("$10"))``, or ``Retrying``."""


def layered(embedder: Embedder, layers: Layers) -> Embedder:
    """The embedder within these layers, which are those of models.

        vectors = layered(client.embedder("openai/text-embedding-3-small"), Retrying)

    What a layer warns of stands in ``Embeddings.dropped``. A layer that has its answers from somewhere
    else, such as a budget's cheaper model, has no vectors: the call then fails.

    >>> from polyvox import Client, CostTracker, Tracked
    >>> tracker = CostTracker()
    >>> with Client() as client:
    ...     vectors = client.embedder("simulated/embedding")
    ...     tracked = layered(vectors, lambda model: Tracked(model, tracker))
    ...     _ = client.embed(tracked, ["cats", "dogs"])
    >>> tracker
    CostTracker(1 calls: free)
    """
    return _Layered(layers(_Core(embedder)))


class _Asked(Request, kw_only=True):
    """A request for vectors in the shape of one for an answer: the texts are the user's message."""

    dimensions: int | None = None
    task: Task | None = None
    encoding: Encoding = "float"


class _Vectors(msgspec.Struct, frozen=True):
    """The event that has the vectors."""

    embeddings: Embeddings


class _Core:
    """The embedder as the innermost model."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def name(self) -> str:
        return self._embedder.name

    def quote(self, request: Request) -> Usage:
        wanted = _wanted(request)
        quote: Callable[[EmbeddingRequest], Usage] | None = getattr(self._embedder, "quote", None)
        return worst_embedding(wanted.inputs) if quote is None else quote(wanted)

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        try:
            found = await self._embedder.embed(_wanted(request), call)
        except PolyvoxError as error:
            yield failed(error) if error.message is None else Failed(error, error.message)
            return
        yield Start(found.provider, found.model)
        yield cast("Event", _Vectors(found))
        yield Done(_told(found))


class _Layered:
    """The outermost model as an embedder."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def name(self) -> str:
        """The name it is asked by."""
        return self._model.name

    def quote(self, request: EmbeddingRequest) -> Usage:
        """The most that embedding may use, with its cost."""
        return quote_of(self._model, _asked(request))

    async def embed(self, request: EmbeddingRequest, call: Call) -> Embeddings:
        """The vectors. Raises ``PolyvoxError``; the usage of its ``message`` is what was charged."""
        inner = call.child()
        inner.kind = "embedding"
        found: Embeddings | None = None
        warnings: list[tuple[str, str]] = []
        async with aclosing(self._model.stream(_asked(request), inner)) as events:
            async for event in events:
                if isinstance(event, Failed):
                    event.error.message = event.message
                    raise event.error
                if isinstance(event, Warned):
                    warnings.append((event.field, event.text))
                elif isinstance(event, _Vectors):
                    found = event.embeddings
        if found is None:
            raise ProtocolError(
                f"no vectors came through the layers around {self.name!r}",
                hint="A layer that asks another model for its answers can't be around an embedder.",
            )
        return msgspec.structs.replace(found, dropped=(*found.dropped, *warnings))


def _asked(request: EmbeddingRequest) -> _Asked:
    return _Asked(
        messages=[UserMessage([Text(text) for text in request.inputs])],
        model=request.model,
        options=request.options,
        stream=False,
        dimensions=request.dimensions,
        task=request.task,
        encoding=request.encoding,
    )


def _wanted(request: Request) -> EmbeddingRequest:
    assert isinstance(request, _Asked)
    return EmbeddingRequest(
        inputs=[
            block.text
            for message in request.messages
            for block in message.content
            if isinstance(block, Text)
        ],
        model=request.model,
        options=request.options,
        dimensions=request.dimensions,
        task=request.task,
        encoding=request.encoding,
    )


def _told(found: Embeddings) -> AssistantMessage:
    length = len(found.vectors[0]) if found.vectors else 0
    return AssistantMessage(
        [Text(f"{len(found.vectors)} vectors of {length} dimensions")],
        usage=found.usage,
        provider=found.provider,
        model=found.model,
        response_model=found.response_model,
    )
