"""Scorers: what makes an answer right. All but ``Graded`` judge by themselves; that one asks a model."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import msgspec

from polyvox import jsontext
from polyvox.client import parse
from polyvox.errors import PolyvoxError
from polyvox.messages import AssistantMessage
from polyvox.tools.conformance import problems

__all__ = [
    "SCORERS",
    "Contains",
    "Exact",
    "Graded",
    "Regex",
    "Schema",
    "Scorer",
    "Verdict",
    "texts_of",
]

Which: TypeAlias = Literal["any", "all"]

_BELOW = {"$ref": "#"}
_HOLDS: list[tuple[str, dict[str, Any]]] = [
    ("additionalProperties not", _BELOW),
    ("allOf anyOf oneOf prefixItems", {"type": "array", "items": _BELOW}),
    ("items", {"anyOf": [_BELOW, {"type": "array"}]}),
    ("properties patternProperties", {"type": "object", "additionalProperties": _BELOW}),
    ("$defs definitions", {"type": "object", "additionalProperties": _BELOW}),
    ("$ref", {"type": "string", "pattern": r"^#(/(\$defs|definitions)/[^/]+)?$"}),
    ("pattern", {"type": "string"}),
    ("type", {"type": ["string", "array"], "items": {"type": "string"}}),
    ("enum", {"type": "array"}),
    ("required", {"type": "array", "items": {"type": "string"}}),
    ("minimum maximum exclusiveMinimum exclusiveMaximum", {"type": "number"}),
    ("multipleOf", {"type": "number", "exclusiveMinimum": 0}),
    ("minLength maxLength minItems maxItems minProperties maxProperties", {"type": "integer"}),
]
_SCHEMAS: dict[str, Any] = {
    "type": ["object", "boolean"],
    "properties": {name: rule for names, rule in _HOLDS for name in names.split()},
}
"""What a JSON schema may hold of the keywords that are understood, as a JSON schema."""

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "a": re.ASCII}


class Verdict(NamedTuple):
    """What an answer is worth, from 0 to 1, and why."""

    score: float
    note: str = ""


RIGHT = Verdict(1.0)


class _Scorer(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True
):
    """Holds an answer against what was expected: a text, or several of which any will do."""

    def complaints(self, expected: Any) -> Iterator[tuple[str, str]]:
        """What is wrong with a case of this kind: the field, and what to do about it."""
        if not texts_of(expected):
            yield "expected", "say what the answer is held against: a text, or a list of texts"
        elif isinstance(expected, dict):
            yield "expected", "an object is what the scorer 'schema' expects; give a text"


class Exact(_Scorer, frozen=True, kw_only=True, tag="exact"):
    """The answer is the text that was expected."""

    ignore_case: bool = False
    strip: bool = True

    def judge(self, message: AssistantMessage, expected: Any) -> Verdict:
        """Right or wrong."""
        wanted = texts_of(expected)
        answer = self._plain(message.text)
        return RIGHT if answer in map(self._plain, wanted) else _missing("expected", wanted, "any")

    def _plain(self, text: str) -> str:
        text = text.strip() if self.strip else text
        return text.casefold() if self.ignore_case else text


class Contains(_Scorer, frozen=True, kw_only=True, tag="contains"):
    """The text that was expected stands somewhere in the answer; with ``words``, as whole words."""

    ignore_case: bool = False
    words: bool = False
    match: Which = "any"

    def judge(self, message: AssistantMessage, expected: Any) -> Verdict:
        """Right or wrong."""
        flags = re.IGNORECASE if self.ignore_case else re.NOFLAG
        form = r"(?<!\w){}(?!\w)" if self.words else "{}"

        def found(text: str) -> bool:
            return re.search(form.format(re.escape(text)), message.text, flags) is not None

        return _matched(found, texts_of(expected), self.match, "no")


class Regex(_Scorer, frozen=True, kw_only=True, tag="regex"):
    """The regular expression that was expected is found in the answer; with ``full``, is all of it.

    ``flags`` are letters of Python's: i, m, s, x, a. How long it searches is not bounded: a pattern
    such as "(a+)+$" can hold up all, and is its author's to mend. A second Ctrl-C ends that, too.
    """

    flags: str = ""
    full: bool = False
    match: Which = "any"

    def complaints(self, expected: Any) -> Iterator[tuple[str, str]]:
        """As for the others; and what is no regular expression, or no flag."""
        yield from super().complaints(expected)
        if unknown := sorted(set(self.flags) - _FLAGS.keys()):
            yield "scorer.flags", f"there is no flag {unknown[0]!r}; known are {', '.join(_FLAGS)}"
        for pattern in texts_of(expected):
            try:
                re.compile(pattern, self._all_flags())
            # Python has four ways to refuse one: too long a repetition, flags that exclude each other, ...
            except (re.error, OverflowError, ValueError, RecursionError) as error:
                yield "expected", f"{pattern!r} is no regular expression: {error}"

    def judge(self, message: AssistantMessage, expected: Any) -> Verdict:
        """Right or wrong."""
        search = re.fullmatch if self.full else re.search

        def found(pattern: str) -> bool:
            return search(pattern, message.text.strip(), self._all_flags()) is not None

        return _matched(found, texts_of(expected), self.match, "no match of")

    def _all_flags(self) -> int:
        return sum(_FLAGS[letter] for letter in _FLAGS.keys() & set(self.flags))


class Schema(_Scorer, frozen=True, kw_only=True, tag="schema"):
    """The answer is JSON of this JSON schema; and, where something is expected, just that value.

    The model is asked for JSON by the schema, unless ``ask`` is false: it is then only checked.
    """

    schema: dict[str, Any]
    ask: bool = True

    def complaints(self, expected: Any) -> Iterator[tuple[str, str]]:
        """A schema that is none, and an expected value that it would refuse."""
        wrong = next(problems(self.schema, _SCHEMAS), None)
        if wrong is not None:
            yield "scorer.schema", f"this is no JSON schema: {wrong[1]} at {wrong[0]}"
        elif expected is not None:
            for path, text in problems(expected, self.schema):
                yield "expected", f"it does not fit the case's own schema: {text} at {path}"

    def judge(self, message: AssistantMessage, expected: Any) -> Verdict:
        """Right or wrong, and where it breaks."""
        try:
            value = parse(message, self.schema)
        except PolyvoxError as error:
            return Verdict(0.0, error.text)
        wrong = [] if expected is None else list(problems(value, {"const": expected}))
        return Verdict(0.0, wrong[0][1]) if wrong else RIGHT


class Graded(_Scorer, frozen=True, kw_only=True, tag="graded"):
    """Another model gives a score between 0 and 1, by a rubric or against a reference in ``expected``.

    ``model`` is who grades, in place of the evaluation's grader. From ``threshold`` on an answer
    counts as correct.
    """

    rubric: str = ""
    model: str = ""
    threshold: float = 0.5

    def complaints(self, expected: Any) -> Iterator[tuple[str, str]]:
        """A grader must know something to grade by."""
        if not (self.rubric.strip() or texts_of(expected)):
            yield "scorer.rubric", "say what makes an answer good here, or give a reference answer"
        if not 0 < self.threshold <= 1:
            yield "scorer.threshold", f"it is {self.threshold:g}; give more than 0, at most 1"


Scorer: TypeAlias = Exact | Contains | Regex | Schema | Graded

SCORERS: dict[str, type[Scorer]] = {
    "exact": Exact,
    "contains": Contains,
    "regex": Regex,
    "schema": Schema,
    "graded": Graded,
}


def texts_of(expected: Any) -> list[str]:
    """What was expected, as texts; numbers as they are written in JSON."""
    parts = cast("list[Any]", expected) if isinstance(expected, list) else [expected]
    return [
        part if isinstance(part, str) else jsontext.encode(part).decode()
        for part in parts
        if part is not None and part != ""
    ]


def _matched(
    found: Callable[[str], bool], wanted: Sequence[str], which: Which, complaint: str
) -> Verdict:
    missing = [text for text in wanted if not found(text)]
    right = not missing if which == "all" else len(missing) < len(wanted)
    return RIGHT if right else _missing(complaint, missing, which)


def _missing(complaint: str, texts: Iterable[str], which: Which) -> Verdict:
    return Verdict(
        0.0, f"{complaint} " + (" or " if which == "any" else ", ").join(map(repr, texts))
    )
