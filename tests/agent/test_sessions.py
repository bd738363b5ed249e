"""Sessions in files and in a database: kept, listed, forked, deleted; and files that are not right."""

import asyncio
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from polyvox.agent import (
    AgentEnd,
    AgentEvent,
    AgentStart,
    Compacted,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    Session,
    ToolExecutionEnd,
    TurnStart,
)
from polyvox.agent.sessions import JsonlSessions, SessionBusyError, Sessions, SqliteSessions
from polyvox.errors import BadRequestError, ConfigurationError, NotFoundError
from polyvox.events import TextDelta
from polyvox.messages import Text, ToolCall, user
from polyvox.tools.result import ToolResult
from polyvox.usage import ZERO_USAGE, Cost

from .rig import agent_of, calls
from .session_rig import STORES, USAGE, answer, append_all, folded, turn, weather_run


@pytest.fixture(params=STORES)
async def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sessions]:
    async with STORES[request.param](tmp_path) as sessions:
        yield sessions


def rights(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


# ----------------------------------------------------------------------------------- kept and told


async def test_a_session_that_was_closed_goes_on_where_it_stood(sessions: Sessions):
    await append_all(sessions, "ada", weather_run())
    async with await sessions.open("ada") as session:
        assert session.state == folded(weather_run())
        assert [type(each).__name__ for each in session.state.messages] == [
            "UserMessage",
            "AssistantMessage",
            "ToolMessage",
            "AssistantMessage",
        ]


async def test_a_run_of_an_agent_is_kept_and_the_next_one_knows_it(sessions: Sessions):
    def f() -> str:
        return "forty-two"

    model_plays = [calls("f"), "It is forty-two.", "I said: forty-two."]
    agent = agent_of(model_plays, tools=[f], name="oracle")
    async with await sessions.open("ada") as session:
        kept: Session = session  # what agents take
        await agent.run("What is the answer?", session=kept)
    async with await sessions.open("ada") as session:
        result = await agent.run("Again?", session=session)
    assert result.text == "I said: forty-two."
    assert len(agent.model.requests[-1].messages) == 5
    (info,) = await sessions.list()
    assert (info.agent, info.turns, info.messages) == ("oracle", 3, 6)
    await agent.aclose()


async def test_a_list_tells_what_each_session_is_about_newest_first(sessions: Sessions):
    await append_all(sessions, "one", weather_run("Is it\n raining " + "in Oslo, " * 20))
    await append_all(sessions, "two", [AgentStart("r", "editor"), MessageEnd(user("Hi."))])
    new, old = await sessions.list()
    assert (new.id, new.title, new.agent, new.outcome) == ("two", "Hi.", "editor", "running")
    assert old.title == "Is it raining in Oslo, in Oslo, in Oslo, in Oslo, in Oslo, ..."
    assert (old.id, old.agent, old.turns, old.messages) == ("one", "forecaster", 2, 4)
    assert old.usage == USAGE + USAGE
    assert old.cost == Cost("known", nanos=3_000_000)
    assert old.outcome == "done"
    assert old.created <= old.updated <= new.updated


async def test_an_id_is_made_up_when_none_is_given(sessions: Sessions):
    async with await sessions.open() as one, await sessions.open() as two:
        assert one.id != two.id
    assert {info.id for info in await sessions.list()} == {one.id, two.id}


@pytest.mark.parametrize("id", ["ada/2", "../x", ".", "..", "a.b", "über uns", "C:\\x", "%2F"])
async def test_any_short_text_is_an_id(sessions: Sessions, id: str):
    await append_all(sessions, id, weather_run())
    assert [info.id for info in await sessions.list()] == [id]
    async with await sessions.open(id) as session:
        assert len(session.state.messages) == 4


@pytest.mark.parametrize("id", ["", "x" * 300, "half \ud800"])
async def test_what_can_be_no_name_of_a_file_is_no_id(sessions: Sessions, id: str):
    with pytest.raises(ConfigurationError, match="can't be a session's id"):
        await sessions.open(id)


async def test_events_that_no_state_is_made_of_are_not_written(sessions: Sessions):
    async with await sessions.open("s") as session:
        before = session.info
        await session.append(MessageStart(user("Hi.")))
        await session.append(MessageUpdate(TextDelta(0, "Hi")))
        assert session.info == before


async def test_what_a_tool_gave_to_the_program_is_kept_whatever_it_is(sessions: Sessions):
    round_about: list[Any] = []
    round_about.append(round_about)
    for place, details in enumerate([{"x": [1]}, {1, 2}, object(), round_about, "\ud800", 2**99]):
        result = ToolResult(content=[Text("ok \udc00")], details=details)
        async with await sessions.open(f"s{place}") as session:
            await session.append(ToolExecutionEnd(ToolCall("c", "f"), result))
    async with await sessions.open("s0") as session:
        assert session.state.results["c"].details == {"x": [1]}
    async with await sessions.open("s3") as session:
        assert session.state.results["c"].details == "[[...]]"
        assert session.state.results["c"].text == "ok \N{REPLACEMENT CHARACTER}"
    async with await sessions.open("s5") as session:
        assert session.state.results["c"].details == 2**99


async def test_after_a_compaction_the_state_is_short_and_the_export_whole(sessions: Sessions):
    short = Compacted(4, [user("They spoke of rain.")], 900, 9)
    await append_all(sessions, "s", [*weather_run(), short])
    async with await sessions.open("s") as session:
        assert session.state.messages == [user("They spoke of rain.")]
        assert session.info.messages == 4
        text = await sessions.export(session)
    for part in ("## User\n\nIs it raining", "Sunny in Oslo.", "They spoke of rain."):
        assert text.count(part) == 1
    assert "from about 900 tokens to 9" in text


# -------------------------------------------------------------------------------- fork and delete


async def test_a_fork_has_the_first_messages_and_what_ended_with_them(sessions: Sessions):
    more = [AgentStart("run-2", "forecaster"), TurnStart(3), MessageEnd(user("And in Bergen?"))]
    await append_all(sessions, "s", [*weather_run(), *more])
    async with await sessions.fork("s", at_message=4, new_id="copy") as fork:
        assert fork.state == folded(weather_run())
        assert (fork.info.outcome, fork.info.parent) == ("done", "s")
    async with await sessions.open("s") as original:
        assert len(original.state.messages) == 5


async def test_what_is_copied_costs_nothing_a_second_time(sessions: Sessions):
    await append_all(sessions, "s", weather_run())
    async with await sessions.fork("s", new_id="copy") as fork:
        assert fork.info.usage == ZERO_USAGE
        for event in turn(3, answer("Rain.")):
            await fork.append(event)
    copy, original = await sessions.list()
    assert (copy.usage, original.usage) == (USAGE, USAGE + USAGE)


@pytest.mark.parametrize("at", [5, -1])
async def test_a_fork_at_a_message_that_is_not_there_is_refused(sessions: Sessions, at: int):
    await append_all(sessions, "s", weather_run())
    with pytest.raises(ConfigurationError, match=rf"at_message is {at}; .* has 4 messages"):
        await sessions.fork("s", at_message=at, new_id="copy")
    assert [info.id for info in await sessions.list()] == ["s"]


async def test_a_fork_takes_no_session_place(sessions: Sessions):
    await append_all(sessions, "s", weather_run())
    await append_all(sessions, "other", [])
    with pytest.raises(ConfigurationError, match="new_id is 'other'"):
        await sessions.fork("s", new_id="other")
    async with await sessions.open("other") as other:
        assert other.state.messages == []
        with pytest.raises(SessionBusyError):
            await sessions.fork("s", new_id="other")


async def test_a_session_that_was_deleted_is_gone(sessions: Sessions):
    await append_all(sessions, "s", weather_run())
    await sessions.delete("s")
    assert await sessions.list() == []
    for use in (sessions.delete, sessions.fork, sessions.export):
        with pytest.raises(NotFoundError, match="there is no session 's'"):
            await use("s")
    await append_all(sessions, "s", [MessageEnd(user("Anew."))])
    async with await sessions.open("s") as session:
        assert session.state.messages == [user("Anew.")]


# ---------------------------------------------------------------------------- closing, cancelling


async def test_closing_the_store_closes_its_sessions(sessions: Sessions):
    session = await sessions.open("s")
    await sessions.aclose()
    await sessions.aclose()
    with pytest.raises(ConfigurationError, match="is closed"):
        await session.append(AgentEnd("done"))
    with pytest.raises(ConfigurationError, match="are closed"):
        await sessions.list()
    await session.aclose()


async def test_a_session_that_nobody_waits_for_any_more_is_not_left_open(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
):
    storage: Any = sessions._storage  # pyright: ignore[reportPrivateUsage]
    reads, go_on = threading.Event(), threading.Event()
    read = storage.read

    def slowly(id: str) -> Any:
        reads.set()
        go_on.wait()
        return read(id)

    monkeypatch.setattr(storage, "read", slowly)
    opening = asyncio.ensure_future(sessions.open("s"))
    await asyncio.to_thread(reads.wait)
    opening.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    del opening
    await sessions.list()  # comes after it
    async with await sessions.open("s") as session:
        assert session.state.messages == []


async def test_an_append_that_is_cancelled_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with SqliteSessions(tmp_path / "s.db") as sessions:
        session = await sessions.open("s")
        go_on = threading.Event()
        sessions._worker.submit(go_on.wait)  # pyright: ignore[reportPrivateUsage]
        appending = asyncio.ensure_future(session.append(MessageEnd(user("One."))))
        await asyncio.sleep(0)
        appending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await appending
        go_on.set()
        await session.append(MessageEnd(user("Two.")))
        assert session.state.messages == [user("One."), user("Two.")]
        await session.aclose()
        async with await sessions.open("s") as again:
            assert again.state.messages == [user("One."), user("Two.")]


async def test_sessions_outlive_the_event_loop_that_opened_them(tmp_path: Path):
    def elsewhere(work: Any) -> Any:
        return asyncio.run(work)

    for make in STORES.values():
        sessions = make(tmp_path)
        session = await asyncio.to_thread(elsewhere, sessions.open("s"))
        await asyncio.to_thread(elsewhere, session.append(MessageEnd(user("Hi."))))
        await session.append(MessageEnd(user("Ho.")))
        assert session.info.messages == 2
        await sessions.aclose()


# ------------------------------------------------------------------------------------------- files


async def test_only_the_owner_may_read_them(sessions: Sessions, tmp_path: Path):
    async with await sessions.open("s") as session:
        await session.append(AgentStart("r"))
        assert {0o600, 0o700} >= set(rights(tmp_path).values())


def cut_everywhere(folder: Path) -> dict[int, int]:
    """How many messages are there after a cut at each byte, by the number of whole lines."""
    path = folder / "s.jsonl"
    whole = path.read_bytes()
    found: dict[int, set[int]] = {}
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        messages, listed = asyncio.run(opened(folder))
        assert messages == listed
        found.setdefault(whole[:cut].count(b"\n"), set()).add(messages)
    assert all(len(each) == 1 for each in found.values())
    return {lines: each.pop() for lines, each in found.items()}


async def opened(folder: Path) -> tuple[int, int]:
    async with JsonlSessions(folder) as sessions:
        (info,) = await sessions.list()
        async with await sessions.open("s") as session:
            return len(session.state.messages), info.messages


def test_a_file_may_end_anywhere(tmp_path: Path):
    events = [AgentStart("r"), MessageEnd(user("One.")), MessageEnd(user("Two.")), AgentEnd("done")]
    asyncio.run(append_all(JsonlSessions(tmp_path), "s", events))
    assert cut_everywhere(tmp_path) == {0: 0, 1: 0, 2: 0, 3: 1, 4: 2, 5: 2}


def test_lines_are_only_ever_added(tmp_path: Path):
    path = tmp_path / "s.jsonl"
    asyncio.run(append_all(JsonlSessions(tmp_path), "s", weather_run()))
    before, file = path.read_bytes(), path.stat().st_ino
    asyncio.run(append_all(JsonlSessions(tmp_path), "s", weather_run()))
    assert path.read_bytes().startswith(before)
    assert path.stat().st_ino == file


def test_a_message_stands_in_a_file_once(tmp_path: Path):
    end = AgentEnd("done", [answer("No, the sun shines.")])
    asyncio.run(append_all(JsonlSessions(tmp_path), "s", [*weather_run()[:-1], end]))
    written = (tmp_path / "s.jsonl").read_bytes()
    assert written.count(b"No, the sun shines.") == 1


async def test_a_list_reads_of_a_long_file_only_its_ends(tmp_path: Path):
    path = tmp_path / "s.jsonl"
    async with JsonlSessions(tmp_path) as sessions:
        await append_all(sessions, "s", [*weather_run(), *turn(3, answer("Long. " * 50_000))])
        (info,) = await sessions.list()
        damage(path, path.stat().st_size // 2)
        assert await sessions.list() == [info]
        with pytest.raises(ConfigurationError, match=r"s\.jsonl: line \d+ is damaged"):
            await sessions.open("s")
        await sessions.delete("s")
        assert await sessions.list() == []


@pytest.mark.parametrize("before", [[], weather_run()])
async def test_a_list_is_right_however_long_the_turn_that_is_under_way(
    tmp_path: Path, before: list[AgentEvent]
):
    async with JsonlSessions(tmp_path) as sessions:
        long = [MessageEnd(user("x" * size)) for size in (9_000, 200_000, 16_000, 40)]
        await append_all(sessions, "s", [*before, *long])
        (info,) = await sessions.list()
        async with await sessions.open("s") as session:
            assert session.info == info
        assert info.messages == len(folded(before).messages) + 4


def damage(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b'"')


async def test_a_full_disk_leaves_no_half_line_and_the_state_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = os.write
    async with JsonlSessions(tmp_path) as sessions, await sessions.open("s") as session:
        await session.append(MessageEnd(user("One.")))
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda file, data: whole(file, data[:7]))
            with pytest.raises(ConfigurationError, match=r"can't write session 's': .* no space"):
                await session.append(MessageEnd(user("Two.")))
        assert session.state.messages == [user("One.")]
        await session.append(MessageEnd(user("Three.")))
        await session.aclose()
        async with await sessions.open("s") as again:
            assert again.state.messages == [user("One."), user("Three.")]
            assert again.info.messages == 2


async def test_a_database_that_fails_leaves_the_state_as_it_was(tmp_path: Path):
    path = tmp_path / "s.db"
    async with SqliteSessions(path) as sessions, await sessions.open("s") as session:
        await session.append(MessageEnd(user("One.")))
        execute(path, "INSERT INTO entries SELECT session, number + 1, entry FROM entries")
        with pytest.raises(ConfigurationError, match="can't write session 's': UNIQUE"):
            await session.append(MessageEnd(user("Two.")))
        assert session.state.messages == [user("One.")]
        execute(path, "DELETE FROM entries WHERE number = 1")
        await session.append(MessageEnd(user("Three.")))
        assert session.state.messages == [user("One."), user("Three.")]


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


# -------------------------------------------------------------------- other times, other programs

NEWER = (b'"version":1', b'"version":2')


def change(path: Path, old: bytes, new: bytes) -> None:
    path.write_bytes(path.read_bytes().replace(old, new, 1))


async def test_a_file_of_a_newer_version_is_refused_and_listed_with_the_reason(tmp_path: Path):
    async with JsonlSessions(tmp_path) as sessions:
        await append_all(sessions, "s", weather_run())
        await append_all(sessions, "fine", weather_run())
        change(tmp_path / "s.jsonl", *NEWER)
        with pytest.raises(ConfigurationError, match=r"newer Polyvox: its format is 2, .* knows 1"):
            await sessions.open("s")
        infos = {info.id: info for info in await sessions.list()}
        assert infos["fine"].error == ""
        assert "its format is 2" in infos["s"].error


async def test_a_row_of_a_newer_version_is_refused_and_listed_with_the_reason(tmp_path: Path):
    path = tmp_path / "s.db"
    async with SqliteSessions(path) as sessions:
        await append_all(sessions, "s", weather_run())
        newer = '{"format":"polyvox-session","version":2}'
        execute(path, f"UPDATE sessions SET header = CAST('{newer}' AS BLOB)")
        with pytest.raises(ConfigurationError, match="its format is 2"):
            await sessions.open("s")
        (info,) = await sessions.list()
        assert (info.id, "its format is 2" in info.error) == ("s", True)


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path):
    path = tmp_path / "s.db"
    async with SqliteSessions(path) as sessions:
        await append_all(sessions, "s", [])
    execute(path, "PRAGMA user_version = 2")
    async with SqliteSessions(path) as sessions:
        with pytest.raises(ConfigurationError, match="newer Polyvox: its schema is 2"):
            await sessions.list()


