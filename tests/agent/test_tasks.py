"""Tasks: attempts, what the model is told between them, how a user cuts in, and how it all ends."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from polyvox import Image, Interrupt
from polyvox.agent import Agent, MessageEnd, MessageUpdate, RunLimits, RunState
from polyvox.agent.tasks import (
    AttemptEnd,
    AttemptStart,
    CompletionFramework,
    CompletionResult,
    PhraseDetector,
    TaskStatus,
    ToolDetector,
    UserInterrupts,
    run_until_done,
    run_until_done_sync,
)
from polyvox.assembly import failed
from polyvox.errors import (
    AbortedError,
    ConfigurationError,
    PolyvoxError,
    RateLimitError,
    RunLimitError,
)
from polyvox.events import Event
from polyvox.messages import AssistantMessage, Text, ToolCall, UserMessage, user
from polyvox.model import Call
from polyvox.request import Request
from polyvox.tools import ToolResult, tool
from polyvox.usage import Cost, Usage
from polyvox.waiting import Waiter

from .rig import agent_of, calls
from .task_rig import Asked, Halting, Never, answered, line, roles, text_of, while_halted


@tool
async def step() -> str:
    """Do a step."""
    return "did it"


@tool
async def forever() -> str:
    """Wait until it is cancelled."""
    await asyncio.Event().wait()
    return "never"


# ------------------------------------------------------------------------------ attempts


async def test_the_events_of_a_task_are_those_of_its_runs_between_those_of_its_attempts():
    framework = CompletionFramework(agent_of([calls("step"), "Hm.", "TASK COMPLETE"], tools=[step]))
    async with framework.stream("Go.", Asked("no")) as task:
        events = [event async for event in task]
    assert line(events) == (
        "attempt_start:1 agent_start turn_start ts:step te:step turn_end turn_start turn_end"
        " agent_end:done attempt_end:done:unasked"
        " attempt_start:2 agent_start turn_start turn_end agent_end:done attempt_end:done:done"
        " task_end:done"
    )
    assert task.result.outcome == "done"


async def test_a_task_that_is_done_at_the_start_has_no_attempt():
    async with CompletionFramework(agent_of(["x"])).stream("Go.", Asked()) as task:
        assert line([event async for event in task]) == "task_end:done"


async def test_each_attempt_begins_with_what_is_known_of_the_status():
    framework = CompletionFramework(agent_of(["TASK COMPLETE", "TASK COMPLETE"]))
    async with framework.stream("Go.", Asked("one", "two")) as task:
        events = [event async for event in task]
    starts = [each.status.errors for each in events if isinstance(each, AttemptStart)]
    ends = [each.status and each.status.errors for each in events if isinstance(each, AttemptEnd)]
    assert (starts, ends) == ([["one"], ["two"]], [["two"], []])


async def test_the_messages_of_the_events_are_the_conversation():
    framework = CompletionFramework(agent_of(["Hm.", "TASK COMPLETE"]))
    async with framework.stream("Go.", Asked("no")) as task:
        told = [event.message async for event in task if isinstance(event, MessageEnd)]
        assert told == task.state.messages == task.result.messages


async def test_a_result_is_not_there_before_the_end():
    async with CompletionFramework(agent_of(["TASK COMPLETE"])).stream("Go.", Asked("no")) as task:
        with pytest.raises(RuntimeError, match="not over"):
            _ = task.result


async def test_leaving_a_task_ends_what_it_does_and_keeps_the_conversation():
    model = Halting(None)
    async with CompletionFramework(Agent(model)).stream("Go.", Asked("no")) as task:
        async for event in task:
            if isinstance(event, MessageUpdate):
                break
    assert model.left
    assert roles(task.state.messages) == "U U"
    with pytest.raises(RuntimeError, match="not over"):
        _ = task.result


async def test_usage_and_cost_are_those_of_all_attempts():
    usage = Usage(10, 5, cost=Cost("known", nanos=100))
    script = [
        AssistantMessage([Text(text)], usage=usage) for text in ("Hm.", "Hm.", "TASK COMPLETE")
    ]
    result = await run_until_done(agent_of(script), "Go.", Asked("no"))
    assert (result.attempts, result.usage.total_tokens) == (3, 45)
    assert result.cost == Cost("known", nanos=300)


async def test_exhausted_asks_for_the_status_a_last_time():
    """A model that did it and never said so has done it."""
    result = await run_until_done(agent_of(["Hm.", "Hm."]), "Go.", Asked("no"), max_attempts=2)
    assert result.outcome == "done"


async def test_no_attempts_at_all_are_a_mistake():
    with pytest.raises(ConfigurationError, match="max_attempts is 0"):
        await run_until_done(agent_of(["x"]), "Go.", Asked("no"), max_attempts=0)


async def test_one_framework_serves_tasks_at_once():
    framework = CompletionFramework(agent_of([{"message": {"content": "Hm."}, "repeat": True}]))
    framework.max_attempts = 3
    results = await asyncio.gather(*(framework.run(f"Do {n}.", Never()) for n in range(5)))
    assert [text_of(each.messages[0]) for each in results] == [f"Do {n}." for n in range(5)]
    assert [each.attempts for each in results] == [3] * 5


async def test_a_task_goes_on_where_another_has_stopped():
    state = RunState()
    agent = agent_of(["Hm.", "TASK COMPLETE"])
    first = await run_until_done(agent, "Go.", Never(), max_attempts=1, state=state)
    assert first.outcome == "exhausted"
    assert first.state is state
    second = await run_until_done(agent, None, Asked("no"), state=first.state)
    assert (second.outcome, second.attempts) == ("done", 1)
    assert roles(second.messages) == "U U A U A"


async def test_calls_that_an_earlier_run_has_left_are_carried_out_first():
    state = RunState(agent="agent", messages=[user("Go."), calls("step")], turns=1)
    result = await run_until_done(
        agent_of(["TASK COMPLETE"], tools=[step]), None, Asked("no"), state=state
    )
    assert (result.outcome, roles(result.messages)) == ("done", "U AC T U A")


class Late:
    """A model that answers at the deadline, with an error."""

    name = "test/late"

    async def stream(self, request: Request, call: Call) -> AsyncGenerator[Event]:
        try:
            with Waiter(call) as waiter:
                await waiter.until(time.monotonic() + 1000)
        except PolyvoxError as error:
            yield failed(error)


class Kept:
    """A session in memory."""

    id = "kept"

    def __init__(self) -> None:
        self.state = RunState()
        self.events: list[Any] = []

    async def append(self, event: Any) -> None:
        self.events.append(event)
        self.state.apply(event)


async def test_the_session_holds_the_whole_conversation():
    session, interrupts = Kept(), UserInterrupts()
    model = Halting("Hm.", None)
    task = run_until_done(Agent(model), "Go.", Asked("no"), interrupts=interrupts, session=session)
    result = await while_halted(model, task, lambda: interrupts.send("I did it."))
    assert result.state is session.state
    again = RunState()
    for event in session.events:
        again.apply(event)
    assert again.messages == result.messages
    assert roles(again.messages) == "U U A U A U"


async def test_a_prompt_may_be_messages():
    agent = agent_of(["TASK COMPLETE"])
    result = await run_until_done(agent, ["What is this?", Image(url="x://y")], Asked("no"))
    assert roles(result.messages) == "U U A"
    assert len(result.messages[0].content) == 2


def test_a_task_runs_in_code_that_is_not_asynchronous():
    agent = agent_of(["Hm.", "TASK COMPLETE"])
    result = run_until_done_sync(agent, "Go.", Asked("no"), max_attempts=5)
    assert (result.outcome, result.attempts, result.text) == ("done", 2, "TASK COMPLETE")


# ------------------------------------------------------------------------------ after each turn


async def test_a_turn_that_does_it_ends_the_task():
    agent = agent_of([calls("step"), calls("step")], tools=[step])
    result = await run_until_done(agent, "Go.", Asked("no"), check_each_turn=True)
    assert (result.outcome, len(agent.model.requests)) == ("done", 1)
    assert answered(result.messages)


async def test_a_status_that_stays_the_same_is_told_once():
    script = [calls("step"), calls("step"), "TASK COMPLETE"]
    status = Asked("no", "no", "no")
    result = await run_until_done(
        agent_of(script, tools=[step]), "Go.", status, check_each_turn=True
    )
    assert roles(result.messages) == "U U AC T AC T A"
    assert (result.outcome, status.calls) == ("done", [True, False, False, False])


async def test_an_answer_without_a_marker_is_followed_by_the_news_and_a_nudge():
    agent = agent_of(["Hm.", "Hm."])
    result = await run_until_done(
        agent, "Go.", Asked("one", "two"), check_each_turn=True, max_attempts=2
    )
    assert roles(result.messages) == "U U A U A"
    assert "- two" in text_of(result.messages[3])
    assert "write TASK COMPLETE" in text_of(result.messages[3])


async def test_feedback_to_a_turn_whose_tool_ends_the_attempt_is_told_once():
    complete = calls(ToolCall("c", "task_complete", {"summary": "x"}))
    result = await run_until_done(
        agent_of([complete, complete]),
        "Go.",
        Asked("one", "two"),
        check_each_turn=True,
        detector=ToolDetector(),
    )
    assert (result.outcome, roles(result.messages)) == ("done", "U U AC T U AC T")
    assert result.state.steering == []


async def test_feedback_that_a_tool_has_kept_from_the_model_is_told_with_the_nudge():
    @tool
    async def pause() -> ToolResult:
        """End the run."""
        return ToolResult(content=[Text("ok")], terminate=True)

    agent = agent_of([calls("pause"), "TASK COMPLETE"], tools=[pause])
    result = await run_until_done(agent, "Go.", Asked("one", "two"), check_each_turn=True)
    assert (result.outcome, roles(result.messages)) == ("done", "U U AC T U A")
    assert "- two" in text_of(result.messages[4])


async def test_a_status_function_of_the_wrong_kind_ends_a_run_under_way():
    answers = iter([TaskStatus(errors=["no"]), None])
    agent = agent_of([calls("step"), "never said"], tools=[step])
    result = await run_until_done(
        agent,
        "Go.",
        lambda initial: next(answers),  # type: ignore[arg-type, return-value]
        check_each_turn=True,
    )
    assert result.outcome == "error"
    assert isinstance(result.error, ConfigurationError)
    assert len(agent.model.requests) == 1
    assert answered(result.messages)


# ------------------------------------------------------------------------------ the user cuts in


async def test_a_message_ends_a_tool_at_once():
    interrupts = UserInterrupts()
    begun = asyncio.Event()

    @tool
    async def hang() -> str:
        """Hang."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    agent = agent_of([calls("hang"), "TASK COMPLETE"], tools=[hang])
    task = asyncio.create_task(
        run_until_done(agent, "Go.", Asked("no", "no"), interrupts=interrupts)
    )
    await begun.wait()
    interrupts.send("Don't.")
    result = await task
    assert (result.outcome, roles(result.messages)) == ("done", "U U AC T U U A")
    assert answered(result.messages)


