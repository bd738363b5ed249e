import threading

import pytest

from polyvox.errors import BadRequestError
from polyvox.messages import AssistantMessage, assistant
from polyvox.model import Call, Interrupt


def test_what_is_left_is_made_once_at_the_first_look_of_whoever_looks_first():
    made: list[AssistantMessage] = []

    def make() -> AssistantMessage:
        made.append(assistant("so far"))
        return made[-1]

    outer = Call()
    inner = outer.child()
    assert inner.partial is outer.partial is None
    inner.leave(make)
    assert made == []
    assert outer.partial is inner.partial is made[0]
    assert len(made) == 1


def test_an_interrupt_calls_its_listeners_once_with_the_first_reason():
    interrupt, heard = Interrupt(), []
    interrupt.listen(lambda: heard.append(interrupt.reason))
    interrupt.set("first")
    interrupt.set("second")
    assert heard == ["first"]
    assert interrupt.is_set


def test_listening_to_a_thrown_interrupt_hears_it_at_once():
    interrupt, heard = Interrupt(), []
    interrupt.set()
    interrupt.listen(lambda: heard.append(1))
    assert heard == [1]


def test_a_listener_taken_off_hears_nothing():
    interrupt, heard = Interrupt(), []
    interrupt.listen(lambda: heard.append(1))()
    interrupt.set()
    assert heard == []


def test_a_listener_may_touch_the_interrupt_itself():
    interrupt, heard = Interrupt(), []

    def listener() -> None:
        interrupt.set("again")
        interrupt.listen(lambda: heard.append("nested"))

    interrupt.listen(listener)
    interrupt.set()
    assert heard == ["nested"]


def test_racing_threads_fire_each_listener_exactly_once():
    for _ in range(200):
        interrupt, heard = Interrupt(), []
        gate = threading.Barrier(3)

        def throw(interrupt: Interrupt = interrupt, gate: threading.Barrier = gate) -> None:
            gate.wait()
            interrupt.set()

        threads = [threading.Thread(target=throw) for _ in range(2)]
        for thread in threads:
            thread.start()
        gate.wait()
        interrupt.listen(lambda heard=heard: heard.append(1))
        for thread in threads:
            thread.join()
        assert heard == [1]


def test_calls_have_ids_of_their_own():
    assert Call().id != Call().id
    assert Call.timeout(None).deadline is None
    assert Call.timeout(5).deadline is not None


def test_a_timeout_is_a_number():
    with pytest.raises(BadRequestError, match="timeout is a str; give seconds"):
        Call.timeout("5")
