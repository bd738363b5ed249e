"""The endpoints for calls that are under way: which there are, and an end to one of them."""

from typing import Annotated

import msgspec
from msgspec import Meta

from polyvox.gateway.asking.calls import Calls, CallView
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page

__all__ = ["Interruption", "call_endpoints"]


class Interruption(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a call is ended, in words for a person."""

    reason: Annotated[str, Meta(max_length=500)] = "interrupted by request"


def call_endpoints(calls: Calls) -> list[Endpoint]:
    """The endpoints. A key sees its organisation's calls, on the worker that is asked."""

    async def under_way(arrived: Arrived) -> Page[CallView]:
        return Page(data=calls.seen_by(arrived.access))

    async def interrupt(arrived: Arrived) -> CallView:
        return calls.interrupt(arrived.named("call"), arrived.access, arrived.body.reason)

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
            "POST",
            "/v1/calls/{call}/interrupt",
            "End a call; its caller gets what had arrived.",
            interrupt,
            use="chat",
            takes=Interruption,
            gives=CallView,
        ),
    ]