@pytest.mark.parametrize(
    "text",
    [b"{}\n", b"no JSON\n", b'{"format":"other","version":1}\n', b"\xff\n", b"{}", b"\x00" * 9],
)
async def test_what_is_no_session_is_not_touched(tmp_path: Path, text: bytes):
    path = tmp_path / "s.jsonl"
    path.write_bytes(text)
    async with JsonlSessions(tmp_path) as sessions:
        with pytest.raises(ConfigurationError, match="is no session"):
            await sessions.open("s")
        assert "is no session" in (await sessions.list())[0].error
    assert path.read_bytes() == text


async def test_a_file_under_another_name_is_refused(tmp_path: Path):
    async with JsonlSessions(tmp_path) as sessions:
        await append_all(sessions, "s", [])
        (tmp_path / "s.jsonl").rename(tmp_path / "t.jsonl")
        with pytest.raises(ConfigurationError, match="is session 's', not 't'"):
            await sessions.open("t")
        (listed,) = await sessions.list()
        assert (listed.id, "is session 's', not 't'" in listed.error) == ("t", True)


async def test_a_session_whose_file_has_gone_says_so_and_its_state_stays(
    sessions: Sessions, tmp_path: Path
):
    async with await sessions.open("s") as session:
        await session.append(MessageEnd(user("One.")))
        shutil.rmtree(tmp_path)
        with pytest.raises(ConfigurationError, match=r"can't write session 's': .*No such file"):
            await session.append(MessageEnd(user("Two.")))
        assert session.state.messages == [user("One.")]


