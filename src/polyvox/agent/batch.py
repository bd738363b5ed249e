"""The tools of one turn: prepared, executed, finalised; at the same time, and told in their order.

*Prepare* finds the tool, reads the arguments, and asks whether the call may be carried out. What
fails here is answered with an error, so that the model can do better; a call whose arguments did not
come whole is never run. *Execute* runs the tool. *Finalise* shows the result to ``after_tool``. The
result of each is told when it is there; the message that holds it waits for those before it.
"""

import asyncio
import copy
import inspect
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

from polyvox.agent.events import (
    AgentEvent,
    ApprovalNeeded,
    MessageEnd,
    MessageStart,
    MessageUpdate,
    NestedRun,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
)
from polyvox.agent.hooks import AfterTool, Approve, Ask, BeforeTool, ToolUse, settled
from polyvox.agent.inbox import Inbox
from polyvox.agent.state import Approval, RunState
from polyvox.assembly import arguments_text
from polyvox.errors import AbortedError, RequestTimeoutError, in_words
from polyvox.messages import ToolCall
from polyvox.model import Call
from polyvox.suggestions import hint_for
from polyvox.tools import Tool, ToolContext, ToolResult, error_result, message_of, run_tool
from polyvox.tools.errors import ToolArgumentsError
from polyvox.waiting import Waiter, soon

__all__ = ["Batch", "Kit"]

_T = TypeVar("_T")


class Kit(NamedTuple):
    """What the calls of a turn are carried out with."""

    tools: Mapping[str, Tool]
    before: BeforeTool | None = None
    after: AfterTool | None = None
    approve: Approve | None = None
    most_at_once: int | None = None
    deps: Any = None


class _Ready(NamedTuple):
    """A call that may be carried out."""

    use: ToolUse
    values: Any


class _Stopped(NamedTuple):
    """Why no tool is run any longer."""

    reason: str


class _Broken(NamedTuple):
    """What no tool may swallow: ``KeyboardInterrupt`` and its like."""

    error: BaseException


_INTERRUPTED = _Stopped("")


