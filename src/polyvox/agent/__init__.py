"""Agents: a model with tools, asked again until it is done.

Belongs here: the loop and its events, what a run keeps and how it is gone on with, who has a say in
it, and what is built of runs: sessions, tasks, agents inside agents.
Does not belong here: what a tool is and how one is run, or how a model is asked.
"""

from polyvox.agent.agent import Agent
from polyvox.agent.compaction import Compacting, Compaction, KeepLast, TrimToolResults
from polyvox.agent.events import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    ApprovalNeeded,
    Compacted,
    HandedOver,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    NestedRun,
    Outcome,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
    TurnEnd,
    TurnStart,
    decode_agent_event,
    encode_agent_event,
)
from polyvox.agent.hooks import AfterTool, Approve, Ask, BeforeTool, ToolUse, Transform
from polyvox.agent.limits import RunLimits
from polyvox.agent.result import AgentResult
from polyvox.agent.role import Session
from polyvox.agent.settings import AgentOptions, RunSettings
from polyvox.agent.state import Approval, RunState
from polyvox.agent.stream import AgentStream

__all__ = [
    "AfterTool",
    "Agent",
    "AgentEnd",
    "AgentEvent",
    "AgentOptions",
    "AgentResult",
    "AgentStart",
    "AgentStream",
    "Approval",
    "ApprovalNeeded",
    "Approve",
    "Ask",
    "BeforeTool",
    "Compacted",
    "Compacting",
    "Compaction",
    "HandedOver",
    "KeepLast",
    "MessageEnd",
    "MessageStart",
    "MessageUpdate",
    "NestedRun",
    "Outcome",
    "RunLimits",
    "RunSettings",
    "RunState",
    "Session",
    "ToolExecutionEnd",
    "ToolExecutionStart",
    "ToolExecutionUpdate",
    "ToolUse",
    "Transform",
    "TrimToolResults",
    "TurnEnd",
    "TurnStart",
    "decode_agent_event",
    "encode_agent_event",
]
