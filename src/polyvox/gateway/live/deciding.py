"""Approvals over HTTP: which runs wait, and what becomes of them."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

import msgspec
from starlette.requests import Request as HttpRequest

from polyvox.agent import RunState
from polyvox.errors import AbortedError, BadRequestError, ServerError
from polyvox.events import Done, Event, Failed
from polyvox.gateway.asking.asking import Asked, Asking
from polyvox.gateway.asking.dialects import Turnstile
from polyvox.gateway.asking.wishes import wishes_of
from polyvox.gateway.live.approvals import Approvals
from polyvox.gateway.live.following import Follower
from polyvox.gateway.live.suspended import ApprovalView, Decision, Suspended
from polyvox.gateway.tenants.access import Access
from polyvox.gateway.web.endpoints import Arrived, Endpoint, Page, PageQuery, page_of
from polyvox.messages import AssistantMessage
from polyvox.request import Request

__all__ = ["Continued", "Deciding", "gone_on"]


class Continued(msgspec.Struct, kw_only=True):
    """What a run came to after a decision.

    ``message`` is its answer; with ``approval`` it waits once more.
    """

    id: str
    text: str
    message: AssistantMessage
    approval: ApprovalView | None = None


class Deciding:
    """Lists the runs that wait, and has them go on."""

    def __init__(self, approvals: Approvals, asking: Asking, turnstile: Turnstile) -> None:
        self._approvals = approvals
        self._asking = asking
        self._turnstile = turnstile

    def endpoints(self) -> list[Endpoint]:
        """What can be asked."""
        # fmt: off
        return [
            Endpoint(
                "GET", "/v1/approvals", "List the runs that wait for an approval.", self.list,
                use="approvals", query=PageQuery, gives=Page[ApprovalView],
            ),
            Endpoint(
                "POST", "/v1/approvals/{id}", "Decide, and have the run go on.", self.decide,
                use="approvals", takes=Decision, gives=Continued,
            ),
        ]
        # fmt: on

    async def list(self, arrived: Arrived) -> Page[ApprovalView]:
        """The runs that wait, the oldest first."""
        query: PageQuery = arrived.query
        views = self._approvals.seen_by(arrived.access)
        left = [view for view in views if query.after is None or view.id > query.after]
        return page_of(left, query.limit, lambda last: last.id)

    async def decide(self, arrived: Arrived) -> Continued:
        """Have it go on. When the caller leaves, it ends."""
        await self._turnstile.enter()
        try:
            work = asyncio.ensure_future(self._continued(arrived))
            left = asyncio.ensure_future(_left(arrived.request))
            try:
                await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    raise AbortedError("the caller left before the run was over")
                return work.result()
            finally:
                left.cancel()
                work.cancel()
                await asyncio.wait((work, left))
        finally:
            self._turnstile.leave()

    async def _continued(self, arrived: Arrived) -> Continued:
        run = self._approvals.take(arrived.named("id"), arrived.access)
        begun = False
        try:
            asked, follower = gone_on(run, arrived.body, arrived.access, arrived.request.headers)
            last: Event | None = None
            with self._approvals.followers.followed(asked.id, follower):
                async with aclosing(self._asking.events(asked)) as events:
                    async for event in events:
                        last, begun = event, follower.begun
        finally:
            if not begun:
                self._approvals.put(run)
        if isinstance(last, Failed):
            raise last.error
        if not isinstance(last, Done):
            raise ServerError("the agent ended its answer without an ending")
        message = last.message
        return Continued(
            id=message.id, text=message.text, message=message, approval=follower.approval
        )


def gone_on(
    run: Suspended, decision: Decision, access: Access, headers: Mapping[str, str]
) -> tuple[Asked, Follower]:
    """The call that goes on with a run, for whoever decides. Raises ``PolyvoxError``."""
    wishes = wishes_of(decision.polyvox, headers)
    if wishes.prompt is not None:
        raise BadRequestError("a run that goes on takes no template of a prompt")
    messages = [] if wishes.context else RunState.from_json(run.state).messages
    request = Request(messages=messages, model=run.view.model)
    asked = Asked(access=access, request=request, wishes=wishes)
    return asked, Follower(run, run.decided(decision))


async def _left(request: HttpRequest) -> None:
    """Wait until the caller leaves; the body was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
