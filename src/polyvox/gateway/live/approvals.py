"""Runs of agents that wait for somebody to approve: kept for a while, each with its owner's others."""

import time
from collections import OrderedDict
from collections.abc import Callable

from polyvox.agent import RunState
from polyvox.errors import NotFoundError
from polyvox.gateway.asking.calls import CallView
from polyvox.gateway.live.following import Followers
from polyvox.gateway.live.suspended import ApprovalView, Owner, Suspended, WaitingCall
from polyvox.gateway.tenants.access import Access
from polyvox.messages import ToolCall

__all__ = ["Approvals", "owner_of"]

MOST = 100
MOST_BYTES = 64 << 20


class Approvals:
    """The runs that wait, in memory. An owner who has too many of them loses the oldest.

    ``followers`` are those of the runs that are under way. Both outlive the agents, which are made anew
    when the configuration changes.

    Args:
        most: how many an owner may have.
        most_bytes: ... and how long they may be together.
        clock: tells the time.
    """

    def __init__(
        self,
        *,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.followers = Followers()
        self._most = most
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: dict[Owner, OrderedDict[str, Suspended]] = {}

    def keep(
        self, id: str, model: str, owner: Owner, state: RunState, seconds: float
    ) -> ApprovalView:
        """Keep a run for so long."""
        now = self._clock()
        calls = [_waiting(call, state.waiting.get(call.id, "")) for call in state.pending]
        view = ApprovalView(id=id, model=model, calls=calls, created=now, expires=now + seconds)
        self.put(Suspended(view, owner, state.to_json()))
        return view

    def put(self, run: Suspended) -> None:
        """Keep it."""
        self._forget_old()
        kept = self._kept.setdefault(run.owner, OrderedDict())
        kept[run.view.id] = run
        while len(kept) > self._most or (
            len(kept) > 1 and sum(len(each.state) for each in kept.values()) > self._most_bytes
        ):
            kept.popitem(last=False)

    def put_back(self, run: Suspended | None) -> None:
        """Let it wait on, if there is one: nothing has come of a decision."""
        if run is not None:
            self.put(run)

    def seen_by(self, access: Access) -> list[ApprovalView]:
        """The runs that this access may decide on, the oldest first."""
        self._forget_old()
        views = [
            run.view
            for owner, kept in self._kept.items()
            if access.sees(*owner)
            for run in kept.values()
        ]
        return sorted(views, key=lambda view: view.id)

    def take(self, id: str, access: Access) -> Suspended:
        """A run that goes on now, and waits no more. Raises ``NotFoundError``."""
        self._forget_old()
        for owner, kept in self._kept.items():
            if id in kept and access.sees(*owner):
                run = kept.pop(id)
                if not kept:
                    del self._kept[owner]
                return run
        raise NotFoundError(
            f"no run {id!r} waits for an approval",
            hint="It was decided on already, or has waited too long. GET /v1/approvals lists them.",
        )

    def _forget_old(self) -> None:
        now = self._clock()
        for owner, kept in list(self._kept.items()):
            for id in [id for id, run in kept.items() if run.view.expires <= now]:
                del kept[id]
            if not kept:
                del self._kept[owner]


def owner_of(view: CallView | None) -> Owner:
    """Whose a call is."""
    return Owner("", "") if view is None else Owner(view.organisation, view.key)


def _waiting(call: ToolCall, reason: str) -> WaitingCall:
    return WaitingCall(id=call.id, name=call.name, arguments=call.arguments, reason=reason)
