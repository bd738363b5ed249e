"""A session as one HTML page: no scripts, no other files, nothing fetched; light or dark as the reader."""

import re
from collections.abc import Iterable
from html import escape

from polyvox.agent.sessions.transcript import Marks, Note, Said, Transcript, blocks, data_url
from polyvox.messages import File, Image

__all__ = ["page"]

_PICTURE = re.compile(r"image/[\w.+-]+", re.ASCII)
_STYLE = """
:root { color-scheme: light dark; --line: #8885; --faint: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1rem; margin: 0 0 .4rem; }
section, aside { border-top: 1px solid var(--line); padding: 1rem 0; }
section.user { background: var(--faint); padding: 1rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
.code { font: 14px/1.4 ui-monospace, monospace; background: var(--faint); padding: .6rem; }
.facts, aside { opacity: .75; font-size: .9rem; }
details { margin: .6rem 0; border: 1px solid var(--line); border-radius: .3rem; padding: .3rem .6rem; }
summary { cursor: pointer; } .error { color: #c33; }
img { max-width: 100%; }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(transcript: Transcript) -> str:
    """The whole page."""
    story = (_note(each) if isinstance(each, Note) else _section(each) for each in transcript.story)
    body = "\n".join(story)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{_safe(transcript.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_safe(transcript.title)}</h1>
<p class="facts">{_safe(transcript.facts)}</p>
{body}
<p class="facts">{_safe(transcript.sums)}</p>
</body>
</html>
"""


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


def _safe(text: str) -> str:
    """Whoever reads HTML takes a carriage return for the end of a line, unless it is spelt out."""
    return escape(text).replace("\r", "&#13;")


_MARKS = Marks(_text, _code, _code, _word, _attached, _folded)
