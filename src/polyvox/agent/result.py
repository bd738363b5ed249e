"""What a run came to."""

from typing import TYPE_CHECKING, Any, Generic, cast

from polyvox.agent.events import Outcome
from polyvox.agent.state import RunState
from polyvox.attempt import Attempt
from polyvox.errors import PolyvoxError
from polyvox.messages import AssistantMessage, Message, ToolCall
from polyvox.usage import ZERO_USAGE, Cost, Usage

__all__ = ["AgentResult"]

if TYPE_CHECKING:  # defaults, which typing has from Python 3.13 on: a bare Agent answers in text
    from typing_extensions import TypeVar

    Output = TypeVar("Output", default=str)
else:
    from typing import TypeVar

    Output = TypeVar("Output")


class AgentResult(Generic[Output]):
    """How a run ended, and all that it has made.

    ``outcome`` is "done", "suspended", "limit", "aborted" or "error"; ``detail`` and ``error`` say
    more. ``state`` is what it takes to go on: give it to ``agent.resume``, or to the next ``run``.
    """

    def __init__(
        self,
        *,
        outcome: Outcome,
        detail: str,
        state: RunState,
        new_messages: list[Message],
        attempts: list[Attempt],
        turns: int,
        error: PolyvoxError | None,
        output: Any,
    ) -> None:
        self.outcome: Outcome = outcome
        self.detail = detail
        self.state = state
        self.new_messages = new_messages
        self.attempts = attempts
        self.turns = turns
        self.error = error
        self._output: Any = output

    def __repr__(self) -> str:
        return f"AgentResult({self.outcome}, turns={self.turns}, {self.cost}: {self.text[:60]!r})"

    @property
    def output(self) -> Output:
        """The answer: a value of the agent's ``output`` type, or its text."""
        output: Any = self._output
        return cast("Output", self.text) if output is None else output

    @property
    def message(self) -> AssistantMessage | None:
        """What the model said last in this run; None if it said nothing."""
        for message in reversed(self.new_messages):
            if isinstance(message, AssistantMessage):
                return message
        return None

    @property
    def text(self) -> str:
        """The text that the model said last."""
        return self.message.text if self.message is not None else ""

    @property
    def messages(self) -> list[Message]:
        """The whole conversation, as it stands after the run."""
        return self.state.messages

    @property
    def pending(self) -> list[ToolCall]:
        """The calls that wait for an approval."""
        return self.state.pending

    @property
    def usage(self) -> Usage:
        """All tokens of this run: each attempt once, with those of agents and models inside tools."""
        return sum((attempt.usage for attempt in self.attempts), ZERO_USAGE)

    @property
    def cost(self) -> Cost:
        """What the run has cost; unknown, a lower bound, if a price is."""
        return self.usage.cost
