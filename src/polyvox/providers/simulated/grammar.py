"""The grammar of a stream's events, as a check: see ``polyvox.events`` for its rules."""

from collections.abc import Iterable
from typing import TypeAlias

from polyvox.events import (
    Done,
    Event,
    Failed,
    Nested,
    Passed,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ThinkingDelta,
    ThinkingEnd,
    ThinkingStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    Warned,
)

_Text: TypeAlias = TextStart | TextDelta | TextEnd
_Thinking: TypeAlias = ThinkingStart | ThinkingDelta | ThinkingEnd
_ToolCall: TypeAlias = ToolCallStart | ToolCallDelta | ToolCallEnd
_BlockEvent: TypeAlias = _Text | _Thinking | _ToolCall

_STARTS = (TextStart, ThinkingStart, ToolCallStart)
_ENDS = (TextEnd, ThinkingEnd, ToolCallEnd)


def check_grammar(events: Iterable[Event]) -> None:
    """Make sure that events are a whole stream: begun once, blocks matched, ended once, nothing after.

    Events inside ``Nested`` belong to other streams and are not looked into. Raises
    ``AssertionError`` naming the first event that breaks the grammar.

    >>> from polyvox.events import Done, Start
    >>> from polyvox.messages import AssistantMessage
    >>> check_grammar([Start(), Done(AssistantMessage([]))])
    >>> check_grammar([Start()])
    Traceback (most recent call last):
    AssertionError: the stream stops after 1 event without done or error
    """
    grammar = _Grammar()
    count = 0
    for count, event in enumerate(events, start=1):
        if problem := grammar.problem_with(event):
            raise AssertionError(f"event {count - 1} ({type(event).__name__}): {problem}")
    if not grammar.ended:
        plural = "" if count == 1 else "s"
        raise AssertionError(f"the stream stops after {count} event{plural} without done or error")


class _Grammar:
    """Where a stream stands."""

    def __init__(self) -> None:
        self.started = False
        self.ended = False
        self._open: dict[int, str] = {}  # what kind of block an open index is
        self._used: set[int] = set()

    def problem_with(self, event: Event) -> str:
        """What is wrong with the next event, or ""."""
        if self.ended:
            return "nothing may follow done or error"
        match event:
            case Start():
                return self._start()
            case Failed() if not self.started:
                self.ended = True
                return ""
            case _ if not self.started:
                return "a stream begins with start"
            case Done() | Failed():
                return self._end()
            case Warned() | Passed() | Nested():
                return ""
            case _:
                return self._block(event)

    def _start(self) -> str:
        again, self.started = self.started, True
        return "the stream has started already" if again else ""

    def _end(self) -> str:
        self.ended = True
        left = ", ".join(f"{index} ({kind})" for index, kind in self._open.items())
        return f"open blocks are left: {left}" if left else ""

    def _block(self, event: _BlockEvent) -> str:
        kind, index = _kind_of(event), event.index
        if isinstance(event, _STARTS):
            if index in self._used:
                return f"index {index} was used before"
            self._used.add(index)
            self._open[index] = kind
        elif self._open.get(index) != kind:
            return f"no {kind} block {index} is open"
        elif isinstance(event, _ENDS):
            del self._open[index]
        return ""


def _kind_of(event: _BlockEvent) -> str:
    if isinstance(event, _Text):
        return "text"
    return "thinking" if isinstance(event, _Thinking) else "tool call"
