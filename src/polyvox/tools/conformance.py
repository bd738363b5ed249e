"""Whether a JSON value conforms to a JSON schema.

Understood of JSON schema (draft 2020-12, parts "Core" and "Validation"): all that the schemas of
types hold. ``format`` is an annotation, as the draft has it; unknown keywords say nothing.
"""

import operator
import re
from collections.abc import Callable, Hashable, Iterator
from fractions import Fraction
from typing import Any, TypeAlias

from polyvox.dialects.schema import Schema, resolved, types_of
from polyvox.suggestions import did_you_mean

Problem: TypeAlias = tuple[str, str]
"""A place in the value, such as "$.people[0].age", and what is wrong there."""

_KINDS: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "integer": lambda value: _is_number(value) and value % 1 == 0,
    "number": lambda value: _is_number(value),  # noqa: PLW0108 - it is defined below
}

_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "exclusiveMaximum": (operator.lt, "less than"),
}

_WORDS = {
    "null": "null",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "integer": "a whole number",
}


def problems(value: Any, schema: Schema) -> Iterator[Problem]:
    """Everything in which the value does not conform.

    >>> list(problems({"n": "one"}, {"properties": {"n": {"type": "integer"}}}))
    [('$.n', 'expected a whole number, got a string')]
    """
    return _Checker(schema).check(value, schema, "$")


class _Checker:
    """Checks values against parts of one schema."""

    def __init__(self, root: Schema) -> None:
        self._root = root

    def check(self, value: Any, schema: Any, path: str) -> Iterator[Problem]:
        if not isinstance(schema, dict):
            if schema is False:
                yield path, "nothing may stand here"
            return
        here = resolved(schema, self._root)  # pyright: ignore[reportUnknownArgumentType]
        wanted = types_of(here)
        if wanted and not any(_KINDS.get(name, _anything)(value) for name in wanted):
            yield path, f"expected {' or '.join(map(_in_words, wanted))}, got {kind_of(value)}"
            return
        if "enum" in here and not any(_same(value, each) for each in here["enum"]):
            yield path, f"{value!r} is none of {', '.join(map(repr, here['enum']))}"
        if "const" in here and not _same(value, here["const"]):
            yield path, f"{value!r} is not {here['const']!r}"
        yield from self._combined(value, here, path)
        if isinstance(value, dict):
            yield from self._object(value, here, path)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, list):
            yield from self._array(value, here, path)  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, str):
            yield from _text(value, here, path)
        elif _is_number(value):
            yield from _number(value, here, path)

    def _combined(self, value: Any, schema: Schema, path: str) -> Iterator[Problem]:
        for part in schema.get("allOf", ()):
            yield from self.check(value, part, path)
        if "anyOf" in schema:
            tries = [list(self.check(value, part, path)) for part in schema["anyOf"]]
            if all(tries):
                # The branch that went furthest is most likely the one that was meant.
                yield max(tries, key=lambda found: len(found[0][0]))[0]
        if "oneOf" in schema:
            tries = [list(self.check(value, part, path)) for part in schema["oneOf"]]
            fitting = tries.count([])
            if fitting > 1:
                yield path, f"fits {fitting} of the schemas of which it must fit one"
            elif not fitting:
                yield max(tries, key=lambda found: len(found[0][0]))[0]
        if "not" in schema and not any(self.check(value, schema["not"], path)):
            yield path, "is just what it must not be"

    def _object(self, value: Schema, schema: Schema, path: str) -> Iterator[Problem]:
        for name in schema.get("required", ()):
            if name not in value:
                yield path, f"{name!r} is missing"
        properties: Schema = schema.get("properties", {})
        patterns: Schema = schema.get("patternProperties", {})
        more: Any = schema.get("additionalProperties", True)
        for name, below in value.items():
            where = f"{path}.{name}"
            rules = [rule for pattern, rule in patterns.items() if _matches(pattern, name)]
            if name in properties:
                rules.append(properties[name])
            if not rules and more is False:
                yield path, f"{name!r} is not known here{did_you_mean(name, properties, '')}"
                continue
            for rule in rules or [more]:
                yield from self.check(below, rule, where)
        yield from _size(len(value), schema, ("minProperties", "maxProperties"), path, "keys")

    def _array(self, value: list[Any], schema: Schema, path: str) -> Iterator[Problem]:
        first: list[Any] = schema.get("prefixItems", [])
        rest: Any = schema.get("items", True)
        for place, item in enumerate(value):
            rule = first[place] if place < len(first) else rest
            yield from self.check(item, rule, f"{path}[{place}]")
        if schema.get("uniqueItems") and len(set(map(_identity, value))) < len(value):
            yield path, "holds the same item twice"
        yield from _size(len(value), schema, ("minItems", "maxItems"), path, "items")


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    kinds = (name for name, fits in _KINDS.items() if fits(value))
    return _in_words(next(kinds, type(value).__name__))


def _in_words(kind: str) -> str:
    return _WORDS.get(kind, f"a {kind}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(value: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1, but 1 is 1.0."""
    return _identity(value) == _identity(other)


def _identity(value: Any) -> Hashable:
    """What is equal for values that are the same."""
    if isinstance(value, list):
        return ("list", *map(_identity, value))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, dict):
        return ("dict", frozenset((name, _identity(each)) for name, each in value.items()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return (isinstance(value, bool), value)


def _anything(value: Any) -> bool:
    """Fits a type of which the draft knows nothing."""
    return True


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # a pattern in another flavour than Python's can't be checked here
        return True


def _size(
    size: int, schema: Schema, bounds: tuple[str, str], path: str, what: str
) -> Iterator[Problem]:
    least, most = (schema.get(name) for name in bounds)
    if least is not None and size < least:
        yield path, f"has {size} {what}, fewer than {least}"
    if most is not None and size > most:
        yield path, f"has {size} {what}, more than {most}"


def _text(value: str, schema: Schema, path: str) -> Iterator[Problem]:
    yield from _size(len(value), schema, ("minLength", "maxLength"), path, "characters")
    pattern: str | None = schema.get("pattern")
    if pattern is not None and not _matches(pattern, value):
        yield path, f"{value!r} does not match {pattern!r}"


def _number(value: float, schema: Schema, path: str) -> Iterator[Problem]:
    for name, (holds, words) in _BOUNDS.items():
        if name in schema and not holds(value, schema[name]):
            yield path, f"{value} is not {words} {schema[name]}"
    step = schema.get("multipleOf")
    if step and Fraction(repr(value)) % Fraction(repr(step)):
        yield path, f"{value} is no multiple of {step}"
