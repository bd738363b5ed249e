"""How much goes to the database at once."""

from pathlib import Path

from polyvox.gateway.database.engine import Database
from polyvox.gateway.journal.file import Journal
from polyvox.gateway.journal.shipment import Shipment

from .rig import AT, Ledger, attempt, begun, ended, record


async def test_a_short_batch_has_everything_that_was_written_before(
    database: Database, tmp_path: Path
):
    journal = Journal(tmp_path / "j")
    shipment = Shipment(journal.folder, database, journal, clock=lambda: AT)
    for number in range(3):
        record(journal, f"c{number}")
    assert shipment.ship() == 3
    assert shipment.caught_up
    assert shipment.until == AT
    journal.close()


async def test_a_full_batch_leaves_open_whether_there_is_more(database: Database, tmp_path: Path):
    journal = Journal(tmp_path / "j")
    shipment = Shipment(journal.folder, database, journal, clock=lambda: AT, most=500)
    for number in range(10):
        record(journal, f"c{number}")
    assert 0 < shipment.ship() < 10
    assert not shipment.caught_up
    assert shipment.until is None
    journal.close()


async def test_a_closed_journal_is_followed_to_its_end(database: Database, tmp_path: Path):
    journal = Journal(tmp_path / "j")
    shipment = Shipment(journal.folder, database, journal)
    record(journal, "c0")
    journal.begin(begun("open"))
    journal.close()
    assert shipment.ship() == 1
    assert not shipment.caught_up
    assert shipment.ship() == 1
    assert shipment.done
    assert Ledger(database).calls()["open"][0] == "unsettled"


async def test_many_calls_keep_what_they_share_and_what_they_do_not(
    database: Database, tmp_path: Path
):
    journal = Journal(tmp_path / "j")
    shipment = Shipment(journal.folder, database, journal)
    for number in range(100):
        name = f"c{number:03}"
        journal.begin(begun(name, tags={"number": str(number)}))
        journal.attempt(name, attempt(number))
        journal.end(ended(name, number))
    assert shipment.ship() == 100
    wanted = {f"c{number:03}": ("ok", number) for number in range(100)}
    assert Ledger(database).calls() == wanted
    assert Ledger(database).attempts() == {(name, 0): n for name, (_, n) in wanted.items()}
    journal.close()


async def test_of_calls_of_which_some_are_there_already_the_others_are_written(
    database: Database, tmp_path: Path
):
    """As with a folder that was copied while its process went on."""
    first, second = Journal(tmp_path / "j"), Journal(tmp_path / "j")
    for number in range(40):
        record(first, f"c{number}")
    for number in range(20, 100):
        record(second, f"c{number}")
    record(second, "c0\0")
    record(second, "c99")
    for journal, shipped in ((first, 40), (second, 82)):
        assert Shipment(journal.folder, database, journal).ship() == shipped
        journal.close()
    ledger = Ledger(database)
    names = {f"c{number}" for number in range(100)} | {"c0\ufffd"}
    assert ledger.calls() == dict.fromkeys(names, ("ok", 100))
    assert ledger.attempts() == {(name, 0): 100 for name in names}
    assert ledger.balance() == 100 * 101


async def test_a_number_that_no_column_holds_is_bounded_in_its_call_alone(
    database: Database, tmp_path: Path
):
    journal = Journal(tmp_path / "j")
    shipment = Shipment(journal.folder, database, journal)
    for number in range(50):
        record(journal, f"c{number}")
    journal.begin(begun("much"))
    journal.attempt("much", attempt(2**64))
    journal.attempt("much", attempt(2**63 - 1))
    journal.end(ended("much"))
    assert shipment.ship() == 51
    journal.close()
    assert shipment.refused == 0
    found = Ledger(database).attempts()
    assert found["much", 0] == found["much", 1] == Ledger(database).calls()["much"][1] == 2**63 - 1
    assert sum(found.values()) == 2 * (2**63 - 1) + 50 * 100
