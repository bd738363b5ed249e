"""The journal's own files: whole lines, bounded, on the disk, whatever goes wrong with the disk."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from polyvox.config.serving import JournalSection
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.folders import left_behind
from polyvox.gateway.journal.lines import Begun, decode_line
from polyvox.gateway.journal.segments import Segments

from .rig import attempt, begun, ended, lines_in, record, small, until


def test_lines_stand_in_the_file_as_soon_as_they_are_told(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection())
    record(journal, "c1")
    assert [type(line).__name__ for line in lines_in(tmp_path)] == ["Begun", "Attempted", "Ended"]
    assert journal.waiting_bytes == journal.folder.size() > 0
    journal.close()


def test_attempts_are_numbered_by_call(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection())
    for name in ("a", "b"):
        journal.begin(begun(name))
    for name in ("a", "b", "a"):
        journal.attempt(name, attempt())
    assert [(line.id, line.number) for line in lines_in(tmp_path)[2:]] == [
        ("a", 0),
        ("b", 0),
        ("a", 1),
    ]
    journal.close()


async def test_an_attempt_and_the_end_of_its_call_go_into_the_file_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    writes: list[bytes] = []
    write = Segments.write
    monkeypatch.setattr(
        Segments, "write", lambda self, line: (writes.append(line), write(self, line))
    )
    journal = Journal(tmp_path, JournalSection())
    record(journal, "c1")
    assert [data.count(b"\n") for data in writes] == [1, 2]
    assert [type(line).__name__ for line in lines_in(tmp_path)] == ["Begun", "Attempted", "Ended"]
    journal.close()


async def test_an_attempt_alone_is_written_when_the_step_of_the_loop_is_over(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection())
    journal.begin(begun("c1"))
    journal.attempt("c1", attempt())
    await asyncio.sleep(0)
    assert [type(line).__name__ for line in lines_in(tmp_path)] == ["Begun", "Attempted"]
    journal.attempt("c1", attempt())
    journal.close()
    assert [line.number for line in lines_in(tmp_path)[1:]] == [0, 1]
    assert journal.dropped == 0


async def test_the_attempts_of_a_step_are_written_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal = Journal(tmp_path, JournalSection())
    for name in ("a", "b", "c"):
        journal.begin(begun(name))
    writes: list[bytes] = []
    write = Segments.write
    monkeypatch.setattr(
        Segments, "write", lambda self, line: (writes.append(line), write(self, line))
    )
    for step in range(2):
        for name in ("a", "b", "c"):
            journal.attempt(name, attempt())
        assert len(writes) == step
        await asyncio.sleep(0)
    assert [data.count(b"\n") for data in writes] == [3, 3]
    journal.close()


def test_attempts_are_written_on_whichever_loop_they_are_told(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection())
    journal.begin(begun("c1"))

    async def tell() -> None:
        journal.attempt("c1", attempt())

    async def tell_and_go_on() -> None:
        await tell()
        await asyncio.sleep(0)
        assert len(lines_in(tmp_path)) == 3

    given_up = asyncio.new_event_loop()
    given_up.call_soon(given_up.stop)  # in the step in which the attempt is told
    task = given_up.create_task(tell())
    given_up.run_forever()
    assert task.done()
    assert len(lines_in(tmp_path)) == 1
    given_up.close()
    asyncio.run(tell_and_go_on())
    journal.close()


async def test_attempts_that_wait_for_a_line_outlive_a_disk_that_fails(tmp_path: Path):
    root = tmp_path / "root"
    root.write_text("no folder")
    journal = Journal(root, JournalSection(fsync_seconds=3600))
    record(journal, "c1")
    journal.begin(begun("c2"))
    journal.attempt("c2", attempt())
    await asyncio.sleep(0)
    root.unlink()
    journal.sync()
    told = [(type(line).__name__, line.id) for line in lines_in(root)]
    whole = [("Begun", "c1"), ("Attempted", "c1"), ("Ended", "c1")]
    assert told == [*whole, ("Begun", "c2"), ("Attempted", "c2")]
    assert journal.dropped == 0
    journal.close()


async def test_an_attempt_that_a_disk_never_took_is_counted(tmp_path: Path):
    journal = Journal(tmp_path / "root", JournalSection(fsync_seconds=3600))
    journal.begin(begun("c1"))
    journal.close()
    journal.attempt("c1", attempt())
    assert journal.dropped == 1


def test_a_segment_is_followed_by_another_when_it_is_full(tmp_path: Path):
    journal = Journal(tmp_path, small())
    for number in range(30):
        record(journal, f"c{number}")
    journal.close()
    sizes = [path.stat().st_size for path in tmp_path.glob("*/*.jsonl")]
    assert len(sizes) > 5
    assert max(sizes) < 1000 + 500
    assert len(lines_in(tmp_path)) == 90


def test_lines_of_many_threads_stay_whole(tmp_path: Path):
    journal = Journal(tmp_path, small(segment_bytes=20_000))
    threads = [
        threading.Thread(target=lambda n=n: [record(journal, f"{n}-{i}") for i in range(200)])
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert len(lines_in(tmp_path)) == 8 * 200 * 3
    assert journal.dropped == 0


def test_every_line_is_forced_onto_the_disk_at_once_where_that_is_wished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    forced: list[int] = []
    journal = Journal(tmp_path, JournalSection(fsync_seconds=0))
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (forced.append(os.fstat(file).st_size), real(file))
    )
    journal.begin(begun("c1"))
    size = journal.folder.size()
    assert size in forced
    journal.end(ended("c1"))
    assert journal.folder.size() > size
    assert journal.folder.size() in forced
    journal.close()


async def test_lines_are_forced_onto_the_disk_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    forced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (forced.append(os.fstat(file).st_size), real(file))
    )
    journal = Journal(tmp_path, JournalSection(fsync_seconds=0.01))
    record(journal, "c1")
    await until(lambda: journal.folder.size() in forced, what="an fsync")
    journal.close()


def test_what_closing_finds_is_forced_onto_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    forced: list[int] = []
    real = os.fsync
    journal = Journal(tmp_path, JournalSection(fsync_seconds=3600))
    record(journal, "c1")
    monkeypatch.setattr(
        os, "fsync", lambda file: (forced.append(os.fstat(file).st_size), real(file))
    )
    journal.close()
    assert journal.folder.size() in forced
    journal.begin(begun("late"))
    assert journal.dropped == 1


def test_a_caller_s_half_emoji_and_endless_tags_do_not_keep_a_call_out(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection())
    journal.begin(begun("half", end_user="\ud83d"))
    journal.begin(begun("endless", tags={"x": "y" * 10_000_000}, session="z" * 1_000_000))
    half, endless = lines_in(tmp_path)
    assert (half.end_user, endless.id, endless.tags) == ("\ufffd", "endless", {})
    assert endless.reserved == begun("endless").reserved
    assert journal.dropped == 0
    journal.close()


def test_nothing_that_stands_in_a_line_is_raised_into_a_call(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection())
    journal.begin(Begun(id="c1", at=0, model=object()))  # type: ignore[arg-type]
    assert journal.dropped == 1
    assert lines_in(tmp_path) == []
    journal.close()


def test_a_folder_that_cannot_be_made_is_told_and_tried_again(tmp_path: Path):
    root = tmp_path / "root"
    root.write_text("no folder")
    journal = Journal(root, JournalSection(fsync_seconds=3600))
    assert journal.failing is not None
    assert str(root) in journal.failing
    record(journal, "c1")
    root.unlink()
    journal.sync()
    assert journal.failing is None
    assert journal.dropped == 0
    assert len(lines_in(root)) == 3
    journal.close()


async def test_it_is_tried_again_without_any_call(tmp_path: Path):
    root = tmp_path / "root"
    root.write_text("no folder")
    journal = Journal(root, JournalSection())
    root.unlink()
    await until(lambda: journal.failing is None, what="well again")
    journal.close()


@pytest.mark.skipif(os.name == "nt", reason="a Unix's limits")
@pytest.mark.parametrize("room", [0, 1, 50, 777, 1500])
def test_on_a_full_disk_whole_lines_stand_and_nothing_is_lost_when_there_is_room_again(
    tmp_path: Path, room: int
):
    code = """