async def test_who_took_the_lock_away_can_write_but_lines_never_mix(
    sessions: Sessions, tmp_path: Path
):
    async with await sessions.open("s") as one:
        await one.append(MessageEnd(user("One.")))
        for folder, _, files in os.walk(tmp_path):
            for lock in (name for name in files if name.endswith(".lock")):
                os.unlink(os.path.join(folder, lock))
        async with await sessions.open("s") as two:
            await two.append(MessageEnd(user("Two.")))
            with pytest.raises(ConfigurationError, match="can't write session 's'"):
                await one.append(MessageEnd(user("Three.")))
            await two.append(MessageEnd(user("Four.")))
            await two.aclose()
    async with await sessions.open("s") as session:
        assert session.state.messages == [user("One."), user("Two."), user("Four.")]


async def test_where_ids_that_differ_in_case_are_one_file_only_the_right_one_is_deleted(
    tmp_path: Path,
):
    async with JsonlSessions(tmp_path) as sessions:
        await append_all(sessions, "Ada", weather_run())
        (tmp_path / "ada.jsonl").hardlink_to(tmp_path / "Ada.jsonl")  # as such systems see it
        with pytest.raises(ConfigurationError, match="is session 'Ada', not 'ada'"):
            await sessions.delete("ada")
        async with await sessions.open("Ada") as session:
            assert session.state == folded(weather_run())


