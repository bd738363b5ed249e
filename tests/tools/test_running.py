"""Running a tool: limits, errors, cancellation, and what is left behind."""

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from polyvox.messages import ToolCall
from polyvox.model import Call
from polyvox.tools import ToolContext, ToolResult, ToolRetry, run_tool, tool
from polyvox.tools.threads import Threads


def context(**more: Any) -> ToolContext[Any]:
    return ToolContext(call=Call(), tool_call=ToolCall("c", "f"), deps=None, **more)


def raising(error: BaseException, *, threaded: bool) -> Any:
    def fails() -> str:
        raise error

    async def fails_here() -> str:
        raise error

    return tool(fails if threaded else fails_here, name="fails")


@pytest.mark.parametrize("threaded", [True, False])
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such city"), "ValueError: no such city"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError"),
        (TimeoutError("the service is slow"), "TimeoutError: the service is slow"),
        (SystemExit(3), "SystemExit: 3"),
        (asyncio.CancelledError(), "fails was cancelled"),
        (ExceptionGroup("many", [ValueError("a"), OSError("b")]), "ValueError: a; OSError: b"),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_whatever_a_tool_raises_is_told_to_the_model(
    error: BaseException, text: str, threaded: bool
):
    result = await run_tool(raising(error, threaded=threaded), {}, context())
    assert (result.text, result.is_error, result.retry) == (text, True, False)


async def test_a_stop_iteration_does_not_hang_the_loop():
    result = await run_tool(raising(StopIteration(), threaded=True), {}, context())
    assert result.text == "RuntimeError: the function raised StopIteration()"


async def test_a_result_that_has_no_json_is_an_error():
    @tool
    def f() -> object:
        return object()

    assert "TypeError: a object has no JSON" in (await run_tool(f, {}, context())).text


async def test_a_tool_may_ask_for_another_try_but_not_for_ever():
    made = tool(raising(ToolRetry("in English, please"), threaded=True), max_retries=2)
    results = [await run_tool(made, {}, context(attempt=attempt)) for attempt in (1, 2, 3)]
    assert [result.retry for result in results] == [True, True, False]
    assert all(result.is_error for result in results)
    assert results[0].text == "in English, please"
    assert results[2].text.startswith("in English, please\nThat was the last try")


async def test_a_coroutine_is_cancelled_at_its_timeout():
    cancelled = asyncio.Event()

    @tool(timeout=0.01)
    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    result = await run_tool(hangs, {}, context())
    assert result.text == "hangs took longer than 0.01 s, and was given up"
    assert result.is_error
    assert cancelled.is_set()


async def test_a_thread_is_left_behind_at_its_timeout():
    ended = threading.Event()

    @tool(timeout=0.01)
    def hangs() -> str:
        ended.wait(30)
        return "dropped"

    assert "given up" in (await run_tool(hangs, {}, context())).text
    ended.set()


async def test_a_thread_that_is_left_behind_is_told_so_and_tells_nothing_more():
    begun, seen = threading.Event(), threading.Event()
    told: list[ToolResult] = []

    @tool
    def goes_on(ctx: ToolContext[None]) -> None:
        begun.set()
        while not ctx.abandoned:
            pass
        ctx.update("too late")
        seen.set()

    task = asyncio.create_task(run_tool(goes_on, {}, context(on_update=told.append)))
    assert await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await asyncio.to_thread(seen.wait, 30)
    await asyncio.sleep(0)
    assert told == []


@pytest.mark.parametrize("threaded", [True, False])
async def test_our_own_cancellation_passes_on(threaded: bool):
    begun, ended = threading.Event(), threading.Event()

    @tool
    def in_thread() -> None:
        begun.set()
        ended.wait(30)

    @tool
    async def here() -> None:
        begun.set()
        await asyncio.Event().wait()

    given = context()
    task = asyncio.create_task(run_tool(in_thread if threaded else here, {}, given))
    assert await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert given.abandoned
    ended.set()


async def test_updates_from_a_thread_come_in_order_and_before_the_result():
    told: list[str] = []

    @tool
    def counts(ctx: ToolContext[None]) -> str:
        for n in range(50):
            ctx.update(f"{n}")
        return "done"

    result = await run_tool(counts, {}, context(on_update=lambda part: told.append(part.text)))
    assert (result.text, told) == ("done", [f"{n}" for n in range(50)])


