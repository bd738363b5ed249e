"""From what is asked to events: the whole path of a call, whoever carries it.

Templates and contexts make the request what it is; then it is decided in memory whether it may be
asked, whom, and what is reserved for it; then the model is asked; and before the last event is told
everything is settled and written down. However it ends, it is settled once.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Protocol, TypeVar

from msgspec.structs import replace

from polyvox.assembly import failed
from polyvox.dialects.kept import check_turns
from polyvox.embedding import Embedder, EmbeddingRequest, Embeddings
from polyvox.errors import PolyvoxError
from polyvox.events import CONTENT_EVENTS, Done, Event, Failed
from polyvox.gateway.asking.books import Books
from polyvox.gateway.asking.calls import Calls, LiveCall
from polyvox.gateway.asking.gates import Gates
from polyvox.gateway.asking.models import Models
from polyvox.gateway.asking.plan import Asked, Plan, Watch, call_of
from polyvox.gateway.asking.refusals import as_told, check_options
from polyvox.gateway.asking.signatures import unsealed
from polyvox.gateway.asking.wishes import PromptUse
from polyvox.gateway.tenants.access import Access, Level
from polyvox.messages import AssistantMessage
from polyvox.model import Call, Kind, Model
from polyvox.quote import quote_of, worst_embedding
from polyvox.request import Request
from polyvox.usage import Usage
from polyvox.whole import whole

__all__ = ["Asked", "Asking", "Contexts", "Executor", "Plan", "Prompts", "Turn", "Watch"]


_Found = TypeVar("_Found", AssistantMessage, Embeddings)


class Turn(Protocol):
    """One turn of a conversation that the gateway keeps; nobody else writes to it meanwhile."""

    @property
    def request(self) -> Request:
        """What was said before, and now, as far as it fits."""
        ...

    @property
    def level(self) -> Level | None:
        """The limits of the conversation, if it has any."""
        ...

    async def keep(self, message: AssistantMessage) -> bool:
        """Keep what was said now, and the answer, if it is worth it."""
        ...


class Contexts(Protocol):
    """The conversations that the gateway keeps."""

    def turn(
        self,
        access: Access,
        name: str,
        request: Request,
        window: int | None,
        /,
        *,
        template: bool = True,
    ) -> AbstractAsyncContextManager[Turn]:
        """The next turn of the conversation of this name or id, within so many tokens.

        With ``template=False`` its own template is left out.
        """
        ...


class Prompts(Protocol):
    """The templates of prompts."""

    async def apply(self, access: Access, use: PromptUse | str, request: Request) -> Request:
        """The request made of a template. Raises ``NotFoundError``, ``BadRequestError``."""
        ...


class Executor(Protocol):
    """Carries a plan out: asks the model that was decided on. Another one may do it without Python."""

    def stream(self, model: Model, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as events."""
        ...

    def whole(self, model: Model, request: Request, call: Call) -> Awaitable[AssistantMessage]:
        """The answer when it is whole. Raises ``PolyvoxError``, which keeps what there was of it."""
        ...


class Direct:
    """Asks the model in this process."""

    def stream(self, model: Model, request: Request, call: Call) -> AsyncGenerator[Event]:
        """The answer as events."""
        return model.stream(request, call)

    def whole(self, model: Model, request: Request, call: Call) -> Awaitable[AssistantMessage]:
        """The answer when it is whole. Raises ``PolyvoxError``, which keeps what there was of it."""
        return whole(model, request, call)


