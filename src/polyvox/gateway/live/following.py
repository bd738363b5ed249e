"""Who follows a run while it lasts, and may say something into it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from polyvox.agent import AgentStream, Approval
from polyvox.gateway.live.suspended import ApprovalView, Suspended
from polyvox.messages import UserMessage

__all__ = ["Follower", "Followers"]


class Follower:
    """Somebody who follows a call, and may say something into the run that answers it.

    ``going_on`` is the run that the call goes on with, and what was decided of it; ``begun`` tells
    whether it has. ``approval`` is there once the run waits for one.
    """

    def __init__(
        self, going_on: Suspended | None = None, approvals: Mapping[str, Approval] | None = None
    ) -> None:
        self.going_on = going_on
        self.approvals = approvals or {}
        self.begun = False
        self.approval: ApprovalView | None = None
        self._run: AgentStream[Any] | None = None
        self._said: list[UserMessage] = []

    def steer(self, message: UserMessage) -> None:
        """Say something that the agent reads in its next turn."""
        if self._run is None:
            self._said.append(message)
        else:
            self._run.steer(message)

    @property
    def over(self) -> bool:
        """Whether nobody would read what is said now."""
        return self._run is not None and self._run.is_over

    def lead(self, run: AgentStream[Any]) -> None:
        """Follow this run."""
        self.begun, self._run = True, run
        for message in self._said:
            run.steer(message)
        self._said = []


class Followers:
    """Those who follow a call, by its id."""

    def __init__(self) -> None:
        self._known: dict[str, Follower] = {}

    @contextmanager
    def followed(self, call_id: str, follower: Follower) -> Generator[None]:
        """While in the block, what an agent does for this call is told to the follower."""
        self._known[call_id] = follower
        try:
            yield
        finally:
            del self._known[call_id]

    def of(self, call_id: str) -> Follower | None:
        """Who follows this call."""
        return self._known.get(call_id)
