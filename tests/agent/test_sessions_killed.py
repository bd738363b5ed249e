"""Sessions and processes: killed ones, two at once, and those that forked off."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from polyvox.agent import AgentEnd, ToolExecutionEnd
from polyvox.agent.sessions import JsonlSessions, SessionBusyError, SqliteSessions, lock
from polyvox.agent.sessions.lock import SessionLock
from polyvox.errors import ConfigurationError
from polyvox.messages import Text, ToolCall
from polyvox.tools.result import ToolResult

from .rig import agent_of
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


def test_a_lock_whose_file_is_taken_away_while_it_is_made_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "s.lock"
    lock_file, steps = lock._locked, iter([path.unlink])  # pyright: ignore[reportPrivateUsage]

    def locked(file: int) -> bool:
        next(steps, lambda: None)()  # whoever held it lets go just now
        return lock_file(file)

    monkeypatch.setattr(lock, "_locked", locked)
    held = SessionLock(path, "s")
    with pytest.raises(SessionBusyError):
        SessionLock(path, "s")
    held.release()
    SessionLock(path, "s").release()
    assert not locks(tmp_path)


RUN = """
import asyncio, sys
from pathlib import Path
from polyvox.agent import *
from polyvox.agent.sessions import *
from polyvox.messages import *
from polyvox.providers.simulated import ScriptedModel
from polyvox.tools import tool

@tool
async def work(n: int) -> str:
    if n == 1:
        await asyncio.Event().wait()
    return f"done {n}"

async def main():
    asks = AssistantMessage([ToolCall(f"call-{n}", "work", {"n": n}) for n in range(3)], "tool_calls")
    agent = Agent(ScriptedModel([asks]), tools=[work])
    session = await JsonlSessions(sys.argv[1]).open("s")
    async with agent.stream("Go.", session=session) as run:
        async for event in run:
            if isinstance(event, ToolExecutionEnd):
                print(event.result.text, flush=True)

asyncio.run(main())
"""


async def test_a_run_killed_in_the_middle_of_its_tools_resumes_with_those_not_done(tmp_path: Path):
    killed_in_the_middle(tmp_path)
    ran: list[int] = []

    def work(n: int) -> str:
        ran.append(n)
        return f"done {n}, later"

    async with JsonlSessions(tmp_path) as sessions, await sessions.open("s") as session:
        async with agent_of(["All is done."], tools=[work]) as agent:
            result = await agent.resume(session)
        assert ran == [1]
        texts = [each.content[0].text for each in result.messages[2:]]  # type: ignore[union-attr]
        assert texts == ["done 0", "done 1, later", "done 2", "All is done."]
        assert session.info.outcome == "done"


def killed_in_the_middle(folder: Path) -> None:
    """A run of three tool calls, killed when the first and the last are done."""
    command = [sys.executable, "-c", RUN, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert {process.stdout.readline() for _ in range(2)} == {"done 0\n", "done 2\n"}
        finally:
            process.kill()


BUSY = """
import asyncio, sys
from pathlib import Path
from polyvox.agent import *
from polyvox.agent.sessions import *
from polyvox.messages import user

async def main():
    async with SqliteSessions(sys.argv[1]) as sessions:
        print(flush=True)
        sys.stdin.readline()
        async with await sessions.open(sys.argv[2]) as session:
            for number in range(30):
                await session.append(MessageEnd(user(str(number))))

asyncio.run(main())
"""


async def test_processes_write_their_sessions_into_one_database_at_once(tmp_path: Path):
    path = tmp_path / "sessions.db"
    assert write_at_once(path, 4) == [0] * 4
    async with SqliteSessions(path) as sessions:
        assert [info.messages for info in await sessions.list()] == [30] * 4


def write_at_once(path: Path, count: int) -> list[int]:
    """Start so many processes, let them all go on a new database when all are ready; how they end."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", BUSY, str(path), f"s{number}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(count)
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.communicate()
        return [process.returncode for process in processes]