class Together:
    """Counts how many are in it at once."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(3):
            await asyncio.sleep(0)
        self.now -= 1


@pytest.mark.parametrize(("limit", "most"), [(None, 6), (2, 2), (1, 1)])
async def test_so_many_calls_of_a_tool_run_at_once(limit: int | None, most: int):
    together = Together()
    made = tool(together, max_parallel=limit)
    again = made.renamed("again")  # the limit is that of both together
    await asyncio.gather(*(run_tool(each, {}, context()) for each in (made, again) * 3))
    assert together.most == most


def test_the_limit_holds_in_one_loop_after_another():
    made = tool(Together(), max_parallel=1)

    async def both() -> list[ToolResult]:
        return await asyncio.gather(*(run_tool(made, {}, context()) for _ in range(2)))

    for _ in range(2):
        assert not any(result.is_error for result in asyncio.run(both()))


async def test_functions_run_side_by_side_and_with_the_variables_of_the_caller():
    user = contextvars.ContextVar("user", default="nobody")
    user.set("ada")
    barrier = threading.Barrier(20)

    @tool
    def who() -> str:
        barrier.wait(30)  # passes only when all 20 are there at once
        return user.get()

    results = await asyncio.gather(*(run_tool(who, {}, context()) for _ in range(20)))
    assert {result.text for result in results} == {"ada"}


async def test_threads_are_used_again():
    threads = Threads()
    found = [await threads.run(threading.get_ident) for _ in range(20)]
    assert len(set(found)) < 20  # one may still be tidying up when the next work comes


async def test_there_are_no_more_threads_than_the_limit():
    threads, gate, seen = Threads(limit=2), threading.Event(), set[int]()
    begun = threading.Semaphore(0)

    def work() -> None:
        seen.add(threading.get_ident())
        begun.release()
        gate.wait(30)

    waiting = [asyncio.create_task(threads.run(work)) for _ in range(6)]
    for _ in range(2):
        assert await asyncio.to_thread(begun.acquire, timeout=30)
    gate.set()
    await asyncio.gather(*waiting)
    assert len(seen) == 2


async def test_work_that_was_cancelled_before_it_began_is_never_done():
    threads, gate = Threads(limit=1), threading.Event()
    done: list[str] = []

    def note(text: str) -> Callable[[], None]:
        return lambda: done.append(text)

    first = asyncio.create_task(threads.run(lambda: gate.wait(30)))
    second = asyncio.create_task(threads.run(note("second")))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    gate.set()
    await first
    await threads.run(note("third"))
    assert done == ["third"]


def full(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


async def test_where_no_thread_can_be_had_that_is_an_error(monkeypatch: pytest.MonkeyPatch):
    threads, done = Threads(), list[str]()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await threads.run(lambda: done.append("never"))
    await threads.run(lambda: done.append("later"))
    assert done == ["later"]


async def test_where_no_further_thread_can_be_had_the_others_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
):
    threads, gate, begun = Threads(), threading.Event(), threading.Event()
    first = asyncio.create_task(threads.run(lambda: (begun.set(), gate.wait(30))))
    await asyncio.sleep(0)
    assert begun.wait(30)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        second = asyncio.create_task(threads.run(lambda: "second"))
        await asyncio.sleep(0)
    gate.set()
    assert (await second, (await first)[1]) == ("second", True)


async def test_a_thread_without_work_ends():
    threads = Threads(linger=0.001)
    thread = await threads.run(threading.current_thread)
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()
    assert await threads.run(lambda: "again") == "again"


def test_a_function_that_hangs_does_not_hold_the_interpreter():
    code = """
import asyncio, threading
from polyvox.messages import ToolCall
from polyvox.model import Call
from polyvox.tools import ToolContext, run_tool, tool

@tool(timeout=0.01)
def hangs() -> None:
    threading.Event().wait()

async def main():
    context = ToolContext(call=Call(), tool_call=ToolCall("c", "hangs"), deps=None)
    print((await run_tool(hangs, {}, context)).is_error)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


async def test_where_a_tool_failed_is_logged_for_its_author(caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "polyvox.tools")
    await run_tool(raising(ValueError("no such city"), threaded=True), {}, context())
    await run_tool(raising(ToolRetry("another one, please"), threaded=True), {}, context())
    (record,) = caplog.records
    assert record.getMessage() == "the tool fails failed"
    assert "in fails\n    raise error" in caplog.text