class Batch:
    """The calls of one answer.

    Args:
        calls: those that have no message with their result yet, in their order.
        kit: the tools, and who has a say.
        state: of the run; results, approvals and what waits are in there.
        call: the run's; its interrupt and its deadline end all tools.
        retries: how often in a row each tool has asked for another try; kept by the run.
        hurried: whether a message came that shall not wait for tools that were not started yet.
    """

    def __init__(
        self,
        calls: Sequence[ToolCall],
        kit: Kit,
        state: RunState,
        call: Call,
        *,
        retries: dict[str, int],
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        self._calls = calls
        self._kit = kit
        self._state = state
        self._call = call
        self._retries = retries
        self._tried = dict(retries)
        self._hurried = hurried
        self._told: deque[ToolCall] = deque(calls)  # whose message is still to come
        self._done: dict[str, ToolResult] = dict(state.results)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._exclusive = False
        self._inbox: Inbox[AgentEvent | _Stopped | _Broken] = Inbox()

    @property
    def suspended(self) -> bool:
        """Whether some call waits for an approval, so that the turn can't go on."""
        return bool(self._told)

    async def events(self) -> AsyncGenerator[AgentEvent]:
        """Carry out the calls, and tell of them."""
        loop = asyncio.get_running_loop()
        interrupt, deadline = self._call.interrupt, self._call.deadline
        forget = lambda: None  # noqa: E731
        timer: asyncio.TimerHandle | None = None
        if interrupt is not None:
            stopped = partial(self._inbox.put, _INTERRUPTED)
            forget = interrupt.listen(partial(soon, loop, stopped))
        if deadline is not None:
            seconds = max(0.0, deadline - time.monotonic())
            timer = loop.call_later(seconds, self._inbox.put, _Stopped("the time is over"))
        try:
            async for event in self._carried_out():
                yield event
        finally:
            forget()
            if timer is not None:
                timer.cancel()
            for task in self._running.values():
                task.cancel()

    async def _carried_out(self) -> AsyncGenerator[AgentEvent]:
        for event in self._in_order():  # of an earlier run
            yield event
        waiting = deque(call for call in self._calls if call.id not in self._done)
        while waiting or self._running or self._inbox:
            async for event in self._begun(waiting):
                yield event
            if not (waiting or self._running or self._inbox):
                return
            event = await self._inbox.get()
            if isinstance(event, _Broken):
                raise event.error
            if isinstance(event, _Stopped):
                events = await self._abandoned(waiting, event.reason or self._reason)
            else:
                events = self._passed_on(event)
            for event in events:
                yield event

    async def _begun(self, waiting: deque[ToolCall]) -> AsyncGenerator[AgentEvent]:
        """Begin with those that may begin now."""
        while waiting and self._may_start(waiting[0]):
            call = waiting.popleft()
            if self._hurried():
                for event in self._skipped(call, "Skipped: a message of the user came first."):
                    yield event
                continue
            ready = await self._prepared(call)
            if isinstance(ready, Ask):
                yield ApprovalNeeded(call, ready.reason)
                continue
            yield ToolExecutionStart(call)
            if isinstance(ready, ToolResult):
                self._inbox.put(ToolExecutionEnd(call, ready))
            else:
                self._start(ready)

    # ------------------------------------------------------------------------------ prepare

    async def _prepared(self, call: ToolCall) -> "_Ready | ToolResult | Ask":
        """What is to be done about a call: run it, answer it so, or wait for an approval."""
        tool = self._kit.tools.get(call.name)
        if tool is None:
            return error_result(_no_such_tool(call.name, list(self._kit.tools)))
        if not call.executable:
            return error_result(_not_whole(call))
        # A copy: what a hook or the tool changes in there is no part of the conversation.
        use = ToolUse(tool, call, copy.deepcopy(call.arguments), self._context(call))
        try:
            decided = self._state.approvals.get(call.id)
            ready = _changed(use, True if decided is None else decided)
            if isinstance(ready, _Ready):
                ready = await self._decided(ready, approved=decided is not None)
        except ToolArgumentsError as error:
            return error_result(error.text)
        except Exception as error:  # noqa: BLE001 - a hook's failure is no reason to run the tool
            return error_result(f"{call.name} was not run: {in_words(error)}")
        return ready

    async def _decided(self, ready: _Ready, *, approved: bool) -> "_Ready | ToolResult | Ask":
        """Whether a tool may be run: what ``before_tool``, the tool and who approves say.

        An approval that was given earlier answers who asks for one; it overrules no ``before_tool``.
        """
        reason = ""
        if self._kit.before is not None:
            decision = await self._unless_stopped(self._kit.before(ready.use))
            if isinstance(decision, Ask):
                reason = decision.reason or "before_tool asks for an approval"
            elif decision is not None:
                changed = _changed(ready.use, decision)
                if isinstance(changed, ToolResult):
                    return changed
                ready = changed
        use = ready.use
        if approved or not (reason or use.tool.approval_needed(ready.values, use.context)):
            return ready
        reason = reason or f"{use.call.name} is run only when somebody approves"
        if self._kit.approve is None:
            return Ask(reason)
        answer = await self._unless_stopped(self._kit.approve(use, reason))
        return Ask(reason) if answer is None else _changed(use, answer)

    async def _unless_stopped(self, answer: _T | Awaitable[_T]) -> _T | str:
        """What a function of the program's answers; it does not hold up the end of the run."""
        if not inspect.isawaitable(answer):
            return answer
        try:
            with Waiter(self._call) as waiter:
                return await waiter.result(answer)
        except (AbortedError, RequestTimeoutError) as error:
            if not self._call.is_over:
                raise
            return f"The run was stopped before this was decided: {error.text}."

    def _context(self, call: ToolCall) -> ToolContext[Any]:
        def update(partial: ToolResult) -> None:
            self._inbox.offer(ToolExecutionUpdate(call, partial))

        def nested(path: list[str], event: AgentEvent) -> None:
            if isinstance(event, NestedRun):
                path, event = [*path, *event.path], event.event
            passing = isinstance(event, (MessageUpdate, ToolExecutionUpdate))
            tell = self._inbox.offer if passing else self._inbox.put
            tell(NestedRun([call.name, *path], event))

        return ToolContext(
            call=self._call.child(),
            tool_call=call,
            deps=self._kit.deps,
            messages=self._state.messages,
            attempt=self._retries.get(call.name, 0) + 1,
            on_update=update,
            on_nested=nested,
        )

    # ------------------------------------------------------------------------------ execute

    @property
    def _reason(self) -> str:
        """Why the run was interrupted."""
        interrupt = self._call.interrupt
        return (interrupt.reason if interrupt is not None else None) or "interrupted"

    def _may_start(self, call: ToolCall) -> bool:
        if self._call.is_over:  # that is in the inbox, or will be at once
            return False
        if not self._running:
            return True
        most = self._kit.most_at_once
        if self._exclusive or (most is not None and len(self._running) >= most):
            return False
        tool = self._kit.tools.get(call.name)
        return tool is None or not tool.sequential

    def _start(self, ready: _Ready) -> None:
        self._exclusive = ready.use.tool.sequential
        task = asyncio.create_task(self._run(ready))
        task.add_done_callback(partial(self._ended, ready.use.call))
        self._running[ready.use.call.id] = task

    async def _run(self, ready: _Ready) -> None:
        use = ready.use
        result = await run_tool(use.tool, ready.values, use.context)
        self._inbox.put(ToolExecutionEnd(use.call, await self._finalised(use, result)))

    def _ended(self, call: ToolCall, task: asyncio.Task[None]) -> None:
        """See to it that a tool whose task came to no result holds up nobody."""
        if task.cancelled():  # if it was by us, the call has its end already
            self._inbox.put(ToolExecutionEnd(call, error_result(f"{call.name} was cancelled")))
        elif (error := task.exception()) is not None:
            self._inbox.put(_Broken(error))

    async def _abandoned(self, waiting: deque[ToolCall], reason: str) -> list[AgentEvent]:
        """Stop everything at once: tools are told, and not waited for."""
        for task in self._running.values():
            task.cancel()
        await asyncio.sleep(0)  # those that listen have their turn
        events: list[AgentEvent] = []
        while (event := self._inbox.take()) is not None:
            if isinstance(event, _Broken):
                raise event.error
            if not isinstance(event, _Stopped):
                events += self._passed_on(event)
        waiting.clear()
        for call in self._calls:
            if call.id in self._running:
                end = error_result(f"Stopped before it was done: {reason}.")
                events += self._passed_on(ToolExecutionEnd(call, end))
            elif call.id not in self._done:
                events += self._skipped(call, f"Not run: {reason}.")
        return events

    # ------------------------------------------------------------------------------ finalise

    async def _finalised(self, use: ToolUse, result: ToolResult) -> ToolResult:
        if self._kit.after is None:
            return result
        try:
            other = await settled(self._kit.after(use, result))
            return result if other is None else _checked_result(other)
        except Exception as error:  # noqa: BLE001 - the model is not to see what nobody has looked at
            return error_result(f"The result of {use.call.name} was withheld: {in_words(error)}")

    def _passed_on(self, event: AgentEvent) -> list[AgentEvent]:
        """The event, and the messages whose turn it is after it."""
        if not isinstance(event, ToolExecutionEnd):
            return [event]
        call, result = event.call, event.result
        if call.id in self._done:
            return []  # it was stopped, and ended all the same
        if self._running.pop(call.id, None) is not None:
            self._exclusive = False
            self._retries.pop(call.name, None)
            if result.retry:  # several calls in one answer are one try
                self._retries[call.name] = self._tried.get(call.name, 0) + 1
        self._done[call.id] = result
        return [event, *self._in_order()]

    def _skipped(self, call: ToolCall, text: str) -> list[AgentEvent]:
        end = ToolExecutionEnd(call, error_result(text))
        return [ToolExecutionStart(call), *self._passed_on(end)]

    def _in_order(self) -> list[AgentEvent]:
        """The messages that may be told now: of calls that are done, as are all before them."""
        events: list[AgentEvent] = []
        while self._told and self._told[0].id in self._done:
            call = self._told.popleft()
            message = message_of(self._done[call.id], call)
            events += [MessageStart(message), MessageEnd(message)]
        return events


def _changed(use: ToolUse, decision: Approval) -> _Ready | ToolResult:
    """The call as it was decided: with other arguments, or not at all. Raises ``ToolArgumentsError``."""
    if decision is False or isinstance(decision, str):
        return error_result(decision or f"{use.call.name} was not run: it is not allowed.")
    if isinstance(decision, dict):
        use = ToolUse(use.tool, use.call, decision, use.context)
    elif decision is not True:  # it may well have been meant as a no
        kind = type(decision).__name__
        raise TypeError(f"the decision is of type {kind}; give True, False, a text or a dict")
    return _Ready(use, use.tool.read(use.arguments))


def _checked_result(result: ToolResult) -> ToolResult:
    if not isinstance(result, ToolResult):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"after_tool gave a {type(result).__name__}; give a ToolResult or None")
    return result


def _no_such_tool(name: str, known: list[str]) -> str:
    otherwise = f"There are: {', '.join(known) or 'none'}."
    return f"There is no tool {name!r}. {hint_for(name, known, otherwise)}"


def _not_whole(call: ToolCall) -> str:
    text = arguments_text(call)
    shown = text if len(text) <= 200 else f"...{text[-200:]}"
    return (
        f"{call.name} was not run: its arguments did not come whole, or are no JSON object."
        f" They end like this: {shown!r}. Call it again with complete arguments, in smaller pieces if"
        " they are long."
    )
