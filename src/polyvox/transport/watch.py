"""Who ends a wait that takes too long, or is not wanted any more.

One ``Watch`` per exchange does it, without a task and without a timer of its own: it marks when
somebody begins to wait, and the rounds of its loop look at that mark when it may be time.
"""

import asyncio
from math import inf
from time import monotonic
from types import TracebackType
from weakref import WeakKeyDictionary

from polyvox.errors import AbortedError, Phase, PolyvoxError, RequestTimeoutError
from polyvox.http import Timeouts
from polyvox.model import Call
from polyvox.waiting import soon

__all__ = ["Watch"]


class _Rounds:
    """The one timer of all watches in a loop: it goes off when the next of them may be due, or earlier.

    A timer for each would be the dearest part of a short call.
    """

    __slots__ = ("_timer", "due", "due_by_watch")

    def __init__(self) -> None:
        self.due_by_watch: dict[Watch, float] = {}
        self.due = inf  # when it goes off
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, due: float) -> None:
        """Have it go off then. When a watch leaves, it is left as it is: the next will want one like it."""
        if self._timer is not None:
            self._timer.cancel()
        self.due = due
        delay = due - monotonic()
        self._timer = asyncio.get_running_loop().call_later(delay, self._go_round)

    def _go_round(self) -> None:
        self.due, self._timer = inf, None
        now = monotonic()
        for watch in [watch for watch, due in self.due_by_watch.items() if due <= now]:
            watch.look()
        nearest = min(self.due_by_watch.values(), default=inf)
        if nearest < self.due:
            self.arm(nearest)


# By loop, which may end at any time; they know nothing but watches, and nobody sees another's.
_rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, _Rounds] = WeakKeyDictionary()


def _rounds_in(loop: asyncio.AbstractEventLoop) -> _Rounds:
    rounds = _rounds.get(loop)
    if rounds is None:
        rounds = _rounds[loop] = _Rounds()
    return rounds


class Watch:
    """Ends our waiting when its time is up or the interrupt is set. ``with watch:`` goes around an await.

    Waiting is ended as ``asyncio.timeout`` does it: cancel the waiting task, and turn the
    ``CancelledError`` into the reason when it comes out of the block. A task is only ever cancelled
    while it is inside such a block, whichever task that is; when somebody else cancels it at the
    same time, the count of cancellations tells, and theirs wins.
    """

    __slots__ = (
        "_armed",
        "_call",
        "_cancellations",
        "_ends",
        "_first_byte_at",
        "_idle",
        "_loop",
        "_pause",
        "_rounds",
        "_since",
        "_stopped",
        "_task",
        "_timeouts",
        "_unlisten",
        "_verdict",
    )

    def __init__(self, timeouts: Timeouts, call: Call) -> None:
        now = self._since = monotonic()
        first_byte, pause, total = timeouts.first_byte, timeouts.idle, timeouts.total
        self._timeouts = timeouts
        self._call = call
        loop = self._loop = asyncio.get_running_loop()
        self._rounds = _rounds_in(loop)
        self._first_byte_at = inf if first_byte is None else now + first_byte
        self._pause = inf if pause is None else pause
        self._idle = inf  # until the first byte is there
        self._ends = inf if total is None else now + total
        if call.deadline is not None and call.deadline < self._ends:
            self._ends = call.deadline
        self._task: asyncio.Task[object] | None = None  # whoever waits just now
        self._cancellations = 0  # how many that task had before
        self._verdict: PolyvoxError | None = None
        self._armed = False
        self._stopped = False
        self._unlisten = call.interrupt.listen(self._interrupted) if call.interrupt else None

    def __enter__(self) -> None:
        now = self._since = monotonic()
        if self._stopped or now >= self._ends:
            raise self._verdict or self._judge(now)
        if not self._armed:
            self._arm(now)
        task = self._task = asyncio.current_task(self._loop)
        if task is not None:
            self._cancellations = task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if self._verdict is None or task is None:
            return
        if task.uncancel() <= self._cancellations and kind is not None:
            raise self._verdict from None

    def first_byte(self) -> None:
        """The first piece of the body is there; from now on the pauses between pieces count."""
        self._first_byte_at = inf
        self._idle = self._pause

    @property
    def is_up(self) -> bool:
        """Whether whoever waits next is told at once that there is no more time, or an interrupt."""
        return self._stopped or monotonic() >= self._ends

    def hurry(self, seconds: float) -> None:
        """There is no more time than this."""
        self._ends = min(self._ends, monotonic() + seconds)
        self._disarm()  # whoever waits next has it looked at anew

    def close(self) -> None:
        """Stop watching."""
        self._disarm()
        if self._unlisten is not None:
            self._unlisten()

    def _interrupted(self) -> None:
        """In whatever thread sets the interrupt."""
        self._stopped = True
        soon(self._loop, self.look)

    def look(self) -> None:
        """In the loop: end the waiting if there is a reason to, else look again when there may be one."""
        self._disarm()
        if self._task is None or self._verdict is not None:
            return  # nobody waits; whoever comes next is told, or has it looked at again
        now = monotonic()
        if self._stopped or now >= self._next_deadline():
            self._verdict = self._judge(now)
            self._stopped = True
            self._task.cancel()
        else:
            self._arm(now)

    def _arm(self, now: float) -> None:
        """Have it looked at when the next deadline comes. They only move away, so that is early enough.

        Even at the first byte: for the first pause, should it begin just now.
        """
        self._armed = True
        due = min(self._first_byte_at, self._since + self._idle, self._ends, now + self._pause)
        if due < inf:
            rounds = self._rounds
            rounds.due_by_watch[self] = due
            if due < rounds.due:
                rounds.arm(due)

    def _disarm(self) -> None:
        if self._armed:
            self._armed = False
            self._rounds.due_by_watch.pop(self, None)

    def _next_deadline(self) -> float:
        return min(self._first_byte_at, self._since + self._idle, self._ends)

    def _judge(self, now: float) -> PolyvoxError:
        interrupt = self._call.interrupt
        if interrupt is not None and interrupt.is_set:
            return AbortedError(interrupt.reason or "interrupted")
        if now >= self._ends:
            return _too_late("total", self._timeouts.total)
        if now >= self._first_byte_at:
            return _too_late("first_byte", self._timeouts.first_byte)
        return _too_late("idle", self._timeouts.idle)


def _too_late(phase: Phase, seconds: float | None) -> RequestTimeoutError:
    match phase:
        case "first_byte":
            text = f"nothing of the answer came within {seconds:g} s"
        case "idle":
            text = f"the answer stalled: nothing came for {seconds:g} s"
        case _:
            text = "the time for the whole call is up"
    return RequestTimeoutError(text, phase=phase)
