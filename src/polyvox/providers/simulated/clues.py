"""What a user's text offers for filling in the arguments of a tool."""

import re
from collections.abc import Callable, Iterable

FORMATS = {
    "uuid": r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
    "uri": r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?)]",
    "email": r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b",
    "date-time": r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?",
    "date": r"\b\d{4}-\d\d-\d\d\b",
    "time": r"\b\d\d:\d\d(?::\d\d)?\b",
    "ipv4": r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
}
"""Formats of JSON schema that can be recognised in a text, most telling first."""

_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|`([^`\n]+)`|(?<!\w)'([^'\n]+)'(?!\w)")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?!\w|\.\d)")
_NAME = re.compile(r"[^\W\d_a-z]\w*(?:[ -][^\W\d_a-z]\w*)*")
_AFTER_PREPOSITION = re.compile(r"\b(?:in|at|for|near|from|to)\s+([^\W\d]\w+)")
_EXPRESSION = re.compile(r"[\d(][\d\s.,()+\-*/^%×÷]*[+\-*/^%×÷][\d\s.,()+\-*/^%×÷]*[\d)]")
_PATH = re.compile(r"(?<!\S)(?:[\w.~-]*/[\w./~-]*\w|[\w-]+\.[A-Za-z]\w{0,4})(?!\w)")
_LIST_GOES_ON = re.compile(r"(?:,| and| or| to) [^\W\d_a-z]")
_SENTENCE_START = re.compile(r"(?:^|[.!?:]\s+)\W*\Z")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NO_NAMES = _set(
    "a an and are at can compute could create do does fetch find for from get give has have how i if"
    " in is it let list look make my of on or please read run search send set show tell that the then"
    " there this to use was what when where which who why will with would write you"
)
_PLACES_OR_PEOPLE = _set(
    "author city company country destination district location name origin person place region state"
    " street topic town user village who where"
)
_WHOLE_TEXT = _set("content input message prompt q query question request search task text")
_EXPRESSIONS = _set("calculation equation expr expression formula sum term")
_PATHS = _set("file filename filepath path")


def words_of(name: str) -> list[str]:
    """The words of an identifier, in lower case.

    >>> words_of("get_currentWeather")
    ['get', 'current', 'weather']
    """
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+", name)
    return [part.casefold() for part in parts]


class Clues:
    """The words, names, numbers and quotations of a text. What is taken is not given out again."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = {word.casefold() for word in re.findall(r"\w+", text)}
        rest = text
        self._formats: dict[str, list[str]] = {}
        for name, pattern in FORMATS.items():
            self._formats[name] = re.findall(pattern, rest)
            rest = re.sub(pattern, " ", rest)
        self._numbers = _NUMBER.findall(rest)
        self._quoted = ["".join(found) for found in _QUOTED.findall(rest)]
        self._names = _names_in(rest)
        self._lower_names = _AFTER_PREPOSITION.findall(rest)
        self._expressions = [found.strip() for found in _EXPRESSION.findall(rest)]
        self._paths = _PATH.findall(rest)

    def says(self, value: object) -> bool:
        """Whether the text names this value, as words of its own."""
        pattern = rf"(?<!\w){re.escape(str(value).replace('_', ' '))}(?!\w)"
        return re.search(pattern, self.text.replace("_", " "), re.IGNORECASE) is not None

    def sum_for(self, name: str) -> bool:
        """Whether the text holds a calculation and a property of this name would take one."""
        return bool(self._expressions) and not _EXPRESSIONS.isdisjoint(words_of(name))

    def number(self, fits: Callable[[int | float], bool], *, whole: bool) -> int | float | None:
        """The next number that fits."""
        for place, found in enumerate(self._numbers):
            number = float(found) if "." in found else int(found)
            if fits(number) and (isinstance(number, int) or not whole):
                del self._numbers[place]
                return number
        return None

    def string(self, name: str, format: str, fits: Callable[[str], bool]) -> str | None:
        """A string that the property's name or format suggests."""
        if format:
            return _take(self._formats.get(format, []), fits)
        return next(
            (found for source in self._sources(name) if (found := _take(source, fits))), None
        )

    def any_string(self, fits: Callable[[str], bool]) -> str | None:
        """A string for a property whose name suggests nothing: a quotation, or a name."""
        return _take(self._quoted, fits) or _take(self._names, fits)

    def _sources(self, name: str) -> Iterable[list[str]]:
        words = set(words_of(name))
        if words & _EXPRESSIONS:
            yield self._expressions
        if words & _PATHS:
            yield self._paths
        if words & _PLACES_OR_PEOPLE:
            yield self._quoted
            yield self._names
            yield self._lower_names
        if words & _WHOLE_TEXT:
            yield self._quoted
            yield [self.text]


def _names_in(text: str) -> list[str]:
    """Capitalised words, those within a sentence first: at its beginning any word has a capital."""
    inside: list[str] = []
    leading: list[str] = []
    for found in _NAME.finditer(text):
        words = found.group().split(" ")
        starts = _SENTENCE_START.search(text[max(0, found.start() - 8) : found.start()])
        listed = _LIST_GOES_ON.match(text, found.end())
        while words and words[0].casefold() in _NO_NAMES:
            words.pop(0)
            starts = None
        if words:
            (leading if starts and not listed else inside).append(" ".join(words))
    return inside + leading


def _take(source: list[str], fits: Callable[[str], bool]) -> str | None:
    for place, found in enumerate(source):
        if fits(found):
            return source.pop(place)
    return None