async def test_a_message_may_come_from_another_thread():
    model, interrupts = Halting(None, "TASK COMPLETE"), UserInterrupts()
    task = run_until_done(Agent(model), "Go.", Asked("no", "no"), interrupts=interrupts)
    sender = threading.Thread(target=interrupts.send, args=["From elsewhere."])
    result = await while_halted(model, task, sender.start)
    sender.join()
    assert text_of(result.messages[3]) == "From elsewhere."
    assert result.outcome == "done"


async def test_a_message_without_words_stops_the_model_and_asks_for_the_status():
    model, status = Halting(None), Asked("no")
    interrupts = UserInterrupts()
    task = run_until_done(Agent(model), "Go.", status, interrupts=interrupts)
    result = await while_halted(model, task, lambda: interrupts.send(""))
    assert (result.outcome, roles(result.messages)) == ("done", "U U A")
    assert status.calls == [True, False]


@pytest.mark.parametrize("content", [(), ("",), (" \n",), ("", "")])
def test_nothing_but_blanks_is_a_stop_without_words(content: tuple[str, ...]):
    interrupts = UserInterrupts()
    interrupts.send(*content)
    assert (interrupts.take(), interrupts.take()) == ([], None)


async def test_a_stop_without_words_is_followed_by_the_status():
    model, interrupts = Halting(None, "TASK COMPLETE"), UserInterrupts()
    task = run_until_done(Agent(model), "Go.", Asked("no", "still"), interrupts=interrupts)
    result = await while_halted(model, task, interrupts.send)
    assert roles(result.messages) == "U U A U A"
    assert "- still" in text_of(result.messages[3])


