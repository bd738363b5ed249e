"""The law of sessions: what was written is there, and after a cut anywhere all that stood before it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.agent import (
    AgentEvent,
    MessageEnd,
    MessageStart,
    ToolExecutionEnd,
    TurnEnd,
    TurnStart,
)
from polyvox.agent.sessions import JsonlSessions
from polyvox.messages import ToolMessage, user
from strategies import fractions

from .session_rig import STORES, append_all, folded, runs


@given(runs(), st.data())
def test_a_file_cut_at_any_byte_is_the_session_before_its_last_whole_line(
    events: list[AgentEvent], data: st.DataObject
):
    with TemporaryDirectory() as folder:
        asyncio.run(cut_and_go_on(Path(folder), events, data))


async def cut_and_go_on(folder: Path, events: list[AgentEvent], data: st.DataObject) -> None:
    await append_all(JsonlSessions(folder), "s", events)
    path = folder / "s.jsonl"
    whole = path.read_bytes()
    cut = round(len(whole) * data.draw(fractions, label="cut"))
    path.write_bytes(whole[:cut])
    stored = [event for event in events if not isinstance(event, MessageStart)]
    kept = stored[: max(0, whole[:cut].count(b"\n") - 1)]  # the first line is the header
    more = MessageEnd(user("And then?"))

    async with JsonlSessions(folder) as sessions:
        (listed,) = await sessions.list()
        async with await sessions.open("s") as session:
            assert session.state == folded(kept)
            assert session.state.results.keys() == ended(kept), "a result was lost"
            assert (listed.messages, listed.turns) == (session.info.messages, session.info.turns)
            assert listed.usage == session.info.usage
            await session.append(more)
        async with await sessions.open("s") as session:
            assert session.state == folded([*kept, more])
            assert [session.info] == await sessions.list()


def ended(events: Sequence[AgentEvent]) -> set[str]:
    """The calls of a turn that is not over whose results are known."""
    calls: set[str] = set()
    for event in events:
        match event:
            case ToolExecutionEnd(call=call):
                calls.add(call.id)
            case MessageEnd(message=ToolMessage()):
                pass
            case MessageEnd() | TurnEnd():
                calls.clear()
            case _:
                pass
    return calls


@pytest.mark.parametrize("store", STORES)
@given(events=runs(), data=st.data())
def test_a_session_is_the_sum_of_its_events_and_a_fork_that_of_the_first_of_them(
    store: str, events: list[AgentEvent], data: st.DataObject
):
    with TemporaryDirectory() as folder:
        asyncio.run(write_and_fork(Path(folder), store, events, data))


async def write_and_fork(
    folder: Path, store: str, events: list[AgentEvent], data: st.DataObject
) -> None:
    async with STORES[store](folder) as sessions:
        async with await sessions.open("s") as session:
            for event in events:
                await session.append(event)
            assert session.state == folded(events)
            info = session.info
        assert [info] == await sessions.list()
        async with await sessions.open("s") as session:
            assert (session.state, session.info) == (folded(events), info)
        places = [place for place, each in enumerate(events) if isinstance(each, MessageEnd)]
        at = data.draw(st.integers(0, len(places)), label="at_message")
        async with await sessions.fork("s", at) as fork:
            assert fork.info.messages == at
            first = places[at - 1] + 1 if at else 0
            last = places[at] if at < len(places) else len(events)
            assert fork.state in [folded(events[:end]) for end in range(first, last + 1)]
            await fork.append(TurnStart(77))
            forked = fork.info
        async with await sessions.open(forked.id) as again:
            assert again.info == forked
        assert {each.id: each for each in await sessions.list()} == {"s": info, forked.id: forked}
