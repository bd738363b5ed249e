"""What survives kill -9: every line is answered once, and nothing that was answered is asked again."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from polyvox.gateway.batches import rows
from polyvox.gateway.batches.bounds import Bounds
from polyvox.gateway.batches.files import Files
from polyvox.gateway.batches.shapes import FileQuery, NewBatch
from polyvox.gateway.batches.tables import files as files_table
from polyvox.gateway.database.engine import Database
from polyvox.testing import MockProvider
from unwatched import unwatched

from .conftest import ADA, jsonl, line

PROGRAM = Path(__file__).with_name("working.py")
LEASE = 60.0
"""More than a lease: after so long nobody holds the batch that a dead process worked on."""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database of a file, which the program opens, too."""
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    await database.open()
    yield database
    await database.aclose()


async def put(database: Database, folder: Path, data: bytes) -> str:
    """A batch of these lines; its id."""
    files = Files(database, folder / "files")
    files.path("file_in").write_bytes(data)
    values = files.values("file_in", ADA.organisation, ADA.key, len(data), 1e6)
    wanted = NewBatch(
        input_file_id="file_in", endpoint="/v1/chat/completions", completion_window="24h"
    )

    def work(connection):
        connection.execute(files_table.insert().values(values))
        return rows.created(connection, ADA, wanted, Bounds(), values["created"]).id

    return await database.run(work)


@asynccontextmanager
async def program(folder: Path, url: str = "http://127.0.0.1:1/v1", later: float = 0.0):
    """The program, killed if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(folder), url, str(later)),
        stdout=asyncio.subprocess.PIPE,
        env=unwatched(),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def outcome(database: Database, folder: Path, id: str):
    """The batch, and the lines of its output and of its errors."""
    batch = await database.run(lambda connection: rows.object_of(rows.found(connection, ADA, id)))
    texts = [
        (folder / "files" / each).read_text("utf-8") if each else ""
        for each in (batch.output_file_id, batch.error_file_id)
    ]
    good, bad = ([json.loads(each) for each in text.splitlines()] for text in texts)
    return batch, good, bad


async def test_after_a_kill_what_was_answered_stays_and_what_was_in_flight_is_asked_once_more(
    database, tmp_path, held, provider: MockProvider
):
    lines = [line(str(n), f"go {n}" if n < 40 else f"hold {n}") for n in range(80)]
    id = await put(database, tmp_path, jsonl(*lines))
    async with program(tmp_path, provider.url) as process:
        await held.wait_for(56)  # 16 at once: 40 are answered, so many hang
        process.kill()
        await process.wait()
    in_flight = {each for each in held.asked if each.startswith("hold")}
    held.release()
    async with program(tmp_path, provider.url, LEASE) as process:
        assert await process.wait() == 0
    batch, good, bad = await outcome(database, tmp_path, id)
    assert (batch.status, bad) == ("completed", [])
    assert [each["custom_id"] for each in good] == [str(n) for n in range(80)]
    assert batch.request_counts.completed == 80
    asked = Counter(held.asked)
    assert {text for text, count in asked.items() if count > 1} == in_flight
    assert max(asked.values()) == 2


async def test_a_line_at_which_the_gateway_died_twice_is_not_asked_a_third_time(
    database, tmp_path, held, provider: MockProvider
):
    id = await put(database, tmp_path, jsonl(line("a", "hold"), line("b", "go")))
    for n in (1, 2):
        async with program(tmp_path, provider.url, n * LEASE) as process:
            while held.asked.count("hold") < n:
                await held.wait_for(len(held.asked) + 1)
            await _answered(database, tmp_path)
            process.kill()
            await process.wait()
    held.release()
    async with program(tmp_path, provider.url, 3 * LEASE) as process:
        assert await process.wait() == 0
    _, good, bad = await outcome(database, tmp_path, id)
    assert [each["custom_id"] for each in good] == ["b"]
    assert [(each["custom_id"], each["error"]["code"]) for each in bad] == [("a", "interrupted")]
    assert Counter(held.asked) == {"hold": 2, "go": 1}


async def _answered(database: Database, folder: Path) -> None:
    """Until the answer to the line "b" is written down."""
    while not any(b"D 1 " in each.read_bytes() for each in (folder / "batches").iterdir()):  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("kills", [5])
async def test_however_often_and_whenever_it_is_killed_each_line_is_told_once(
    database, tmp_path, held, provider: MockProvider, kills
):
    count = 300
    id = await put(database, tmp_path, jsonl(*(line(str(n), f"go {n}") for n in range(count))))
    for n in range(kills):
        async with program(tmp_path, provider.url, n * LEASE) as process:
            await held.wait_for((n + 1) * 30)
            process.kill()
            await process.wait()
    async with program(tmp_path, provider.url, kills * LEASE) as process:
        assert await process.wait() == 0
    batch, good, bad = await outcome(database, tmp_path, id)
    assert batch.status == "completed"
    told = [each["custom_id"] for each in good] + [each["custom_id"] for each in bad]
    assert sorted(told, key=int) == [str(n) for n in range(count)]
    assert [each["custom_id"] for each in good] == sorted(
        (each["custom_id"] for each in good), key=int
    )
    assert {each["error"]["code"] for each in bad} <= {"interrupted"}
    assert max(Counter(held.asked).values()) <= 2
    listed = await Files(database, tmp_path / "files").page(ADA, FileQuery())
    names = {each.id for each in listed.data}
    assert names == {"file_in", batch.output_file_id, batch.error_file_id} - {None}


async def test_thousands_of_lines_are_answered_in_little_memory(database, tmp_path):
    """Of 30 MB of requests and more of answers only those under way are in memory."""
    lines = [line(str(n), "x" * 15_000) for n in range(2_000)]
    for each in lines:
        each["body"]["model"] = "simulated/echo"
    id = await put(database, tmp_path, jsonl(*lines))
    async with program(tmp_path) as process:
        assert process.stdout is not None
        used = json.loads(await process.stdout.read())["memory"]
        assert await process.wait() == 0
    batch, good, bad = await outcome(database, tmp_path, id)
    assert (batch.status, len(good), bad) == ("completed", 2_000, [])
    assert (tmp_path / "files" / (batch.output_file_id or "")).stat().st_size > 30_000_000
    assert used < 30_000_000
