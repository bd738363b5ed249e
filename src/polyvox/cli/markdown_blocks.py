"""Markdown that is still being written, cut where it can be: what stands before a cut won't change.

A cut is an empty line outside a fenced block before a line that begins at the margin. A long fenced
block is cut between its lines; its parts are fenced blocks themselves.
"""

import re

import msgspec

__all__ = ["Finished", "MarkdownBlocks"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
LONG_FENCE_LINES = 24


class Finished(msgspec.Struct, frozen=True):
    """A block that won't change; ``goes_on`` says that it continues the fenced block before it."""

    text: str
    goes_on: bool = False


class _Fence(msgspec.Struct):
    mark: str
    info: str
    lines: int = 0


class MarkdownBlocks:
    """Takes text in pieces; gives finished blocks out once, and the rest as the tail.

    Every line is looked at once, so the cost is linear in the text.

    >>> blocks = MarkdownBlocks()
    >>> blocks.feed("# Title\\n\\nSome te"), blocks.tail
    ([Finished(text='# Title\\n', goes_on=False)], 'Some te')
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._partial: list[str] = []
        self._fence: _Fence | None = None
        self._blank = False
        self._goes_on = False

    @property
    def tail(self) -> str:
        """What is not finished yet, as Markdown of its own."""
        return "".join((*self._lines, *self._partial))

    def feed(self, text: str) -> list[Finished]:
        """Take a piece of text; the blocks it finishes, in order."""
        *whole, rest = text.split("\n")
        finished: list[Finished] = []
        for line in whole:
            self._partial.append(line)
            line = "".join(self._partial)
            finished.extend(self._line_begins(line))
            self._line_ends(line)
            self._partial = []
        if rest:
            if not self._partial:
                finished.extend(self._line_begins(rest))
            self._partial.append(rest)
        return finished

    def close(self) -> list[Finished]:
        """The text is over: its last block, if there is one."""
        self._lines.append("".join(self._partial))
        last = self._cut()
        self._partial, self._fence, self._blank = [], None, False
        return last

    def _line_begins(self, start: str) -> list[Finished]:
        """A line that begins at the margin after an empty one: what stands before it is finished."""
        if self._fence is not None:
            return self._cut_fence(self._fence) if self._fence.lines >= LONG_FENCE_LINES else []
        if not self._blank or not start[:1].strip():
            return []
        self._blank = False
        return self._cut()

    def _line_ends(self, line: str) -> None:
        self._lines.append(f"{line}\n")
        if self._fence is not None:
            self._fence.lines += 1
            if _closes(line, self._fence):
                self._fence = None
            return
        self._blank = not line.strip()
        opened = _FENCE.fullmatch(line)
        if opened and "`" not in opened[2]:
            self._fence = _Fence(opened[1], opened[2].strip())

    def _cut_fence(self, fence: _Fence) -> list[Finished]:
        fence.lines = 0
        self._lines.append(f"{fence.mark}\n")
        finished = self._cut()
        self._lines.append(f"{fence.mark}{fence.info}\n")
        self._goes_on = True
        return finished

    def _cut(self) -> list[Finished]:
        """Everything so far is finished, but for the empty lines at its end."""
        text = "".join(self._lines).rstrip("\n")
        block = Finished(f"{text}\n", self._goes_on)
        self._lines, self._goes_on = [], False
        return [block] if text.strip() else []


def _closes(line: str, fence: _Fence) -> bool:
    text = line.strip()
    return text.startswith(fence.mark) and not text.strip(fence.mark[0])
