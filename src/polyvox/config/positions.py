"""On which line a key of a TOML file stands; the standard library's reader does not tell.

Works on text that ``tomllib`` has accepted: what is no TOML is found there, and here only keys are
looked for. The grammar is that of the page "TOML v1.0.0".
"""

import re
import tomllib
from collections.abc import Iterator

__all__ = ["KeyPath", "key_lines"]

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of tables, places in lists."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_BARE_VALUE = re.compile(r"[^,\]}#\r\n]+")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, counted from 1, of every key and list item; of a table where it is first named.

    >>> key_lines("[a.b]\\nc = [1, {d = 2}]")[("a", "b", "c", 1, "d")]
    2
    """
    return _Scanner(text).lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.lines: dict[KeyPath, int] = {}
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._line = 1
        self._counted = 0
        self._lists: dict[KeyPath, int] = {}  # of each list of tables: the place of its last
        self._document()

    def _document(self) -> None:
        table: KeyPath = ()
        while self._skip(_BLANK) and self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text[self._at] == "[":
                table = self._header(1)
            else:
                self._pair(table)

    def _header(self, brackets: int) -> KeyPath:
        self._at += brackets
        self._skip(_BLANK)
        *parents, last = list(self._key())
        path: KeyPath = ()
        for name in parents:
            path = self._inside((*path, name))
        path = (*path, last)
        self._note(path)
        if brackets == 2:
            self._lists[path] = self._lists.get(path, -1) + 1
            path = self._inside(path)
        self._skip(_BLANK)
        self._at += brackets
        return path

    def _inside(self, path: KeyPath) -> KeyPath:
        """The table of that name; of a list of tables the last one."""
        self._note(path)
        if path in self._lists:
            path = (*path, self._lists[path])
            self._note(path)
        return path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for name in self._key():
            path = (*path, name)
            self._note(path)
        self._skip(_BLANK)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> Iterator[str]:
        while True:
            quoted = _STRING.match(self._text, self._at)
            found = quoted or _BARE_KEY.match(self._text, self._at)
            assert found is not None, "tomllib has accepted it"
            self._at = found.end()
            yield next(iter(tomllib.loads(f"{found[0]}=0"))) if quoted else found[0]
            if not self._skip(_DOT):
                return

    def _value(self, path: KeyPath) -> None:
        self._skip(_BLANK)
        opening = self._text[self._at]
        if opening == "[":
            self._items(path)
        elif opening == "{":
            self._inline(path)
        else:
            _ = self._skip(_STRING) or self._skip(_BARE_VALUE)

    def _items(self, path: KeyPath) -> None:
        self._at += 1
        place = 0
        while self._skip(_BLANK) and self._text[self._at] != "]":
            self._note((*path, place))
            self._value((*path, place))
            place += 1
            self._comma()
        self._at += 1

    def _inline(self, path: KeyPath) -> None:
        self._at += 1
        while self._skip(_BLANK) and self._text[self._at] != "}":
            self._pair(path)
            self._comma()
        self._at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self._text[self._at] == ",":
            self._at += 1

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self._text, self._at)
        if found is None:
            return False
        self._at = found.end()
        return True

    def _note(self, path: KeyPath) -> None:
        """Remember where this key was first seen: where the scanner has last been."""
        if path not in self.lines:
            self._line += self._text.count("\n", self._counted, self._at)
            self._counted = self._at
            self.lines[path] = self._line