async def test_messages_between_attempts_are_read_before_the_next_one():
    interrupts = UserInterrupts()

    class Talking(Asked):
        def __call__(self, initial: bool) -> TaskStatus:
            if len(self.calls) == 1:
                interrupts.send("One thing.")
                interrupts.send("Another.", Image(url="x://y"))
            return super().__call__(initial)

    status = Talking("no", "no", "no")
    agent = agent_of(["TASK COMPLETE", "TASK COMPLETE"])
    result = await run_until_done(agent, "Go.", status, interrupts=interrupts)
    assert (result.outcome, result.attempts) == ("done", 2)
    assert roles(agent.model.requests[1].messages) == "U U A U U U U"
    assert [text_of(each) for each in result.messages[4:6]] == ["One thing.", "Another."]
    assert status.calls == [True, False, False, False]


async def test_a_message_during_the_first_check_is_read_by_the_first_attempt():
    interrupts = UserInterrupts()
    interrupts.send("Be quick.")
    agent = agent_of(["TASK COMPLETE"])
    result = await run_until_done(agent, "Go.", Asked("no", "no"), interrupts=interrupts)
    texts = [text_of(message) for message in agent.model.requests[0].messages]
    assert texts[2] == "Be quick."
    assert result.outcome == "done"


async def test_a_message_during_the_last_attempt_is_answered_all_the_same():
    model, interrupts = Halting(None, "TASK COMPLETE"), UserInterrupts()
    task = run_until_done(
        Agent(model), "Go.", Asked("no", "no"), interrupts=interrupts, max_attempts=1
    )
    result = await while_halted(model, task, lambda: interrupts.send("Go on."))
    assert (result.outcome, result.attempts) == ("done", 2)


