"""On which line a key stands: right for every document that is TOML, however it is written."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyvox.config.positions import KeyPath, key_lines

# What may stand in a document and looks like something else.
TEXTS = st.sampled_from(
    [
        "",
        "plain",
        "[table]",
        "a = 1",
        "# no comment",
        'say "hi"',
        "it's",
        "}",
        "]",
        ",",
        "\\",
        "é\t",
    ]
)
BARE = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
KEYS = BARE | TEXTS | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4)


class Writer:
    """Writes a document whose every number is the line that its key stands on."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.text = ""

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def document(self, tables: dict[str, Any]) -> None:
        for name, table in tables.items():
            self._noise()
            if isinstance(table, list):
                for each in table:
                    self._header(f"[[{self._key(name)}]]", each)
            elif self._draw(st.booleans()):
                self._header(f"[ {self._key(name)} ]", table)
            else:
                # Written with headers of its own for each of its keys.
                for key in table:
                    self._header(f"[{self._key(name)} . {self._key(key)}]", {"x": 0, "y": [0]})

    def _header(self, header: str, table: dict[str, Any]) -> None:
        self.text += f"{header} # [not.this]\n"
        for key, value in table.items():
            self._noise()
            self.text += f"{self._key(key)} = "
            self._value(value)
            self.text += "\n"

    def _noise(self) -> None:
        self.text += self._draw(st.sampled_from(["", "\n", "# a = 1\n", "\n  # [x]\r\n\t"]))

    def _key(self, key: str) -> str:
        if key.isascii() and key.replace("-", "").replace("_", "").isalnum():
            return key
        if "'" not in key and key.isprintable() and self._draw(st.booleans()):
            return f"'{key}'"
        return json.dumps(key, ensure_ascii=False)

    def _value(self, value: Any) -> None:
        if isinstance(value, dict):
            self._inline(value)
        elif isinstance(value, list):
            self._list(value)
        elif isinstance(value, str):
            self._string(value)
        else:
            self.text += f"{self.line}"

    def _inline(self, table: dict[str, Any]) -> None:
        self.text += "{ "
        for place, (key, value) in enumerate(table.items()):
            self.text += ", " if place else ""
            self.text += f"{self._key(key)}= "
            self._value(value)
        self.text += "}"

    def _list(self, items: list[Any]) -> None:
        gaps = st.sampled_from(["", " ", "\n  ", " # ] , [\n"])
        self.text += "["
        for place, item in enumerate(items):
            self.text += "," if place else ""
            self.text += self._draw(gaps)
            self._value(item)
        self.text += self._draw(st.sampled_from(["", ",\n"] if items else [""])) + "]"

    def _string(self, text: str) -> None:
        form = self._draw(st.sampled_from(["basic", "lines", "literal"]))
        if form == "lines":
            inside = text.replace("\\", "\\\\").replace('"', '\\"')
            self.text += f'"""\n{inside}\n[x]\na = 1 "" \\\n  #"""'
        elif form == "literal" and "'" not in text:
            self.text += f"'''\n{text}\n'''''"
        else:
            self.text += json.dumps(text, ensure_ascii=False)


VALUES = st.recursive(
    st.integers(0, 0) | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=6,
)
TABLE = st.dictionaries(KEYS, VALUES, max_size=4)
DOCUMENTS = st.dictionaries(KEYS, TABLE | st.lists(TABLE, min_size=1, max_size=3), max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> str:
    writer = Writer(draw)
    writer.document(draw(DOCUMENTS))
    return writer.text


def paths(value: Any, path: KeyPath = ()) -> dict[KeyPath, Any]:
    """Every key and item below, with its value."""
    if isinstance(value, dict):
        below = value.items()
    elif isinstance(value, list):
        below = enumerate(value)
    else:
        return {}
    found: dict[KeyPath, Any] = {}
    for step, inner in below:
        found[(*path, step)] = inner
        found |= paths(inner, (*path, step))
    return found


@given(documents())
def test_every_key_of_every_document_has_its_line(text: str):
    values = paths(tomllib.loads(text))
    lines = key_lines(text)
    assert lines.keys() == values.keys()
    numbers = {path: value for path, value in values.items() if isinstance(value, int)}
    assert {path: lines[path] for path in numbers} == numbers


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        ("a = 1", ("a",), 1),
        ("\n\na . b = 1", ("a", "b"), 3),
        ("[a]\n[a.b]\nc = 1", ("a", "b", "c"), 3),
        ("[[a]]\nx = 1\n[[a]]\nx = 2", ("a", 1, "x"), 4),
        ("[[a]]\n[a.b]\nx = 1\n[[a]]\n[[a.c]]\nx = 2", ("a", 1, "c", 0, "x"), 6),
        ('a = """\nb = 1\n"""\nb = 2', ("b",), 4),
        ("a = '''\n''''\nb = 2", ("b",), 3),
        ('"a\\"b" = 1', ('a"b',), 1),
        ("a = 07:32:00\nb = 1", ("b",), 2),
        ("a = 1 # b = 2\nb = 3", ("b",), 2),
        ("a = [\n  {b = 1},\n  {b = 2},\n]", ("a", 1, "b"), 3),
        ("a = { b.c = 1 }", ("a", "b", "c"), 1),
        ("a = 1\r\nb = 2\r\n", ("b",), 2),
        ("[ a . 'b c' ]\nd = inf", ("a", "b c", "d"), 2),
    ],
)
def test_odd_ways_of_writing(text: str, path: KeyPath, line: int):
    assert key_lines(text)[path] == line


def test_an_empty_document_has_no_keys():
    assert key_lines("# nothing\n") == {}
