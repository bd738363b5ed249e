"""Sessions and processes: killed ones, two at once, and those that forked off."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from polyvox.agent import AgentEnd, ToolExecutionEnd
from polyvox.agent.sessions import SessionBusyError
from polyvox.errors import ConfigurationError
from polyvox.messages import Text, ToolCall
from polyvox.tools.result import ToolResult

from .session_rig import STORES, append_all, weather_run

CHILD = """
import asyncio, sys
from pathlib import Path
from polyvox.agent import *
from polyvox.agent.sessions import *
from polyvox.messages import *
from polyvox.tools.result import ToolResult

async def main():
    folder = Path(sys.argv[2])
    named = {"jsonl": (JsonlSessions, "sessions"), "sqlite": (SqliteSessions, "sessions.db")}
    make, name = named[sys.argv[1]]
    session = await make(folder / name).open("s")
    calls = [ToolCall(f"call-{n}", "f", {"n": n}) for n in range(3)]
    for event in (
        AgentStart("run", "agent"), TurnStart(1), MessageEnd(user("Go.")),
        MessageEnd(AssistantMessage(calls, "tool_calls")),
        *(ToolExecutionStart(call) for call in calls),
    ):
        await session.append(event)
    for call in (calls[2], calls[0]):
        await session.append(ToolExecutionEnd(call, ToolResult(content=[Text(call.id)])))
        print(call.id, flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@contextmanager
def child(store: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of three tool calls, two of which have their result."""
    command = [sys.executable, "-c", CHILD, store, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert [process.stdout.readline() for _ in range(2)] == ["call-2\n", "call-0\n"]
            yield process
        finally:
            process.kill()


def locks(folder: Path) -> list[Path]:
    return list(folder.rglob("*.lock"))


def reap(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.mark.parametrize("store", STORES)
async def test_after_kill_9_the_results_that_were_there_are_there(store: str, tmp_path: Path):
    with child(store, tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    async with STORES[store](tmp_path) as sessions, await sessions.open("s") as session:
        state = session.state
        assert {id: result.text for id, result in state.results.items()} == {
            "call-0": "call-0",
            "call-2": "call-2",
        }
        assert [call.id for call in state.unanswered] == ["call-0", "call-1", "call-2"]
        assert session.info.outcome == "running"
        await session.append(
            ToolExecutionEnd(ToolCall("call-1", "f"), ToolResult(content=[Text("late")]))
        )
        assert len(state.results) == 3


@pytest.mark.parametrize("store", STORES)
async def test_what_one_process_writes_no_other_may_write_and_anybody_read(
    store: str, tmp_path: Path
):
    with child(store, tmp_path) as process:
        async with STORES[store](tmp_path) as sessions:
            with pytest.raises(SessionBusyError, match=rf"'s' is open .* process {process.pid} on"):
                await sessions.open("s")
            with pytest.raises(SessionBusyError):
                await sessions.delete("s")
            assert [info.messages for info in await sessions.list()] == [2]
            assert "call-2" in await sessions.export("s")
            async with await sessions.fork("s", new_id="copy") as fork:
                assert fork.state.results.keys() == {"call-0", "call-2"}
            process.kill()
            process.wait()
            await (await sessions.open("s")).aclose()


@pytest.mark.parametrize("store", STORES)
async def test_a_session_is_open_once_and_closed_when_it_is_forgotten(store: str, tmp_path: Path):
    async with STORES[store](tmp_path) as sessions:
        session = await sessions.open("s")
        with pytest.raises(SessionBusyError, match="open already, in this process"):
            await sessions.open("s")
        del session
        session = await sessions.open("s")
        await session.aclose()
        await session.aclose()
        with pytest.raises(ConfigurationError, match="is closed"):
            await session.append(AgentEnd("done"))
    assert not locks(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("store", STORES)
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
async def test_a_process_that_forked_off_neither_writes_nor_keeps_the_session(
    store: str, tmp_path: Path
):
    sessions = STORES[store](tmp_path)
    session = await sessions.open("s")
    await session.append(weather_run()[0])
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:  # pragma: no cover
        try:
            session.append(weather_run()[1]).send(None)
        except ConfigurationError as error:
            os.write(writer, str(error).encode())
        finally:
            os.read(reader, 0)
            signal.pause()
            os._exit(0)
    try:
        assert b"before this process was forked off" in os.read(reader, 1_000)
        await session.aclose()
        async with await sessions.open("s") as again:  # the child is still there
            assert again.state.run_id == "run-1"
        await sessions.aclose()
    finally:
        reap(pid)
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("store", STORES)
async def test_a_lock_that_a_dead_process_left_behind_holds_nobody_off(store: str, tmp_path: Path):
    async with STORES[store](tmp_path) as sessions:
        await append_all(sessions, "s", weather_run())
    suffix = ".db.s.lock" if store == "sqlite" else "/s.lock"
    (tmp_path / f"sessions{suffix}").write_text("process 1 on elsewhere")
    async with STORES[store](tmp_path) as sessions, await sessions.open("s") as session:
        assert len(session.state.messages) == 4
