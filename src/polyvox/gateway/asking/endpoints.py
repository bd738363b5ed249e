"""The endpoints for calls: those that are under way, an end to one of them, and those that are over."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from polyvox.gateway.asking.calls import Calls, CallView
from polyvox.gateway.asking.past import PastQuery, find, find_one
from polyvox.gateway.database.engine import Database
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page

__all__ = ["Interruption", "call_endpoints"]


class Interruption(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a call is ended, in words for a person."""

    reason: Annotated[str, Meta(max_length=500)] = "interrupted by request"


def call_endpoints(
    calls: Calls, database: Database, shipped: Callable[[], Awaitable[object]]
) -> list[Endpoint]:
    """The endpoints. A key sees its organisation's calls; those under way on the worker that is asked.

    ``shipped`` waits for a moment until what this worker wrote down is in the database.
    """

    async def under_way(arrived: Arrived) -> Page[CallView]:
        return Page(data=calls.seen_by(arrived.access))

    async def interrupt(arrived: Arrived) -> CallView:
        return calls.interrupt(arrived.named("call"), arrived.access, arrived.body.reason)

    async def over(arrived: Arrived) -> Page[CallView]:
        await shipped()
        work = partial(find, access=arrived.access, query=arrived.query)
        return await database.run(work, read_only=True)

    async def one(arrived: Arrived) -> CallView:
        name, access = arrived.named("call"), arrived.access
        live = calls.find(name, access)
        if live is not None:
            return live
        await shipped()
        return await database.run(partial(find_one, access=access, name=name), read_only=True)

    return [
        Endpoint(
            "GET",
            "/v1/calls",
            "List the calls that are under way.",
            under_way,
            use="chat",
            gives=Page[CallView],
        ),
        Endpoint(
            "GET",
            "/v1/calls/over",
            "List the calls that are over, the newest first.",
            over,
            use="chat",
            query=PastQuery,
            gives=Page[CallView],
        ),
        Endpoint(
            "GET",
            "/v1/calls/{call}",
            "Get a call by its id, or by that of the request that it came with.",
            one,
            use="chat",
            gives=CallView,
        ),
        Endpoint(
            "POST",
            "/v1/calls/{call}/interrupt",
            "End a call; its caller gets what had arrived.",
            interrupt,
            use="chat",
            takes=Interruption,
            gives=CallView,
        ),
    ]
