"""What a docstring says of a function and of each of its parameters.

Read in the three ways that are usual, which may even be mixed: sections with indented entries, as
in Google's Python style guide; underlined sections, as in numpydoc's format; and fields such as
``:param city:``, as Sphinx has them for the Python domain. All other text is the description.
"""

import inspect
import re
from collections.abc import Iterator

import msgspec

__all__ = ["Docstring", "parse_docstring"]

_PARAMETERS = frozenset(
    {"args", "arguments", "parameters", "params", "keyword args", "keyword arguments"}
    | {"other parameters"}
)
_OTHERS = re.compile(
    "returns?|yields?|receives?|raises?|except(ions)?|warns?|warnings?|attributes?|methods?"
    "|examples?|notes?|references?|see also|todo"
)

_UNDERLINE = re.compile(r"-{3,}|={3,}")
_ENTRY = re.compile(r"\*{0,2}(\w+)(?:\s*\(.*?\))?\s*:(?:\s+(.*)|$)")
_NAMES = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?")
_FIELD = re.compile(r":(\w+)(?:\s([^:]*))?:(?:\s+(.*)|$)")
_FIELDS = frozenset({"param", "parameter", "arg", "argument", "key", "keyword"})


class Docstring(msgspec.Struct, frozen=True):
    """A docstring taken apart: what the function does, and what its parameters are, by name."""

    description: str = ""
    parameters: dict[str, str] = {}


def parse_docstring(text: str) -> Docstring:
    """Take a docstring apart; what is in none of the usual forms is description.

    >>> parse_docstring("Tell the weather.\\n\\nArgs:\\n    city: its name, in English")
    Docstring(description='Tell the weather.', parameters={'city': 'its name, in English'})
    """
    lines = inspect.cleandoc(text).splitlines()
    said: list[str] = []
    parameters: dict[str, str] = {}
    place = 0
    while place < len(lines):
        end, entries = _section(lines, place)
        parameters.update(entries)
        if end == place:
            said.append(lines[place].rstrip())
            end += 1
        place = end
    description = re.sub(r"\n{3,}", "\n\n", "\n".join(said).strip())
    return Docstring(description, parameters)


def _section(lines: list[str], start: int) -> tuple[int, dict[str, str]]:
    """Where the section that begins here ends, and the parameters in it; ``start`` if none begins."""
    if _is_underlined(lines, start):
        end = start + 2
        while end < len(lines) and not _is_underlined(lines, end):
            end += 1
        body = lines[start + 2 : end]
        return end, dict(_listed(body)) if _title(lines[start]) in _PARAMETERS else {}
    line = lines[start]
    field = _FIELD.fullmatch(line)
    title = _title(line.rstrip().removesuffix(":")) if line.rstrip().endswith(":") else ""
    if not field and not _is_title(title):
        return start, {}
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or lines[end][0].isspace()):
        end += 1
    body = lines[start + 1 : end]
    if field:
        return end, _field(field, body)
    if not any(line.strip() for line in body):  # a sentence that happens to be such a word
        return start, {}
    return end, dict(_entries(body)) if title in _PARAMETERS else {}


def _is_underlined(lines: list[str], place: int) -> bool:
    return (
        place + 1 < len(lines)
        and _is_title(_title(lines[place]))
        and _UNDERLINE.fullmatch(lines[place + 1].strip()) is not None
    )


def _title(line: str) -> str:
    return "" if line[:1].isspace() else line.strip().lower()


def _is_title(text: str) -> bool:
    return text in _PARAMETERS or _OTHERS.fullmatch(text) is not None


def _field(field: re.Match[str], body: list[str]) -> dict[str, str]:
    """The parameter of ``:param city: its name``, or of ``:param str city: its name``."""
    kind, names, text = field.groups(default="")
    if kind not in _FIELDS or not names.split():
        return {}
    return {names.split()[-1].lstrip("*"): _joined([text, *body])}


def _entries(body: list[str]) -> Iterator[tuple[str, str]]:
    """The entries of a section such as "Args:", each with the deeper lines below it."""
    margin = min(_indent(line) for line in body if line.strip())
    name, text = "", [""]
    for line in body:
        entry = _ENTRY.fullmatch(line.strip()) if _indent(line) == margin else None
        if entry is None:
            text.append(line)
            continue
        if name:
            yield name, _joined(text)
        name, text = entry[1], [entry[2] or ""]
    if name:
        yield name, _joined(text)


def _listed(body: list[str]) -> Iterator[tuple[str, str]]:
    """The entries of an underlined section: "city : str", and what it is indented below."""
    names: list[str] = []
    text: list[str] = []
    for line in [*body, "end_"]:
        entry = _NAMES.fullmatch(line.rstrip()) if line.strip() and not _indent(line) else None
        if entry is None:
            text.append(line)
            continue
        yield from ((name, _joined(text)) for name in names)
        names, text = [name.strip().lstrip("*") for name in entry[1].split(",")], []


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: list[str]) -> str:
    """Wrapped lines as one."""
    return " ".join(" ".join(lines).split())
