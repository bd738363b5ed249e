"""An answer as Markdown on a terminal while it is written.

Finished blocks are printed once, for good; only the tail is drawn again, in a live region of at
most the screen's height, and never so often that drawing takes more than a small share of the time.
So a long answer costs what it is long.
"""

import sys
import time
from typing import ClassVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text

from polyvox.cli.markdown_blocks import MarkdownBlocks
from polyvox.cli.terminal import coloured, harmless
from polyvox.cli.views import tool_call_line
from polyvox.errors import PolyvoxError
from polyvox.events import Event, TextDelta, TextEnd, ThinkingDelta, ThinkingEnd, ToolCallEnd
from polyvox.messages import AssistantMessage

__all__ = ["MarkdownView"]

SECONDS_BETWEEN_DRAWINGS = 0.06
SHARE_OF_TIME = 0.2


class MarkdownView:
    """Shows an answer as Markdown; with ``thinking`` the reasoning above it, dim."""

    def __init__(self, *, thinking: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(no_color=not coloured(sys.stdout), highlight=False)
        self._thinking = thinking
        self._blocks = MarkdownBlocks()
        self._live: Live | None = None
        self._next_drawing = 0.0
        self._printed = False

    def shows(self, event: Event) -> bool:
        """Whether something of this event is seen at once."""
        if isinstance(event, ThinkingDelta):
            return self._thinking
        return isinstance(event, (TextDelta, ToolCallEnd))

    def event(self, event: Event) -> None:
        """Show what has arrived."""
        match event:
            case TextDelta(text=text):
                self._add(harmless(text))
            case TextEnd():
                self._finish()
            case ThinkingDelta(text=text) if self._thinking:
                self._think(harmless(text))
            case ThinkingEnd() if self._thinking:
                self._think("\n")
            case ToolCallEnd(block=call):
                self._finish()
                self._print(Text(harmless(tool_call_line(call))))
            case _:
                pass

    def end(self, message: AssistantMessage, error: PolyvoxError | None) -> None:
        """Print what is left of the answer."""
        self._finish()

    def close(self) -> None:
        """Take the live region off the screen; needed when the answer did not come to its end."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _add(self, text: str) -> None:
        for block in self._blocks.feed(text):
            self._print(_Trimmed(_Markdown(block.text)), goes_on=block.goes_on)
        if time.monotonic() >= self._next_drawing:
            self._draw()

    def _draw(self) -> None:
        began = time.monotonic()
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        tail = _Trimmed(_Markdown(self._blocks.tail), max(1, self.console.height - 2))
        self._live.update(tail, refresh=True)
        took = time.monotonic() - began
        self._next_drawing = began + took + max(SECONDS_BETWEEN_DRAWINGS, took / SHARE_OF_TIME)

    def _finish(self) -> None:
        self.close()
        for block in self._blocks.close():
            self._print(_Trimmed(_Markdown(block.text)), goes_on=block.goes_on)
        self._next_drawing = 0.0

    def _print(self, what: RenderableType, *, goes_on: bool = False) -> None:
        """Print above the live region, with an empty line between blocks."""
        if self._live is not None:
            self._live.update("", refresh=True)
        if self._printed and not goes_on:
            self.console.print()
        self.console.print(what, end="" if isinstance(what, _Trimmed) else "\n")
        self._printed = True

    def _think(self, text: str) -> None:
        self.console.print(Text(text, style="dim"), end="", soft_wrap=True)
        self._printed = False


class _Trimmed:
    """Something rendered without the blanks around it; of more lines than ``most``, the last ones."""

    def __init__(self, inner: RenderableType, most: int | None = None) -> None:
        self._inner = inner
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [_stripped(line) for line in console.render_lines(self._inner, options, pad=False)]
        while lines and not lines[-1]:
            lines.pop()
        first = next((place for place, line in enumerate(lines) if line), 0)
        if self._most is not None:
            first = max(first, len(lines) - self._most)
        for line in lines[first:]:
            yield from line
            yield Segment.line()


def _stripped(line: list[Segment]) -> list[Segment]:
    """A line without the blanks that fill it up."""
    while line and not line[-1].text.strip():
        line = line[:-1]
    if line:
        text, style, control = line[-1]
        line = [*line[:-1], Segment(text.rstrip(), style, control)]
    return line


class _Code(CodeBlock):
    """A code block without a frame, so that a long one may be printed in parts."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(
            str(self.text).rstrip(),
            self.lexer_name,
            theme="ansi_dark",
            background_color="default",
            word_wrap=True,
            padding=(0, 0, 0, 2),
        )


class _Heading(Heading):
    """A heading at the margin."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self.text.copy()
        text.justify = "left"
        text.stylize("bold")
        yield text


class _Markdown(Markdown):
    """Markdown in our style; a line ends where it was ended, as in a letter, not only after two blanks."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Heading,
    }

    def __init__(self, markup: str) -> None:
        super().__init__(markup)
        for token in self.parsed:
            for inner in token.children or ():
                if inner.type == "softbreak":
                    inner.type = "hardbreak"
