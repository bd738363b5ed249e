"""Conversations over HTTP."""

from collections.abc import Callable
from typing import TypeAlias

from starlette.responses import Response

from polyvox.errors import BadRequestError
from polyvox.gateway.asking.wishes import Wishes, wishes_of
from polyvox.gateway.contexts.compacting import Ask
from polyvox.gateway.contexts.contexts import Contexts
from polyvox.gateway.contexts.shapes import (
    Change,
    Compacting,
    ContextView,
    ExportQuery,
    FoundMessage,
    KeptMessage,
    ListQuery,
    NewContext,
    NewFork,
    NewMessages,
    PlaceQuery,
    SearchQuery,
)
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page, page_of

__all__ = ["context_endpoints"]

_LINES = "application/x-ndjson"
_ONE = "/v1/contexts/{context}"

AskFor: TypeAlias = Callable[[Access, Wishes], Ask]
"""Gives what asks a model for whoever has this access, with these wishes."""


def context_endpoints(contexts: Contexts, ask_for: AskFor) -> tuple[Endpoint, ...]:
    """What can be asked about conversations."""
    http = _Http(contexts, ask_for)
    return (
        Endpoint(
            "GET", "/v1/contexts", "List conversations, the one used last first.", http.list,
            use="contexts", query=ListQuery, gives=Page[ContextView],
        ),
        Endpoint(
            "POST", "/v1/contexts", "Begin a conversation, or bring one along.", http.create,
            use="contexts", takes=NewContext, gives=ContextView, status=201,
        ),
        Endpoint(
            "GET", "/v1/contexts/search", "Find messages by words.", http.search,
            use="contexts", query=SearchQuery, gives=Page[FoundMessage],
        ),
        Endpoint(
            "GET", _ONE, "Show a conversation in short.", http.get,
            use="contexts", gives=ContextView,
        ),
        Endpoint(
            "PATCH", _ONE, "Change name, instructions, template, budget or tags.", http.change,
            use="contexts", takes=Change, gives=ContextView,
        ),
        Endpoint("DELETE", _ONE, "Delete a conversation.", http.delete, use="contexts"),
        Endpoint(
            "GET", f"{_ONE}/messages", "Show what was said.", http.messages,
            use="contexts", query=PlaceQuery, gives=Page[KeptMessage],
        ),
        Endpoint(
            "POST", f"{_ONE}/messages", "Add messages.", http.append,
            use="contexts", takes=NewMessages, gives=ContextView,
        ),
        Endpoint(
            "POST", f"{_ONE}/fork", "Copy a conversation up to a message.", http.fork,
            use="contexts", takes=NewFork, gives=ContextView, status=201,
        ),
        Endpoint(
            "POST", f"{_ONE}/compact", "Have the older part summarised.", http.compact,
            use="contexts", takes=Compacting, gives=ContextView,
        ),
        Endpoint(
            "GET", f"{_ONE}/export", "Write all messages as lines of JSON.", http.export,
            use="contexts", query=ExportQuery, writes=(_LINES,),
        ),
    )  # fmt: skip


class _Http:
    """The handlers."""

    def __init__(self, contexts: Contexts, ask_for: AskFor) -> None:
        self._contexts = contexts
        self._ask_for = ask_for

    async def list(self, arrived: Arrived) -> Page[ContextView]:
        return await self._contexts.listed(arrived.access, arrived.query)

    async def create(self, arrived: Arrived) -> ContextView:
        return await self._contexts.create(arrived.access, arrived.body)

    async def search(self, arrived: Arrived) -> Page[FoundMessage]:
        return await self._contexts.searched(arrived.access, arrived.query)

    async def get(self, arrived: Arrived) -> ContextView:
        return await self._contexts.get(arrived.access, arrived.named("context"))

    async def change(self, arrived: Arrived) -> ContextView:
        return await self._contexts.change(arrived.access, arrived.named("context"), arrived.body)

    async def delete(self, arrived: Arrived) -> None:
        await self._contexts.delete(arrived.access, arrived.named("context"))

    async def messages(self, arrived: Arrived) -> Page[KeptMessage]:
        query: PlaceQuery = arrived.query
        found = await self._contexts.messages(
            arrived.access, arrived.named("context"), query.after, query.limit + 1
        )
        return page_of(found, query.limit, lambda last: str(last.place))

    async def append(self, arrived: Arrived) -> ContextView:
        new: NewMessages = arrived.body
        return await self._contexts.append(arrived.access, arrived.named("context"), new.messages)

    async def fork(self, arrived: Arrived) -> ContextView:
        new: NewFork = arrived.body
        return await self._contexts.fork(
            arrived.access, arrived.named("context"), new.messages, new.name
        )

    async def compact(self, arrived: Arrived) -> ContextView:
        wanted: Compacting = arrived.body
        wishes = wishes_of(wanted.polyvox, arrived.request.headers)
        if wishes.context is not None or wishes.prompt is not None:
            raise BadRequestError("a summary takes no other context, and no template of a prompt")
        return await self._contexts.compact(
            arrived.access,
            arrived.named("context"),
            wanted.model,
            self._ask_for(arrived.access, wishes),
            wanted.keep_tokens,
        )

    async def export(self, arrived: Arrived) -> Response:
        query: ExportQuery = arrived.query
        lines = await self._contexts.export(arrived.access, arrived.named("context"), query.form)
        return Response(lines, media_type=_LINES)