async def test_a_message_that_nobody_reads_any_more_stays_in_the_conversation():
    interrupts = UserInterrupts()

    class Talking(Asked):
        def __call__(self, initial: bool) -> TaskStatus:
            if self.calls:
                interrupts.send("Thanks.")
            return super().__call__(initial)

    result = await run_until_done(
        agent_of(["TASK COMPLETE"]), "Go.", Talking("no"), interrupts=interrupts
    )
    assert (result.outcome, roles(result.messages)) == ("done", "U U A U")
    assert text_of(result.messages[-1]) == "Thanks."
    assert interrupts.take() is None


async def test_a_message_during_a_check_of_a_turn_ends_the_attempt():
    interrupts = UserInterrupts()

    class Talking(Asked):
        def __call__(self, initial: bool) -> TaskStatus:
            if len(self.calls) == 1:
                interrupts.send("Stop.")
            return super().__call__(initial)

    agent = agent_of([calls("step"), "TASK COMPLETE"], tools=[step])
    result = await run_until_done(
        agent, "Go.", Talking("a", "b", "c"), interrupts=interrupts, check_each_turn=True
    )
    assert (result.outcome, result.attempts) == ("done", 2)
    assert answered(result.messages)
    assert result.state.steering == []


async def test_a_message_during_a_tool_is_not_held_up_by_the_check_of_its_turn():
    interrupts = UserInterrupts()

    @tool
    async def talk() -> str:
        """Cut in, and go on."""
        interrupts.send("Stop.")
        await asyncio.Event().wait()
        return ""

    status = Asked("no", "no")
    agent = agent_of([calls("talk"), "TASK COMPLETE"], tools=[talk])
    result = await run_until_done(agent, "Go.", status, interrupts=interrupts, check_each_turn=True)
    assert (result.outcome, roles(result.messages)) == ("done", "U U AC T U U A")
    assert status.calls == [True, False, False]


async def test_a_stop_whose_message_somebody_else_has_read_ends_the_task():
    interrupts = UserInterrupts()

    @tool
    async def steal() -> str:
        """Cut in, and take it back."""
        interrupts.send("Stop.")
        interrupts.take()
        await asyncio.Event().wait()
        return ""

    result = await run_until_done(
        agent_of([calls("steal")], tools=[steal]), "Go.", Never(), interrupts=interrupts
    )
    assert (result.outcome, answered(result.messages)) == ("aborted", True)


async def test_what_is_said_while_calls_wait_for_an_approval_comes_after_their_results():
    interrupts = UserInterrupts()

    @tool(needs_approval=True)
    async def publish() -> str:
        """Publish it."""
        return "published"

    agent = agent_of([calls("publish"), "TASK COMPLETE"], tools=[publish])
    async with CompletionFramework(agent).stream("Go.", Asked("no"), interrupts=interrupts) as task:
        async for event in task:
            if event.__struct_config__.tag == "approval_needed":
                task.send("Is it good?")
    state = task.result.state
    assert (task.result.outcome, roles(state.messages)) == ("suspended", "U U AC")
    state.approvals["call-publish"] = True
    second = await run_until_done(agent, None, Asked("no"), state=state)
    assert roles(second.messages) == "U U AC T U U A"
    assert "Is it good?" in [text_of(message) for message in second.messages]


