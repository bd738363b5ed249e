"""Several workers behind one address."""

import signal
from contextlib import suppress

import pytest

from .conftest import Served, Start


def numbers(served: Served, wanted: int) -> dict[int, int]:
    """The pids of the workers by number, asked until so many have answered."""
    found: dict[int, int] = {}
    while len(found) < wanted:
        about = served.get("/").rest()
        found[about["number"]] = about["pid"]
    return found


def test_each_worker_knows_its_number_and_how_many_there_are(start: Start, server: str):
    served = start(server=server, workers=3)
    assert set(numbers(served, 3)) == {1, 2, 3}
    assert served.get("/").rest()["count"] == 3


def test_whoever_waits_for_the_interpreter_gets_it_within_a_millisecond(start: Start, server: str):
    assert start(server=server).get("/").rest()["turn"] <= 0.001


def test_a_worker_that_dies_is_replaced(start: Start, server: str):
    served = start(server=server, workers=2)
    before = numbers(served, 2)
    (served.folder / "began-1").unlink()
    (served.folder / "began-2").unlink()
    with suppress(OSError):
        served.get("/die").line()
    served.wait_for("began-1", "began-2")
    gone = next(number for number in before if served.marked(f"began-{number}"))
    after = numbers(served, 2)
    assert after[gone] != before[gone]
    assert sum(before[number] == after[number] for number in before) == 1
    served.signal(signal.SIGTERM)
    assert served.ended() == 0


@pytest.mark.parametrize("mode", ["broken", "second-broken"])
def test_a_worker_that_can_not_begin_ends_them_all_with_its_reason(start: Start, mode: str):
    served = start(mode, workers=2)
    assert served.first_line == "refused: this can't begin"
    assert served.ended() == 3
