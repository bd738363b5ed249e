"""A run of an agent that waits for somebody, and what may be decided of it."""

from typing import Any, NamedTuple

import msgspec

from polyvox.agent import Approval
from polyvox.errors import BadRequestError

__all__ = ["ApprovalView", "Decision", "Owner", "Suspended", "WaitingCall"]


class WaitingCall(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A call of a tool that somebody must approve of; ``reason`` is why they are asked."""

    id: str
    name: str
    arguments: dict[str, Any] = {}
    reason: str = ""


class ApprovalView(msgspec.Struct, kw_only=True):
    """A run that waits. ``id`` is that of the answer with which it was suspended.

    ``created`` and ``expires`` are seconds since the epoch.
    """

    id: str
    model: str
    calls: list[WaitingCall]
    created: float
    expires: float


class Decision(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What becomes of the calls that wait.

    ``approve``  whether they are carried out
    ``comment``  what the agent is told, where they are not
    ``calls``    by the id of a call: true or false, where it is not as ``approve`` says
    ``polyvox``  wishes about the call that goes on
    """

    approve: bool
    comment: str = ""
    calls: dict[str, bool] = {}
    polyvox: dict[str, Any] | None = None


class Owner(NamedTuple):
    """Whose run it is: an organisation's, or, without one, a key's."""

    organisation: str
    key: str


class Suspended(msgspec.Struct, frozen=True):
    """A run that waits, with all that it takes to go on."""

    view: ApprovalView
    owner: Owner
    state: bytes

    def decided(self, decision: Decision) -> dict[str, Approval]:
        """What is decided of each call. Raises ``BadRequestError`` for a call that does not wait."""
        waiting = [call.id for call in self.view.calls]
        for id in decision.calls:
            if id not in waiting:
                raise BadRequestError(
                    f"no call {id!r} waits for an approval",
                    hint=f"There are: {', '.join(waiting)}.",
                )
        refusal = decision.comment or False
        return {id: decision.calls.get(id, decision.approve) or refusal for id in waiting}
