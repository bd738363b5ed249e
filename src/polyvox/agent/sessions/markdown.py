"""A session as Markdown. Texts stand in it as they were said; what a tool got and gave, in fences."""

import re
from collections.abc import Iterable, Iterator
from functools import partial
from html import escape

from polyvox.agent.sessions.transcript import Marks, Note, Said, Transcript, blocks, data_url
from polyvox.messages import File, Image

__all__ = ["page"]


def page(transcript: Transcript) -> str:
    """The whole text."""
    parts = [f"# {transcript.title}", transcript.facts]
    for each in transcript.story:
        parts += _note(each) if isinstance(each, Note) else _said(each)
    return "\n\n".join([*parts, "---", transcript.sums]) + "\n"


def _note(note: Note) -> Iterator[str]:
    yield "> " + " ".join(note.text.split())
    if note.about:
        yield _folded("Messages", (part for said in note.about for part in _said(said)))


def _said(said: Said) -> Iterator[str]:
    yield f"## {said.speaker}"
    yield from blocks(said, _MARKS)


def _attached(block: Image | File) -> str:
    """Pictures are shown when their bytes are here; nothing is fetched by looking at the page."""
    if isinstance(block, Image):
        return f"![image]({data_url(block)})" if block.data is not None else f"Image: {block.url}"
    size = f"{len(block.data):,} bytes" if block.data is not None else block.url or block.id
    return "File: " + ", ".join(part for part in (block.name, block.media_type, size) if part)


def _folded(summary: str, parts: Iterable[str]) -> str:
    inside = "\n\n".join(parts)
    return f"<details>\n<summary>{escape(summary)}</summary>\n\n{inside}\n\n</details>"


def _fenced(text: str, language: str = "") -> str:
    """The text between marks that are longer than any in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


_MARKS = Marks(str, partial(_fenced, language="json"), _fenced, str, _attached, _folded)
