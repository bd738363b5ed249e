"""What the tests of agents share: scripted models, and a run's events as a line of short words."""

from collections.abc import Callable, Sequence
from typing import Any

from polyvox.agent import (
    Agent,
    AgentEnd,
    AgentEvent,
    AgentStream,
    ApprovalNeeded,
    HandedOver,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    NestedRun,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
)
from polyvox.messages import (
    AssistantMessage,
    SystemMessage,
    Text,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from polyvox.providers.simulated import ScriptedModel


def calls(*named: str | ToolCall, text: str = "") -> AssistantMessage:
    """An answer that calls tools: "f" calls f without arguments, with the id "call-f"."""
    content: list[Any] = [Text(text)] if text else []
    content += [
        each if isinstance(each, ToolCall) else ToolCall(f"call-{each}", each) for each in named
    ]
    return AssistantMessage(content, stop_reason="tool_calls")


def agent_of(script: Sequence[Any], *, tools: Sequence[Any] = (), **options: Any) -> Agent[Any]:
    """An agent whose model plays a script; ``agent.model.requests`` are what it was asked."""
    return Agent(ScriptedModel(list(script)), tools=tools, **options)


async def trace(run: AgentStream[Any]) -> str:
    """The events of a run to its end, in the words of ``word``."""
    return " ".join([word(event) async for event in run])


def word(event: AgentEvent) -> str:
    """The event in short: "ms:U" is the start of a user's message, "te:f!" the failing end of f."""
    told = _WORDS.get(type(event))
    return str(event.__struct_config__.tag) if told is None else told(event)


_WORDS: dict[type, Callable[[Any], str]] = {
    MessageStart: lambda event: f"ms:{_WHO[type(event.message)]}",
    MessageUpdate: lambda _: "mu",
    MessageEnd: lambda event: f"me:{_WHO[type(event.message)]}",
    ToolExecutionStart: lambda event: f"ts:{event.call.name}",
    ToolExecutionUpdate: lambda event: f"tu:{event.call.name}",
    ToolExecutionEnd: lambda event: f"te:{event.call.name}{'!' if event.result.is_error else ''}",
    ApprovalNeeded: lambda event: f"approve:{event.call.name}",
    HandedOver: lambda event: f"handed_over:{event.to}",
    NestedRun: lambda event: f"{'/'.join(event.path)}({word(event.event)})",
    AgentEnd: lambda event: f"agent_end:{event.outcome}",
}
_WHO = {UserMessage: "U", AssistantMessage: "A", ToolMessage: "TR", SystemMessage: "S"}


def without_updates(line: str) -> str:
    """The trace with what comes of a model's answer left out: how many pieces it has is its own business."""
    return " ".join(each for each in line.split() if each != "mu")
