"""What a list of sessions tells of each."""

from typing import Literal

import msgspec

from polyvox import jsontext
from polyvox.agent.events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    HandedOver,
    MessageEnd,
    Outcome,
    TurnStart,
)
from polyvox.messages import AssistantMessage, Message, Text, UserMessage
from polyvox.usage import ZERO_USAGE, Cost, Usage

__all__ = ["SessionInfo"]

_TITLE_CHARACTERS = 60


class SessionInfo(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True
):
    """A session in short.

    ``title`` is how the first user message begins, ``agent`` the one who is asked next. ``turns``
    and ``messages`` count all there ever were, also those that were compacted later. ``usage`` is
    that of the session's own answers: of a fork, only of those that came after it. ``created`` and
    ``updated`` are seconds since the epoch. ``outcome`` is that of the last run; a run whose process
    died is still "running". ``parent`` is the session from which this one was forked. When ``error``
    says something, the session can't be read, and why.
    """

    id: str
    title: str = ""
    agent: str = ""
    created: float = 0.0
    updated: float = 0.0
    turns: int = 0
    messages: int = 0
    usage: Usage = ZERO_USAGE
    outcome: Outcome | Literal["running"] = "running"
    parent: str = ""
    error: str = ""

    @property
    def cost(self) -> Cost:
        """What the session's own answers cost."""
        return self.usage.cost

    def after(self, event: AgentEvent, time: float) -> "SessionInfo":
        """The same session once this has happened."""
        replace = msgspec.structs.replace
        match event:
            case AgentStart():
                return replace(self, updated=time, agent=event.agent, outcome="running")
            case TurnStart():
                return replace(self, updated=time, turns=event.number)
            case MessageEnd(message=message):
                usage, title = self.usage, self.title or _title(message)
                if isinstance(message, AssistantMessage):
                    usage += message.usage
                return replace(
                    self, updated=time, title=title, messages=self.messages + 1, usage=usage
                )
            case HandedOver():
                return replace(self, updated=time, agent=event.to)
            case AgentEnd():
                return replace(self, updated=time, outcome=event.outcome)
            case _:
                return replace(self, updated=time)


def _title(message: Message) -> str:
    """The first words of what a user says."""
    if not isinstance(message, UserMessage):
        return ""
    texts = (block.text for block in message.content if isinstance(block, Text))
    words = jsontext.decode(jsontext.encode(" ".join(" ".join(texts).split())), str)
    if len(words) <= _TITLE_CHARACTERS:
        return words
    cut = words[:_TITLE_CHARACTERS]
    return f"{cut.rpartition(' ')[0] or cut} ..."
