"""A process that is told to stop lets calls go on, but not for ever."""

import signal
from contextlib import suppress

import pytest

from .conftest import Start


def test_it_says_where_it_listens_and_answers_there(start: Start, server: str):
    served = start(server=server)
    answer = served.get("/").rest()
    assert (answer["number"], answer["count"]) == (1, 1)


def test_no_server_names_itself(start: Start):
    # granian's own name can't be left out; the application's takes its place.
    assert "server" not in start(server="uvicorn").get("/").headers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_well(start: Start, server: str, number: int):
    served = start(server=server)
    served.signal(number)
    assert served.ended() == 0
    assert served.marked("closed-1")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_call_in_flight_is_finished_before_it_ends(start: Start, server: str, workers: int):
    served = start(server=server, workers=workers)
    answer = served.get("/hold")
    assert answer.line() == b"held\n"
    served.wait_for("held")
    served.signal(signal.SIGTERM)
    served.wait_until_it_drains()
    served.release()
    about = answer.rest()
    assert (about["draining"], about["cut"]) == (True, False)
    assert served.ended() == 0
    assert served.marked("closed-1")


def test_while_it_drains_nothing_new_is_accepted(start: Start, server: str):
    served = start(server=server)
    answer = served.get("/hold")
    answer.line()
    served.wait_for("held")
    served.signal(signal.SIGTERM)
    served.wait_until_it_drains()
    with suppress(ConnectionError):
        while served.get("/").headers is not None:  # until it has closed what it listens with
            pass
    served.release()
    answer.rest()
    assert served.ended() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_after_the_deadline_calls_end_with_what_they_have(start: Start, server: str, workers: int):
    served = start(server=server, workers=workers, drain_seconds=0.2)
    answer = served.get("/hold")
    answer.line()
    served.wait_for("held")
    served.signal(signal.SIGTERM)
    assert answer.rest()["cut"] is True
    assert served.ended() == 0
    assert served.marked("closed-1")


def test_a_call_that_does_not_end_at_all_does_not_keep_it_alive(start: Start, server: str):
    served = start(server=server, drain_seconds=0.1, cut_seconds=0.1)
    answer = served.get("/hang")
    answer.line()
    served.wait_for("hanging")
    served.signal(signal.SIGTERM)
    assert served.ended() == 0
    assert served.marked("closed-1")  # the application was closed all the same


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(start: Start, server: str, workers: int, number: int):
    served = start(server=server, workers=workers, drain_seconds=600)
    answer = served.get("/hang")
    answer.line()
    served.wait_for("hanging")
    served.signal(signal.SIGTERM)
    served.wait_until_it_drains("hanging")
    served.signal(number)
    assert served.ended() == 128 + number
    assert not served.marked("closed-1")


def test_sighup_reaches_the_application_and_ends_nothing(start: Start, server: str):
    served = start(server=server, workers=2)
    served.signal(signal.SIGHUP)
    served.wait_for("hangup-1")
    served.wait_for("hangup-2")
    assert served.get("/").rest()["draining"] is False


def test_what_the_application_refuses_is_told(start: Start, server: str):
    served = start("broken", server=server)
    assert served.first_line == "refused: this can't begin"
    assert served.ended() == 3


def test_workers_stop_when_the_one_that_watches_them_is_gone(start: Start):
    """A worker whose parent is gone would serve on an address that nobody can find."""
    served = start(workers=2)
    served.process.kill()
    served.process.wait(30)
    for number in (1, 2):
        served.wait_for(f"closed-{number}")