class Asking:
    """Answers calls.

    Args:
        models: who can be asked.
        gates: what may be spent.
        books: where calls are written down.
        calls: those that are under way.
        prompts: the templates, if there are any.
        contexts: the conversations, if any are kept.
        executor: who asks the model.
        watch: says whether calls can be let in at all, and is told of each that is over.
    """

    def __init__(
        self,
        models: Models,
        gates: Gates,
        books: Books,
        calls: Calls,
        *,
        prompts: Prompts | None = None,
        contexts: Contexts | None = None,
        executor: Executor | None = None,
        watch: "Watch | None" = None,
    ) -> None:
        self.models = models
        self.gates = gates
        self.books = books
        self.calls = calls
        self.prompts = prompts
        self.contexts = contexts
        self.executor = executor or Direct()
        self.watch = watch or Watch()

    def events(self, asked: Asked) -> AsyncGenerator[Event]:
        """The answer. Never raises: a refusal, too, is the last event."""
        asked = _with_producers(asked)
        if asked.wishes.context is None:
            return self._events(asked)
        return self._in_context(asked, asked.wishes.context)

    def whole(self, asked: Asked) -> Awaitable[AssistantMessage]:
        """The answer when it is whole. Raises ``PolyvoxError``."""
        asked = _with_producers(asked)
        if asked.wishes.context is None and asked.wishes.prompt is None:
            return self._whole(asked)
        return self._whole_prepared(asked)

    async def _whole_prepared(self, asked: Asked) -> AssistantMessage:
        """The answer to what a template and a conversation make of it."""
        if asked.wishes.context is None:
            return await self._whole(await self._templated(asked))
        async with self._turn(asked, asked.wishes.context) as within:
            return await self._whole(within)

    async def embed(self, asked: Asked, request: EmbeddingRequest) -> Embeddings:
        """The vectors of texts; of ``asked.request`` only the model matters. Raises ``PolyvoxError``."""
        embedder = self.models.embedder(asked.request.model, asked.access)
        model = _Vectors(embedder, request)
        return await self._settled(asked, model, "embedding", partial(embedder.embed, request))

    def _whole(self, asked: Asked) -> Awaitable[AssistantMessage]:
        model = self.models.model(asked.request.model, asked.access)
        ask = partial(self.executor.whole, model, asked.request)
        return self._settled(asked, model, "answer", ask)

    async def _settled(
        self, asked: Asked, model: Model, kind: Kind, ask: Callable[[Call], Awaitable[_Found]]
    ) -> _Found:
        """What ``ask`` gives, once the call is let in; settled whatever comes of it."""
        live = self._live(asked)
        plan: Plan | None = None
        try:
            plan = await self._admitted(asked, live, model, kind)
            found = await ask(plan.call)
            if isinstance(found, Embeddings):
                await plan.settle(None, found.usage)
            else:
                plan.content()
                await plan.settle(None, message=found)
            return found
        except PolyvoxError as error:
            if plan is not None and not plan.settled:
                if error.message is not None and error.message.content:
                    plan.content()
                await plan.settle(error, message=error.message)
            told = as_told(error)
            if told is error:
                raise
            raise told from error
        finally:
            if plan is not None and not plan.settled:
                await plan.settle_left()
            self.calls.end(live)

    @asynccontextmanager
    async def _turn(self, asked: Asked, name: str) -> AsyncGenerator[Asked]:
        """What is asked in the next turn of a conversation; it is kept when the call is settled.

        Raises ``PolyvoxError``.
        """
        if self.contexts is None:
            raise PolyvoxError("this gateway keeps no contexts", status=501)
        check_turns(asked.request, name)
        asked = await self._templated(asked)
        facts = self.models.facts(asked.request.model)
        window = facts.context_window if facts else None
        plain = asked.prompt is None  # else its template takes the place of the context's
        async with self.contexts.turn(
            asked.access, name, asked.request, window, template=plain
        ) as turn:
            yield replace(
                asked, request=turn.request, verbatim=None, level=turn.level, keep=turn.keep
            )

    async def _in_context(self, asked: Asked, name: str) -> AsyncGenerator[Event]:
        """The answer in a conversation."""
        try:
            async with (
                self._turn(asked, name) as within,
                aclosing(self._events(within)) as events,
            ):
                async for event in events:
                    yield event
        except PolyvoxError as error:
            yield failed(as_told(error))

    async def _events(self, asked: Asked) -> AsyncGenerator[Event]:
        live = self._live(asked)
        plan: Plan | None = None
        try:
            if asked.wishes.prompt is not None:
                asked = await self._templated(asked)
            model = self.models.model(asked.request.model, asked.access)
            plan = await self._admitted(asked, live, model, "answer")
            events = self.executor.stream(model, asked.request, plan.call)
            try:
                async for event in events:
                    if not plan.begun and type(event) in CONTENT_EVENTS:
                        plan.content()
                    elif isinstance(event, Done):
                        await plan.settle(None, message=event.message)
                    elif isinstance(event, Failed):
                        await plan.settle(event.error, message=event.message)
                        told = as_told(event.error)
                        event = Failed(told, told.message or event.message)
                    yield event
            finally:
                await events.aclose()
        except PolyvoxError as error:
            yield failed(as_told(error))
        finally:
            if plan is not None and not plan.settled:
                await plan.settle_left()
            self.calls.end(live)

    def _live(self, asked: Asked) -> LiveCall:
        live = LiveCall(asked.id, asked.access, asked.request.model, asked.dialect)
        live.detached = asked.wishes.detach
        self.calls.begin(live)
        return live

    async def _templated(self, asked: Asked) -> Asked:
        use = asked.wishes.prompt
        if use is None:
            return asked
        if self.prompts is None:
            raise PolyvoxError("this gateway has no templates of prompts", status=501)
        request = await self.prompts.apply(asked.access, use, asked.request)
        wishes = replace(asked.wishes, prompt=None)
        name = use if isinstance(use, str) else use.name
        return replace(asked, request=request, verbatim=None, wishes=wishes, prompt=name)

    async def _admitted(self, asked: Asked, live: LiveCall, model: Model, kind: Kind) -> "Plan":
        """Let the call in. Raises ``PolyvoxError`` where it may not be asked, or has no room."""
        if (refusal := self.watch.refusal()) is not None:
            raise refusal
        check_options(asked.request)
        call = call_of(asked, live, kind)
        gate = self.gates.of(asked.access, asked.wishes.end_user, asked.level)
        admission = None
        if gate is not None:
            if asked.verbatim is not None and asked.verbatim.is_long:
                quote = await asyncio.to_thread(quote_of, model, asked.request)
            else:
                quote = quote_of(model, asked.request)
            admission = await gate.enter(model, asked.request, quote, call)
        return Plan(self.books, self.watch, asked, call, admission)


def _with_producers(asked: Asked) -> Asked:
    """The same with whose the reasoning is that the caller brings back. A seal is for us alone."""
    if not asked.dialect:  # in our own words it stands there
        return asked
    request, opened = unsealed(asked.request, asked.dialect)
    if request is asked.request:
        return asked
    if asked.verbatim is not None and not opened:
        asked.verbatim.request = request
    return replace(asked, request=request)


class _Vectors:
    """An embedder with one request, as the gates see a model."""

    def __init__(self, embedder: Embedder, request: EmbeddingRequest) -> None:
        self.name = embedder.name
        quote: Callable[[EmbeddingRequest], Usage] | None = getattr(embedder, "quote", None)
        self._quote = worst_embedding(request.inputs) if quote is None else quote(request)

    def quote(self, request: Request) -> Usage:
        return self._quote

    def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        raise NotImplementedError("an embedder gives no events")
