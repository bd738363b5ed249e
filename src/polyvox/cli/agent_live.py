"""A run on a terminal: text as it comes, and below it the tools that are at work.

A tool that is done is printed for good, above those that are not; these stand in a live region of at
most the screen's height, with what they tell of their progress.
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from polyvox.agent import (
    AgentEnd,
    AgentEvent,
    AgentResult,
    Compacted,
    HandedOver,
    MessageEnd,
    MessageUpdate,
    ToolExecutionEnd,
    TurnStart,
)
from polyvox.cli.agent_tools import ToolLine, ToolLines, call_text
from polyvox.cli.markdown_view import MarkdownView
from polyvox.cli.spinner import FRAMES, PATIENCE_SECONDS
from polyvox.cli.terminal import coloured, harmless, visible
from polyvox.events import Event, ToolCallEnd
from polyvox.messages import AssistantMessage

__all__ = ["LiveView"]

_PER_SECOND = 10
_STYLES = {"✓": "green", "✗": "red"}


class LiveView:
    """Shows a run; with ``thinking`` the models' reasoning too, dim."""

    def __init__(self, *, thinking: bool, console: Console | None = None) -> None:
        self.tools = ToolLines()
        self.console = console or Console(no_color=not coloured(sys.stdout), highlight=False)
        self._thinking = thinking
        self._answer: MarkdownView | None = None
        self._live: Live | None = None
        self._waits_since: float | None = None
        self._printed: type[object] | None = None  # what was printed last

    def event(self, event: AgentEvent) -> None:
        """Show what happens."""
        self.tools.apply(event)
        match event:
            case TurnStart():
                self._waits_since = time.monotonic()
            case MessageUpdate(event=inner):
                self._say(inner)
                return
            case MessageEnd(message=AssistantMessage() as message):
                self._waits_since = None
                if self._answer is not None:
                    self._answer.end(message, None)
                    self._answer = None
            case ToolExecutionEnd():
                self._print_finished()
            case HandedOver(to=to):
                self._print(Text(f"→ {harmless(to)} goes on", style="dim"))
            case Compacted(replaced=replaced):
                self._print(Text(f"({replaced} messages were made shorter)", style="dim"))
            case AgentEnd():
                self._waits_since = None
                self.pause()
                return
            case _:
                pass
        self._draw()

    def pause(self) -> None:
        """Take the live region off the screen."""
        if self._answer is not None:
            self._answer.close()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def end(self, result: AgentResult[Any]) -> None:
        """All is shown already."""

    def _say(self, event: Event) -> None:
        if isinstance(event, ToolCallEnd):  # it has a line of its own as soon as it is run
            return
        if self._answer is None:
            self._answer = MarkdownView(thinking=self._thinking, console=self.console)
        if self._answer.shows(event) and self._waits_since is not None:
            self._waits_since = None
            self._draw()
            self._begin(MarkdownView)
        self._answer.event(event)

    def _print_finished(self) -> None:
        for line in self.tools.take_finished():
            self._print(Text("\n").join(_rows(line, self.console.width)))

    def _print(self, rows: Text) -> None:
        self._begin(Text)
        self.console.print(rows)

    def _begin(self, kind: type[object]) -> None:
        """An empty line between texts and tools."""
        if self._printed not in (None, kind):
            self.console.print()
        self._printed = kind

    def _draw(self) -> None:
        """Show the live region as long as there is something to see."""
        if not self.tools.lines and self._waits_since is None:
            self.pause()
        elif self._live is None:
            self._live = Live(
                console=self.console,
                get_renderable=self._region,
                refresh_per_second=_PER_SECOND,
                transient=True,
            )
            self._live.start(refresh=True)

    def _region(self) -> Text:
        rows = [row for line in self.tools.lines for row in _rows(line, self.console.width)]
        since = self._waits_since
        if since is not None and time.monotonic() - since >= PATIENCE_SECONDS:
            rows.append(Text(f"{_frame()} thinks {time.monotonic() - since:.0f} s", style="dim"))
        return Text("\n").join(rows[-max(1, self.console.height - 2) :])


def _rows(line: ToolLine, width: int, indent: int = 0) -> Iterator[Text]:
    """A call in one row, and those inside it, further to the right."""
    mark, took = line.mark or _frame(), line.took
    room = max(8, width - indent - len(mark) - len(took) - 3)
    progress = "" if line.mark else " ".join(harmless(line.progress).split())
    about = Text(visible(call_text(line.call)))
    about.truncate(max(room // 2, room - cell_len(progress) - 1), overflow="ellipsis")
    told = Text(progress, style="dim")
    told.truncate(max(0, room - about.cell_len - 1), overflow="ellipsis")
    row = Text(" " * indent, no_wrap=True, overflow="ellipsis")
    row.append(mark, style=_STYLES.get(mark, "cyan")).append(" ").append_text(about)
    row.append(" ").append_text(told).append(" " if told.plain else "").append(took, style="dim")
    yield row
    if line.error:
        error = Text(f"{' ' * indent}  {harmless(line.error)}", style="red")
        error.truncate(width, overflow="ellipsis")
        yield error
    for each in line.inside:
        yield from _rows(each, width, indent + 2)


def _frame() -> str:
    return FRAMES[int(time.monotonic() * _PER_SECOND) % len(FRAMES)]
