"""A journal that was cut off anywhere is read as far as it goes."""

import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.folders import Folder
from polyvox.gateway.journal.joining import Joiner
from polyvox.gateway.journal.lines import Ended, encode_line
from polyvox.gateway.journal.reading import Reader
from polyvox.gateway.journal.shipment import REFUSED, Shipment

from .rig import AT, Ledger, attempt, begun, ended, record, settle_all, shipping, small


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'gateway.db'}")
    database.open_now()
    yield database
    database.close()


def left(root: Path, name: str) -> Path:
    """The segment of a dead process with one call."""
    journal = Journal(root)
    record(journal, name)
    journal.close()
    (segment,) = journal.folder.path.glob("*.jsonl")
    return segment


def shipped(path: Path, database: Database) -> Shipment:
    shipment = Shipment(Folder(path), database)
    while not shipment.done:
        shipment.ship()
    return shipment


def test_a_last_line_torn_at_any_byte_is_as_if_it_had_not_been_written(
    tmp_path: Path, opened: Database
):
    last = len(encode_line(ended("c000")))
    for cut in range(1, last + 1):
        name = f"c{cut:03d}"
        segment = left(tmp_path / "j", name)
        whole = segment.read_bytes()
        segment.write_bytes(whole[:-cut])
        shipped(segment.parent, opened)
        status, nanos = Ledger(opened).calls()[name]
        assert nanos == 100
        # Without its line feed only, the line is whole.
        assert status == ("ok" if cut == 1 else "unsettled")
    assert len(Ledger(opened).calls()) == last


def test_a_segment_that_ends_in_a_torn_line_is_followed_by_the_next(tmp_path: Path):
    folder = Folder(tmp_path)
    folder.segment(1).write_bytes(encode_line(begun("a")) + encode_line(begun("b"))[:-20])
    folder.segment(2).write_bytes(encode_line(begun("b")))
    reader, joiner = Reader(folder, 1), Joiner()
    while lines := reader.read():
        joiner.read(lines, reader.segment)
        reader.pass_by(len(lines))
    assert list(joiner.open) == ["a", "b"]
    assert (reader.segment, reader.offset) == (2, folder.segment(2).stat().st_size)


def test_a_line_is_read_whole_however_little_is_read_at_once(tmp_path: Path):
    folder = Folder(tmp_path)
    lines = [encode_line(begun(f"c{number}", tags={"x": "y" * number})) for number in range(200)]
    folder.segment(1).write_bytes(b"".join(lines))
    reader, found = Reader(folder, 1), []
    while read := reader.read(50):
        found += read.splitlines(keepends=True)
        reader.pass_by(len(read))
    assert found == lines


def test_what_is_no_line_is_counted_and_the_rest_is_shipped(tmp_path: Path, opened: Database):
    segment = left(tmp_path / "j", "c1")
    begin, *rest = segment.read_bytes().splitlines(keepends=True)
    garbage = [b"\0" * 5000 + b"\n", b"\xff\n", b'{"is":"else"}\n', b'{"is":"begun"}\n']
    segment.write_bytes(begin + b"".join(garbage) + b"".join(rest))
    shipment = shipped(segment.parent, opened)
    assert shipment.joiner.torn == 4
    assert Ledger(opened).calls() == {"c1": ("ok", 100)}


def test_much_text_loses_no_line_but_the_torn_ones(tmp_path: Path):
    names = [f"c{number:03d}" for number in range(300)]
    lines = [encode_line(begun(name, tags={"x": "y" * 2000})) for name in names]
    lines[100] = encode_line(
        begun(names[100], tags={"x": "y" * 200_000})
    )  # longer than what is read at once
    lines[50] = lines[50][:700] + b"\n"
    lines[200] = lines[200][:500] + b"\0" * 500 + lines[200][1000:]
    joiner = Joiner()
    assert joiner.read(b"".join(lines), 1) == []
    assert list(joiner.open) == [name for name in names if name not in ("c050", "c200")]
    assert joiner.torn == 2
    ends = b"".join(encode_line(ended(name)) for name in names)
    assert [call.id for call in joiner.read(ends, 1)] == [
        name for name in names if name not in ("c050", "c200")
    ]
    assert (joiner.strays, joiner.open) == (2, {})


def test_a_tail_of_zeros_as_a_power_failure_leaves_it_is_no_line(tmp_path: Path, opened: Database):
    segment = left(tmp_path / "j", "c1")
    with segment.open("ab") as file:
        file.write(b"\0" * 3_000_000)
    shipped(segment.parent, opened)
    assert Ledger(opened).calls() == {"c1": ("ok", 100)}


def test_a_file_that_is_shorter_than_what_was_shipped_of_it_is_done(
    tmp_path: Path, opened: Database
):
    segment = left(tmp_path / "j", "c1")
    shipment = Shipment(Folder(segment.parent), opened)
    shipment.ship()
    segment.write_bytes(segment.read_bytes()[:100])
    shipped(segment.parent, opened)
    assert Ledger(opened).calls() == {"c1": ("ok", 100)}
    assert Ledger(opened).journals() == 0


def test_a_folder_that_is_shipped_twice_counts_once(tmp_path: Path, opened: Database):
    segment = left(tmp_path / "j", "c1")
    content = segment.read_bytes()
    shipped(segment.parent, opened)
    segment.parent.mkdir()
    segment.write_bytes(content)
    shipped(segment.parent, opened)
    ledger = Ledger(opened)
    assert ledger.calls() == {"c1": ("ok", 100)}
    assert ledger.balance() == 100


async def test_odd_text_is_no_obstacle(database: Database, tmp_path: Path):
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        journal.begin(begun("c1", tags={"a\0b": "\0"}, end_user="\0x", session="\0", model="\0"))
        journal.attempt("c1", attempt(2**70, response_model="\0", error="network"))
        journal.end(ended("c1"))
        record(journal, "c2")
        assert await shipper.drained(60)
        assert shipper.refused == 0
    assert Ledger(database).calls() == {"c1": ("ok", 2**63 - 1), "c2": ("ok", 100)}


async def test_a_call_that_the_database_refuses_is_put_aside_and_holds_nothing_up(
    database: Database, tmp_path: Path
):
    root = tmp_path / "j"
    dead = Journal(root, small())
    for number in range(5):
        record(dead, f"c{number}")
    dead.begin(begun("bad"))
    dead.end(ended("bad", 2**80))  # no column takes that
    record(dead, "c5")
    dead.close()
    shipper = await settle_all(root, database)
    assert sorted(Ledger(database).calls()) == [f"c{number}" for number in range(6)]
    assert Ledger(database).balance() == 600
    assert shipper.refused == 1
    assert shipper.refusal is not None
    assert "'bad'" in shipper.refusal
    assert len((root / REFUSED).read_bytes().splitlines()) == 2


@pytest.mark.parametrize("field", ["session", "model", "account"])
async def test_a_text_that_no_index_takes_holds_nothing_up(
    field: str, database: Database, tmp_path: Path
):
    odd = random.Random(7)
    text = "".join(odd.choice(string.ascii_letters) for _ in range(30_000))
    async with shipping(tmp_path / "j", database) as (journal, shipper):
        if field == "account":
            journal.begin(begun("long"))
            journal.end(Ended(id="long", at=AT, debits=[(text, 0, 1)]))
        else:
            journal.begin(begun("long", **{field: text}))
            journal.end(ended("long"))
        record(journal, "c1")
        assert await shipper.drained(60)
    assert "c1" in Ledger(database).calls()
    assert shipper.refused == ("long" not in Ledger(database).calls())