async def test_half_a_character_is_kept_as_the_sign_for_it(sessions: Sessions):
    half = "half \ud83d!"
    said = answer(half, ToolCall("1", "f", {half: half}))
    result = ToolResult(content=[Text(half)], details={half: half})
    run = [AgentStart("r", "a"), *turn(1, said, result), AgentEnd("done", [], half)]
    await append_all(sessions, "s", [*run[:2], MessageEnd(user(half)), *run[2:]])
    assert (await sessions.list())[0].title == "half \ufffd!"
    async with await sessions.open("s") as session:
        assert session.state.messages[0] == user("half \ufffd!")
        assert len(session.state.messages) == 3


async def test_an_event_that_nobody_knows_is_named(tmp_path: Path):
    async with JsonlSessions(tmp_path) as sessions:
        await append_all(sessions, "s", weather_run())
        change(tmp_path / "s.jsonl", b"turn_start", b"turn_begin")
        with pytest.raises(ConfigurationError, match=r"session 's': entry 2 is no event"):
            await sessions.open("s")


async def test_another_programs_database_is_not_touched(tmp_path: Path):
    foreign, text = tmp_path / "foreign.db", tmp_path / "text.db"
    execute(foreign, "CREATE TABLE sessions (x)")
    text.write_text("This is no database, and long enough to be none. " * 10)
    before = foreign.read_bytes(), text.read_bytes()
    for path in (foreign, text):
        async with SqliteSessions(path) as sessions:
            with pytest.raises(ConfigurationError, match="holds no sessions"):
                await sessions.open("s")
    assert (foreign.read_bytes(), text.read_bytes()) == before


async def test_a_directory_that_is_none_is_told(tmp_path: Path):
    (tmp_path / "sessions").write_text("")
    (tmp_path / "sessions.db").mkdir()
    for make in STORES.values():
        async with make(tmp_path) as sessions:
            with pytest.raises(ConfigurationError, match="can't use the sessions"):
                await sessions.open("s")


async def test_a_format_that_there_is_not_is_told(sessions: Sessions):
    await append_all(sessions, "s", [])
    with pytest.raises(BadRequestError, match="format is 'pdf'; it may be 'markdown' or 'html'"):
        await sessions.export("s", "pdf")  # type: ignore[arg-type]


def test_an_entry_with_an_info_can_be_found_from_the_end(tmp_path: Path):
    asyncio.run(append_all(JsonlSessions(tmp_path), "s", weather_run()))
    lines = (tmp_path / "s.jsonl").read_bytes().splitlines()
    marked = [line.startswith(b'{"info":') for line in lines]
    assert marked == ["info" in msgspec.json.decode(line) for line in lines]
    assert sum(marked) == 3
