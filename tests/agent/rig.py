"""What the tests of agents share: scripted models, and a run's events as a line of short words."""

from collections.abc import Sequence
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
from polyvox.messages import AssistantMessage, Message, Text, ToolCall, ToolMessage, UserMessage
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
    match event:
        case MessageStart(message=message):
            return f"ms:{_who(message)}"
        case MessageUpdate():
            return "mu"
        case MessageEnd(message=message):
            return f"me:{_who(message)}"
        case ToolExecutionStart(call=call):
            return f"ts:{call.name}"
        case ToolExecutionUpdate(call=call):
            return f"tu:{call.name}"
        case ToolExecutionEnd(call=call, result=result):
            return f"te:{call.name}{'!' if result.is_error else ''}"
        case ApprovalNeeded(call=call):
            return f"approve:{call.name}"
        case HandedOver():
            return f"handed_over:{event.to}"
        case NestedRun():
            return f"{'/'.join(event.path)}({word(event.event)})"
        case AgentEnd(outcome=outcome):
            return f"agent_end:{outcome}"
        case _:
            return str(event.__struct_config__.tag)


def without_updates(line: str) -> str:
    """The trace with what comes of a model's answer left out: how many pieces it has is its own business."""
    return " ".join(each for each in line.split() if each != "mu")


def _who(message: Message) -> str:
    match message:
        case UserMessage():
            return "U"
        case AssistantMessage():
            return "A"
        case ToolMessage():
            return "TR"
        case _:
            return "S"
