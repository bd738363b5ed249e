"""Who takes part in a run, and on what terms."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from polyvox.agent.events import AgentEvent
from polyvox.agent.limits import RunLimits
from polyvox.agent.state import Approval, RunState
from polyvox.messages import ToolMessage
from polyvox.model import Model
from polyvox.request import Request
from polyvox.tools import Tool

if TYPE_CHECKING:
    from polyvox.agent.agent import Agent

__all__ = ["Role", "Session", "Terms"]


@runtime_checkable
class Session(Protocol):
    """Where the events of runs are kept, so that a later one can go on from them."""

    @property
    def id(self) -> str:
        """The name of the session."""
        ...

    @property
    def state(self) -> RunState:
        """Where it stands."""
        ...

    async def append(self, event: AgentEvent) -> None:
        """Keep the event, and bring ``state`` up to date. Raises ``PolyvoxError`` when it can't."""
        ...


class Role:
    """An agent ready to be asked: its model, its tools by name, and the request without messages."""

    def __init__(
        self,
        agent: "Agent[Any]",
        model: Model,
        tools: Mapping[str, Tool],
        request: Request,
        handoffs: "Mapping[str, Agent[Any]]",
    ) -> None:
        self.agent = agent
        self.model = model
        self.tools = tools
        self.request = request
        self._handoffs = handoffs

    def handoff(self, message: ToolMessage) -> "Agent[Any] | None":
        """Who goes on, if this is the result of handing the conversation over."""
        return None if message.is_error else self._handoffs.get(message.tool_name)


class Terms(NamedTuple):
    """On what terms a run takes place: where it is kept, how far it may go, what tools get, what was
    approved of.
    """

    session: Session | None
    limits: RunLimits
    deps: Any
    approvals: Mapping[str, Approval]