import resource, sys
from pathlib import Path
from polyvox.config.serving import JournalSection
from polyvox.gateway.journal.file import Journal
sys.path.insert(0, sys.argv[3])
from child import attempt, Begun, Ended
journal = Journal(Path(sys.argv[1]), JournalSection(fsync_seconds=3600))
was = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), was[1]))
for number in range(20):
    journal.begin(Begun(id=f"c{number}", at=0, model="m"))
    journal.attempt(f"c{number}", attempt(5))
    journal.end(Ended(id=f"c{number}", at=0))
print(journal.failing, journal.dropped, journal.folder.size())
journal.sync()
print(journal.failing is None)
resource.setrlimit(resource.RLIMIT_FSIZE, was)
journal.sync()
print(journal.failing, journal.dropped)
journal.close()
"""
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(room), here],
        capture_output=True,
        text=True,
        check=True,
    )
    full, still, again = done.stdout.splitlines()
    assert "can't be written" in full
    assert int(full.split()[-2]) == 0
    assert int(full.split()[-1]) <= room
    assert still == "False"
    assert again == "None 0"
    assert len(lines_in(tmp_path)) == 60
    assert all(path.read_bytes().endswith(b"\n") for path in tmp_path.glob("*/*.jsonl"))


def test_what_cannot_be_written_is_kept_within_bounds_and_counted_beyond(tmp_path: Path):
    root = tmp_path / "root"
    root.write_text("no folder")
    journal = Journal(root, JournalSection(fsync_seconds=3600))
    journal.begin(begun("first"))
    for number in range(20):
        journal.begin(begun(f"c{number}", tags={"x": "y" * 200_000}))
        journal.end(ended(f"c{number}"))
    journal.end(ended("first"))  # there is room for the end of what has begun
    dropped = journal.dropped
    assert 0 < dropped < 40
    assert dropped % 2 == 0  # of a call all lines, or none
    root.unlink()
    journal.sync()
    found = lines_in(root)
    assert len(found) == 42 - dropped
    assert {line.id for line in found if isinstance(line, Begun)} == {line.id for line in found}
    journal.close()
    assert journal.dropped == dropped


def test_what_is_never_written_is_counted_when_the_journal_is_closed(tmp_path: Path):
    root = tmp_path / "root"
    root.write_text("no folder")
    journal = Journal(root, JournalSection(fsync_seconds=3600))
    record(journal, "c1")
    assert journal.dropped == 0
    journal.close()
    assert journal.dropped == 3


def test_when_too_much_waits_for_the_database_calls_are_refused_whole(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection(max_bytes=1000))
    journal.begin(begun("open"))
    for number in range(10):
        record(journal, f"c{number}")
    journal.attempt("open", attempt())
    journal.end(ended("open"))
    assert journal.failing is not None
    assert "wait for the database" in journal.failing
    found = lines_in(tmp_path)
    assert len(found) + journal.dropped == 33
    names = {line.id for line in found}
    assert "open" in names
    assert len(found) == 3 * len(names)
    journal.shipped = journal.folder.size()
    assert journal.failing is None
    record(journal, "again")
    assert len(lines_in(tmp_path)) == len(found) + 3
    journal.close()


def test_where_calls_are_denied_one_that_was_let_in_before_is_recorded(tmp_path: Path):
    journal = Journal(tmp_path, JournalSection(max_bytes=1000, on_failure="deny"))
    while journal.failing is None:
        record(journal, "c1")
    record(journal, "late")
    assert journal.dropped == 0
    assert [line.id for line in lines_in(tmp_path)[-3:]] == ["late"] * 3
    journal.close()


def test_two_journals_never_write_into_one_folder_and_what_one_left_is_found(tmp_path: Path):
    one, two = Journal(tmp_path), Journal(tmp_path)
    record(one, "c1")
    record(two, "c2")
    assert left_behind(tmp_path) == []
    one.close()
    (found,) = left_behind(tmp_path)
    assert found.path == one.folder.path
    assert left_behind(tmp_path) == []  # it is taken
    found.unlock()
    two.close()


def test_other_people_s_folders_are_left_alone(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "000001.jsonl").write_text("x")
    assert left_behind(tmp_path) == []
    assert left_behind(tmp_path / "nowhere") == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_process_that_forked_off_writes_into_a_journal_of_its_own(tmp_path: Path):
    code = """
import os, sys
from pathlib import Path
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.lines import Begun
journal = Journal(Path(sys.argv[1]))
journal.begin(Begun(id="parent", at=0, model="m"))
child = os.fork()
journal.begin(Begun(id="child" if child == 0 else "parent again", at=0, model="m"))
journal.close()
if child:
    assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], check=True)
    found = sorted(
        [decode_line(line).id for line in path.read_bytes().splitlines()]
        for path in tmp_path.glob("*/*.jsonl")
    )
    assert found == [["child"], ["parent", "parent again"]]
    assert len(left_behind(tmp_path)) == 2


def test_files_are_for_their_owner_only(tmp_path: Path):
    journal = Journal(tmp_path / "root")
    record(journal, "c1")
    for path in journal.folder.path.iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert journal.folder.path.stat().st_mode & 0o077 == 0
    journal.close()


def test_a_journal_that_nobody_used_leaves_no_segment(tmp_path: Path):
    journal = Journal(tmp_path)
    journal.close()
    journal.close()
    assert left_behind(tmp_path) == []
    shutil.rmtree(journal.folder.path)
