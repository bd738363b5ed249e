"""What the tests of sessions share: the events of runs, written by hand or drawn."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from polyvox.agent import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    ApprovalNeeded,
    Compacted,
    HandedOver,
    MessageEnd,
    MessageStart,
    Outcome,
    RunState,
    ToolExecutionEnd,
    ToolExecutionStart,
    TurnEnd,
    TurnStart,
    decode_agent_event,
    encode_agent_event,
)
from polyvox.agent.sessions import JsonlSessions, Sessions, SqliteSessions
from polyvox.errors import ServerError
from polyvox.messages import (
    AssistantMessage,
    File,
    Image,
    Text,
    ToolCall,
    ToolMessage,
    UserMessage,
    user,
)
from polyvox.tools.result import ToolResult, message_of
from polyvox.usage import Cost, Usage
from strategies import Carries, Draw, answers, content, json_values, names, texts, usages

STORES: dict[str, Callable[[Path], Sessions]] = {
    "jsonl": lambda folder: JsonlSessions(folder / "sessions"),
    "sqlite": lambda folder: SqliteSessions(folder / "sessions.db"),
}
CARRIES = Carries(usage=usages())
USAGE = Usage(1_000, 200, cost=Cost("known", nanos=1_500_000))


def answer(*parts: str | ToolCall) -> AssistantMessage:
    blocks = [Text(part) if isinstance(part, str) else part for part in parts]
    reason = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "stop"
    return AssistantMessage(blocks, reason, USAGE, provider="acme", model="one-large")


def turn(number: int, said: AssistantMessage, *results: ToolResult) -> list[AgentEvent]:
    """A turn whose calls come to these results, all of them."""
    calls = said.tool_calls
    messages = [message_of(result, call) for result, call in zip(results, calls, strict=True)]
    return [
        TurnStart(number),
        MessageStart(said),
        MessageEnd(said),
        *(ToolExecutionStart(call) for call in calls),
        *(ToolExecutionEnd(call, result) for call, result in zip(calls, results, strict=True)),
        *(MessageEnd(message) for message in messages),
        TurnEnd(said, messages),
    ]


def weather_run(question: str = "Is it raining in Oslo?") -> list[AgentEvent]:
    """A whole run: a question, a call with its result, an answer."""
    asks = answer("Let me see.", ToolCall("call-1", "weather", {"city": "Oslo"}))
    start, *rest = turn(1, asks, ToolResult(content=[Text("Sunny in Oslo.")]))
    return [
        AgentStart("run-1", "forecaster"),
        start,
        MessageEnd(user(question)),
        *rest,
        *turn(2, answer("No, the sun shines.")),
        AgentEnd("done"),
    ]


def folded(events: Iterable[AgentEvent]) -> RunState:
    """The state after the events, as they are when they were written and read."""
    state = RunState()
    for event in events:
        state.apply(decode_agent_event(encode_agent_event(event)))
    return state


async def append_all(sessions: Sessions, id: str, events: Iterable[AgentEvent]) -> None:
    async with await sessions.open(id) as session:
        for event in events:
            await session.append(event)


# ------------------------------------------------------------------------------------------- drawn

tool_results = st.builds(
    ToolResult,
    content=content([Text, Image, File], CARRIES),
    details=json_values,
    is_error=st.booleans(),
)
outcomes: st.SearchStrategy[Outcome] = st.sampled_from(
    ["done", "suspended", "limit", "aborted", "error"]
)


@st.composite
def runs(draw: Draw) -> list[AgentEvent]:
    """The events of some runs; each may break off anywhere, as when its process dies."""
    events: list[AgentEvent] = []
    for _ in range(draw(st.integers(1, 3))):
        run = draw(_run(folded(events)))
        events += run[: draw(st.integers(1, len(run)))] if draw(st.booleans()) else run
    return events


@st.composite
def _run(draw: Draw, state: RunState) -> list[AgentEvent]:
    events: list[AgentEvent] = [AgentStart(draw(names), draw(texts))]
    for number in range(draw(st.integers(1, 3))):
        events += [TurnStart(state.turns + number + 1)]
        if draw(st.booleans()):
            events += [MessageEnd(UserMessage(draw(content([Text, Image], CARRIES))))]
        events += draw(_answered())
        if draw(st.booleans()):
            events += [HandedOver("one", draw(names))]
        if draw(st.booleans()):
            there = len(folded([MessageEnd(user())] * len(state.messages) + events).messages)
            replaced = draw(st.integers(0, there))
            events += [Compacted(replaced, [user(draw(texts))], 1_000, 10)]
    outcome = draw(outcomes)
    error = ServerError("it broke") if outcome == "error" else None
    return [*events, AgentEnd(outcome, [user("again")], draw(texts), error)]


@st.composite
def _answered(draw: Draw) -> list[AgentEvent]:
    """An answer, with its calls in any order of ending and some of them waiting for approval."""
    said: AssistantMessage = draw(answers(CARRIES))
    results: dict[str, Any] = {call.id: draw(tool_results) for call in said.tool_calls}
    messages: list[ToolMessage] = [message_of(results[call.id], call) for call in said.tool_calls]
    return [
        MessageStart(msgspec.structs.replace(said, content=[])),
        MessageEnd(said),
        *(ApprovalNeeded(call, "really?") for call in said.tool_calls if draw(st.booleans())),
        *(
            ToolExecutionEnd(call, results[call.id])
            for call in draw(st.permutations(said.tool_calls))
        ),
        *(MessageEnd(message) for message in messages),
        TurnEnd(said, messages),
    ]
