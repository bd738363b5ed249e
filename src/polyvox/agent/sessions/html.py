"""A session as one HTML page: no scripts, no other files, nothing fetched; light or dark as the reader."""

import re
from collections.abc import Iterable

from polyvox.agent.sessions.transcript import Marks, Note, Said, Transcript, blocks, data_url
from polyvox.messages import File, Image
from polyvox.page import framed
from polyvox.page import safe as _safe

__all__ = ["page"]

_PICTURE = re.compile(r"image/[\w.+-]+", re.ASCII)
_STYLE = """
body { max-width: 52rem; }
section, aside { border-top: 1px solid var(--line); padding: 1rem 0; }
section.user { background: var(--faint); padding: 1rem; }
.code { font: 14px/1.4 ui-monospace, monospace; background: var(--faint); padding: .6rem; }
.facts, aside { opacity: .75; font-size: .9rem; }
details { margin: .6rem 0; border: 1px solid var(--line); border-radius: .3rem; padding: .3rem .6rem; }
img { max-width: 100%; }
"""


def page(transcript: Transcript) -> str:
    """The whole page."""
    story = (_note(each) if isinstance(each, Note) else _section(each) for each in transcript.story)
    body = [
        f'<p class="facts">{_safe(transcript.facts)}</p>',
        *story,
        f'<p class="facts">{_safe(transcript.sums)}</p>',
    ]
    return framed(transcript.title, "\n".join(body), _STYLE)


def _note(note: Note) -> str:
    about = _folded("Messages", map(_section, note.about)) if note.about else ""
    return f"<aside>{_text(note.text)}{about}</aside>"


def _section(said: Said) -> str:
    kind = said.speaker.partition(" ")[0].lower()
    body = "\n".join(blocks(said, _MARKS))
    return f'<section class="{kind}">\n<h2>{_safe(said.speaker)}</h2>\n{body}\n</section>'


def _attached(block: Image | File) -> str:
    """Pictures are shown and files can be saved when their bytes are here; nothing is fetched."""
    if isinstance(block, Image) and block.data is not None and _PICTURE.fullmatch(block.media_type):
        return f'<img alt="image" src="{_safe(data_url(block))}">'
    if block.data is not None:
        name = _safe((block.name if isinstance(block, File) else "") or "file")
        facts = _safe(f"{block.media_type}, {len(block.data):,} bytes")
        return f'<p><a download="{name}" href="{_safe(data_url(block))}">{name}</a> ({facts})</p>'
    where = block.url or (block.id if isinstance(block, File) else "") or ""
    return f"<p>{type(block).__name__}: {_safe(where)}</p>"


def _folded(summary: str, parts: Iterable[str]) -> str:
    inside = "\n".join(parts)
    return f"<details>\n<summary>{_safe(summary)}</summary>\n{inside}\n</details>"


def _text(text: str) -> str:
    """A text that is the same again when it is copied off the page."""
    return f'<div class="text">{_safe(text)}</div>'


def _code(text: str) -> str:
    return f'<div class="text code">{_safe(text)}</div>'


def _word(word: str) -> str:
    return '<p class="error">Error:</p>' if word == "Error:" else f"<p>{word}</p>"


_MARKS = Marks(_text, _code, _code, _word, _attached, _folded)
