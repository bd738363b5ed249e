"""How a task stands, and how that is asked."""

import asyncio
import threading

import pytest

from polyvox import Interrupt
from polyvox.agent.tasks import TaskStatus, TaskStatusType
from polyvox.agent.tasks.status import MOST_FEEDBACK, StatusAsker
from polyvox.errors import AbortedError, ConfigurationError, RequestTimeoutError
from polyvox.model import Call


def test_a_status_is_done_until_there_is_an_error():
    status = TaskStatus()
    status.diagnostic("12 tests ran")
    assert status.is_done
    status.error("2 tests fail")
    assert (status.is_done, status.status) == (False, TaskStatusType.INCOMPLETE)


def test_a_status_made_with_errors_is_not_done():
    assert not TaskStatus(errors=["2 tests fail"]).is_done


def test_an_error_counts_however_it_came_to_the_status():
    status = TaskStatus()
    status.errors.append("2 tests fail")
    assert not status.is_done
    assert "not done yet" in status.feedback()


def test_two_statuses_do_not_share_their_errors():
    TaskStatus().error("2 tests fail")
    assert TaskStatus().errors == []


def test_the_feedback_names_each_error_and_each_diagnostic():
    status = TaskStatus(errors=["2 tests fail", "no docs"], diagnostics=["12 tests ran"])
    assert status.feedback() == (
        "The task is not done yet.\n"
        "Errors:\n- 2 tests fail\n- no docs\n"
        "Diagnostics:\n- 12 tests ran"
    )


def test_the_feedback_of_a_task_that_is_done_says_so():
    assert TaskStatus().feedback() == "The task is done."


def test_feedback_too_long_for_a_model_keeps_both_ends_and_says_what_is_left_out():
    text = TaskStatus(errors=["x" * MOST_FEEDBACK + "THE END"]).feedback()
    assert text.startswith("The task is not done yet.")
    assert text.endswith("THE END")
    assert "characters left out" in text
    assert len(text) < MOST_FEEDBACK + 100


async def ask(
    function: object, interrupt: Interrupt | None = None, seconds: float | None = None
) -> TaskStatus:
    call = Call.timeout(seconds, interrupt)
    return await StatusAsker(function, call).ask()  # type: ignore[arg-type]


async def test_a_plain_function_is_called_in_a_thread_of_its_own():
    threads: list[threading.Thread] = []

    def status(initial: bool) -> TaskStatus:
        threads.append(threading.current_thread())
        return TaskStatus()

    assert (await ask(status)).is_done
    assert threads != [threading.current_thread()]


async def test_a_coroutine_function_is_called_in_the_loop():
    async def status(initial: bool) -> TaskStatus:
        assert threading.current_thread() is threading.main_thread()
        return TaskStatus(errors=["no"])

    assert (await ask(status)).errors == ["no"]


async def test_a_function_that_returns_a_coroutine_is_awaited():
    async def later() -> TaskStatus:
        return TaskStatus(errors=["no"])

    assert (await ask(lambda initial: later())).errors == ["no"]


async def test_an_object_whose_call_is_a_coroutine_is_called_in_the_loop():
    class Status:
        async def __call__(self, initial: bool) -> TaskStatus:
            assert threading.current_thread() is threading.main_thread()
            return TaskStatus()

    assert (await ask(Status())).is_done


@pytest.mark.parametrize("error", [ValueError("no such file"), StopIteration(), SystemExit(2)])
async def test_whatever_the_function_raises_is_an_error_of_the_status(error: BaseException):
    def status(initial: bool) -> TaskStatus:
        raise error

    found = await ask(status)
    assert not found.is_done
    assert type(error).__name__ in found.errors[0]


async def test_a_check_that_was_cancelled_inside_is_an_error_of_the_status():
    async def status(initial: bool) -> TaskStatus:
        raise asyncio.CancelledError

    assert "cancelled" in (await ask(status)).errors[0]


async def test_a_function_that_answers_no_status_is_a_mistake_of_the_program():
    with pytest.raises(ConfigurationError, match="answered bool"):
        await ask(lambda initial: True)


async def test_an_interrupt_does_not_wait_for_a_function_that_hangs():
    interrupt, release, begun = Interrupt(), threading.Event(), threading.Event()

    def status(initial: bool) -> TaskStatus:
        begun.set()
        release.wait()
        return TaskStatus()

    asked = asyncio.create_task(ask(status, interrupt))
    await asyncio.to_thread(begun.wait)
    interrupt.set("the user pressed stop")
    with pytest.raises(AbortedError, match="the user pressed stop"):
        await asked
    release.set()


async def test_an_interrupt_does_not_wait_for_a_coroutine_that_does_not_heed_it():
    interrupt, release = Interrupt(), asyncio.Event()

    async def status(initial: bool) -> TaskStatus:
        interrupt.set("stop")
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        return TaskStatus()

    with pytest.raises(AbortedError, match="stop"):
        await ask(status, interrupt)
    release.set()
    await asyncio.sleep(0)


async def test_nobody_is_asked_after_an_interrupt():
    interrupt = Interrupt()
    interrupt.set("stop")
    with pytest.raises(AbortedError):
        await ask(lambda initial: pytest.fail("it was asked"), interrupt)


async def test_a_status_is_not_waited_for_when_the_time_is_over():
    cancelled = asyncio.Event()

    async def status(initial: bool) -> TaskStatus:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return TaskStatus()

    with pytest.raises(RequestTimeoutError):
        await ask(status, seconds=0.01)
    await cancelled.wait()


async def test_cancelling_the_asking_cancels_the_function():
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def status(initial: bool) -> TaskStatus:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return TaskStatus()

    asked = asyncio.create_task(ask(status))
    await begun.wait()
    asked.cancel()
    await cancelled.wait()
    assert (await asyncio.gather(asked, return_exceptions=True))[0].__class__.__name__ == (
        "CancelledError"
    )