# ------------------------------------------------------------------------------ other endings


@pytest.mark.parametrize("stop", ["interrupt", "abort"])
async def test_an_abort_ends_the_task_while_the_model_speaks(stop: str):
    model, interrupt = Halting(None), Interrupt()
    async with CompletionFramework(Agent(model)).stream(
        "Go.", Never(), interrupt=interrupt
    ) as task:
        act: Callable[[str], None] = interrupt.set if stop == "interrupt" else task.abort
        result = await while_halted(model, task.finish(), lambda: act("enough"))
    assert (result.outcome, result.detail, result.attempts) == ("aborted", "enough", 1)
    assert result.text == "So far"
    with pytest.raises(AbortedError, match="enough") as caught:
        result.raise_for_outcome()
    assert caught.value.result is result


async def test_an_abort_ends_the_task_while_a_tool_works():
    async with CompletionFramework(agent_of([calls("forever")], tools=[forever])).stream(
        "Go.", Never()
    ) as task:
        async for event in task:
            if event.__struct_config__.tag == "tool_execution_start":
                task.abort("enough")
    assert task.result.outcome == "aborted"
    assert answered(task.result.messages)


@pytest.mark.parametrize("attempt", [0, 1])
async def test_an_abort_ends_the_task_while_the_status_is_asked(attempt: int):
    interrupt, release, hangs = Interrupt(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    asked = iter(range(5))

    def status(initial: bool) -> TaskStatus:
        if next(asked) == attempt:
            loop.call_soon_threadsafe(hangs.set)
            release.wait()
        return TaskStatus(errors=["no"])

    agent = agent_of(["TASK COMPLETE"])
    task = asyncio.create_task(run_until_done(agent, "Go.", status, interrupt=interrupt))
    await hangs.wait()
    interrupt.set("enough")
    result = await task
    release.set()
    assert (result.outcome, result.attempts) == ("aborted", attempt)
    assert [text_of(message) for message in result.messages[:1]] == ["Go."]


async def test_an_interrupt_that_is_set_before_lets_nothing_begin():
    interrupt = Interrupt()
    interrupt.set("never mind")
    status, agent = Asked("no"), agent_of(["x"])
    result = await run_until_done(agent, "Go.", status, interrupt=interrupt)
    assert (result.outcome, status.calls, agent.model.requests) == ("aborted", [], [])


async def test_an_interrupt_of_the_caller_is_listened_to_no_more_after_the_task():
    interrupt = Interrupt()
    async with CompletionFramework(agent_of(["TASK COMPLETE"])).stream(
        "Go.", Asked("no"), interrupt=interrupt
    ) as task:
        await task.finish()
        interrupt.set("too late")
        assert task.result.outcome == "done"


async def test_a_model_that_can_not_be_asked_ends_the_task_with_its_error():
    agent = agent_of(["Hm.", RateLimitError("slow down")])
    result = await run_until_done(agent, "Go.", Never())
    assert (result.outcome, result.attempts, result.detail) == ("error", 2, "slow down")
    with pytest.raises(RateLimitError):
        result.raise_for_outcome()


async def test_a_wrong_setting_is_told():
    result = await run_until_done(agent_of(["x"]), "Go.", Never(), dependencies=1)  # type: ignore[call-arg]
    assert result.outcome == "error"
    assert "'dependencies'" in result.detail


async def test_a_call_that_waits_for_an_approval_suspends_the_task():
    @tool(needs_approval=True)
    async def publish() -> str:
        """Publish it."""
        return "published"

    agent = agent_of([calls("publish"), "TASK COMPLETE"], tools=[publish])
    first = await run_until_done(agent, "Go.", Asked("no"))
    assert (first.outcome, first.state.pending[0].name) == ("suspended", "publish")
    first.state.approvals["call-publish"] = True
    second = await run_until_done(agent, None, Asked("no"), state=first.state)
    assert (second.outcome, roles(second.messages)) == ("done", "U U AC T U A")
    assert text_of(second.messages[3]) == "published"


async def test_the_limits_of_a_task_are_those_of_all_attempts_together():
    usage = Usage(10, 0, cost=Cost("known", nanos=400_000_000))
    agent = agent_of([AssistantMessage([Text("Hm.")], usage=usage) for _ in range(10)])
    result = await run_until_done(agent, "Go.", Never(), limits=RunLimits(turns=None, cost=1.0))
    assert (result.outcome, result.cost.dollars) == ("limit", 1.2)
    with pytest.raises(RunLimitError, match=r"\$1.2 were spent, of \$1 \(limits.cost\)"):
        result.raise_for_outcome()


@pytest.mark.parametrize(
    ("limits", "turns"), [(RunLimits(turns=3), 3), (RunLimits(turns=None, tokens=1), 1)]
)
async def test_turns_and_tokens_of_all_attempts_are_limited(limits: RunLimits, turns: int):
    agent = agent_of([{"message": {"content": "Hm."}, "repeat": True}])
    result = await run_until_done(agent, "Go.", Never(), limits=limits)
    assert (result.outcome, len(agent.model.requests)) == ("limit", turns)


async def test_an_attempt_keeps_to_the_agents_own_limits():
    agent = agent_of([calls("step"), calls("step")], tools=[step], limits=RunLimits(turns=1))
    result = await run_until_done(agent, "Go.", Never(), limits=RunLimits(turns=10))
    assert (result.outcome, len(agent.model.requests)) == ("limit", 1)


async def test_time_is_up_for_a_status_that_hangs():
    async def status(initial: bool) -> TaskStatus:
        await asyncio.Event().wait()
        return TaskStatus()

    limits = RunLimits(seconds=0.01)
    result = await run_until_done(agent_of(["x"]), "Go.", status, limits=limits)
    assert (result.outcome, result.attempts, result.status.is_done) == ("limit", 0, False)


async def test_time_is_up_for_a_model_that_hangs():
    limits = RunLimits(turns=None, seconds=0.01)
    result = await run_until_done(Agent(Late()), "Go.", Never(), limits=limits)
    assert result.outcome == "limit"
    assert "0.01 seconds are over" in result.detail


@pytest.mark.parametrize("hangs", ["model", "status"])
async def test_the_deadline_of_the_call_around_ends_the_task(hangs: str):
    async def status(initial: bool) -> TaskStatus:
        if hangs == "status":
            await asyncio.Event().wait()
        return TaskStatus(errors=["no"])

    call = Call.timeout(0.01)
    result = await run_until_done(Agent(Late()), "Go.", status, call=call)
    assert result.outcome == "limit"
    assert "the time" in result.detail


async def test_the_interrupt_of_the_call_around_ends_the_task():
    interrupt = Interrupt()

    async def status(initial: bool) -> TaskStatus:
        interrupt.set("enough")
        await asyncio.Event().wait()
        return TaskStatus()

    call = Call(interrupt=interrupt)
    result = await run_until_done(agent_of(["x"]), "Go.", status, call=call)
    assert (result.outcome, result.detail) == ("aborted", "enough")


async def test_what_a_task_costs_is_on_the_books_of_the_call_around_it():
    call = Call()
    result = await run_until_done(agent_of(["Hm.", "TASK COMPLETE"]), "Go.", Asked("no"), call=call)
    assert len(call.attempts) == 2
    assert sum(attempt.usage.total_tokens for attempt in call.attempts) == result.usage.total_tokens


async def test_raise_for_outcome_gives_back_a_result_that_is_done():
    result = await run_until_done(agent_of(["x"]), "Go.", Asked())
    assert isinstance(result.raise_for_outcome(), CompletionResult)


async def test_phrases_of_ones_own_are_what_the_model_is_told():
    agent = agent_of(["FERTIG"])
    detector = PhraseDetector("FERTIG", "AUFGABE")
    result = await run_until_done(agent, "Los.", Asked("nein"), detector=detector)
    assert result.outcome == "done"
    first = agent.model.requests[0].messages[1]
    assert isinstance(first, UserMessage)
    assert "write FERTIG" in text_of(first)


async def test_no_limits_and_no_state_may_be_said():
    agent = agent_of(["TASK COMPLETE"])
    result = await run_until_done(agent, "Go.", Asked("one"), limits=None, state=None)
    assert result.outcome == "done"
