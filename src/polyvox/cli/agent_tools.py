"""The tools of a run as lines: what is called, how far it is, how it ended; and those inside of agents."""

import time

import msgspec

from polyvox import jsontext
from polyvox.agent import (
    AgentEvent,
    MessageUpdate,
    NestedRun,
    ToolExecutionEnd,
    ToolExecutionStart,
    ToolExecutionUpdate,
)
from polyvox.assembly import arguments_text
from polyvox.events import TextDelta
from polyvox.messages import ToolCall

__all__ = ["ToolLine", "ToolLines", "call_text"]

_VALUE_CHARACTERS = 40
_PROGRESS_CHARACTERS = 200


class ToolLine(msgspec.Struct, kw_only=True):
    """One call. ``seconds`` is None while it lasts; ``progress`` is what it told last.

    ``inside`` are the calls of an agent that is this tool.
    """

    call: ToolCall
    began: float
    inside: "list[ToolLine]" = []
    progress: str = ""
    seconds: float | None = None
    error: str | None = None

    @property
    def mark(self) -> str:
        """A sign for how it ended; "" while it lasts."""
        return "" if self.seconds is None else "✓" if self.error is None else "✗"

    @property
    def took(self) -> str:
        """How long it took, or has taken so far."""
        seconds = time.monotonic() - self.began if self.seconds is None else self.seconds
        return f"{seconds:.1f} s"


class ToolLines:
    """The calls that are shown, in the order in which they began; ``count`` is of all there ever were."""

    def __init__(self) -> None:
        self.lines: list[ToolLine] = []
        self.count = 0

    def apply(self, event: AgentEvent) -> None:
        """Take notice of what happens."""
        self._apply(event, self.lines, None)

    def take_finished(self) -> list[ToolLine]:
        """Those that are done, which are not kept any longer."""
        finished = [line for line in self.lines if line.seconds is not None]
        self.lines = [line for line in self.lines if line.seconds is None]
        return finished

    def _apply(self, event: AgentEvent, lines: list[ToolLine], owner: ToolLine | None) -> None:
        match event:
            case ToolExecutionStart(call=call):
                self.count += 1
                lines.append(ToolLine(call=call, began=time.monotonic()))
            case ToolExecutionUpdate(call=call, result=result):
                if (line := _running(lines, call)) is not None:
                    line.progress = _last_line(result.text)
            case ToolExecutionEnd(call=call, result=result):
                if (line := _running(lines, call)) is not None:
                    line.seconds = time.monotonic() - line.began
                    line.error = _first_line(result.text) if result.is_error else None
            case NestedRun(path=path, event=inner):
                if (line := _around(lines, path[0], inner)) is not None:
                    self._apply(inner, line.inside, line)
            case MessageUpdate(event=TextDelta(text=text)) if owner is not None:
                owner.progress = _last_line(owner.progress + text)
            case _:
                pass


def call_text(call: ToolCall) -> str:
    """A call in short: long values are cut.

    >>> call_text(ToolCall("1", "note", {"text": "x" * 50, "n": 2}))
    'note(text="xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…, n=2)'
    """
    if not call.executable:
        return f"{call.name}({_cut(arguments_text(call))})"
    values = {key: jsontext.encode(value).decode() for key, value in call.arguments.items()}
    return f"{call.name}({', '.join(f'{key}={_cut(value)}' for key, value in values.items())})"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[: _VALUE_CHARACTERS - 1]}…"


def _running(lines: list[ToolLine], call: ToolCall) -> ToolLine | None:
    return next((each for each in lines if each.call.id == call.id and not each.mark), None)


def _around(lines: list[ToolLine], name: str, inner: AgentEvent) -> ToolLine | None:
    """The tool in which this happens: of two of that name, the one that has such a call inside."""
    named = [each for each in lines if each.call.name == name and not each.mark]
    if isinstance(inner, (ToolExecutionUpdate, ToolExecutionEnd)):
        named.sort(key=lambda each: _running(each.inside, inner.call) is None)
    return named[0] if named else None


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _last_line(text: str) -> str:
    return text.rstrip("\n").rpartition("\n")[2][-_PROGRESS_CHARACTERS:]
