"""Arguments for a tool: a JSON value of the tool's schema, with what the user's text gives for it.

Understood of JSON schema (draft 2020-12, parts "Core" and "Validation"): ``$ref`` within the schema,
``type``, ``enum``, ``const``, ``default``, ``properties``, ``required``, ``items``, ``allOf``, the
first branch of ``anyOf`` and ``oneOf``, bounds of numbers, strings and arrays, ``multipleOf``,
``uniqueItems``, and the formats of ``clues.FORMATS``. A ``pattern`` is only met when some word of the
text meets it.
"""

import math
import re
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias

from polyvox.providers.simulated.clues import Clues
from polyvox.providers.simulated.lorem import WORDS

Schema: TypeAlias = dict[str, Any]

_MISSING = object()
_DEEPEST = 8


def make_arguments(schema: Schema, text: str, seed: int | str = 0) -> dict[str, Any]:
    """An object of the schema: from the text what it offers, the rest by the seed.

    >>> make_arguments(
    ...     {"properties": {"city": {"type": "string"}}, "required": ["city"]}, "Rain in Oslo?"
    ... )
    {'city': 'Oslo'}
    """
    value = make_value({"type": "object", **schema}, text, seed)
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def make_value(schema: Schema, text: str, seed: int | str = 0) -> Any:
    """A value of any schema, made as ``make_arguments`` makes objects."""
    return _Filler(schema, Clues(text), Random(seed)).value(schema, "", 0)


class _Filler:
    """Makes values of one schema."""

    def __init__(self, root: Schema, clues: Clues, random: Random) -> None:
        self._root = root
        self._clues = clues
        self._random = random

    def value(self, schema: Schema, name: str, depth: int) -> Any:
        """A value that this schema allows."""
        schema = self._resolved(schema)
        found = self._suggested(schema, name)
        if found is not _MISSING:
            return found
        if "default" in schema:
            return schema["default"]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if _may_be_null(schema) and depth:
            return None
        makers: dict[str, Callable[[Schema, str, int], Any]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._number,
            "number": self._number,
            "boolean": self._boolean,
        }
        maker = makers.get(_type_of(schema))
        return maker(schema, name, depth) if maker and depth <= _DEEPEST else None

    def _suggested(self, schema: Schema, name: str) -> Any:
        """What the schema itself fixes or the text says for it."""
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return next((item for item in schema["enum"] if self._clues.says(item)), _MISSING)
        found: Any = None
        match _type_of(schema):
            case "string":
                fits = _string_check(schema)
                found = self._clues.string(name, schema.get("format", ""), fits)
            case "integer" | "number" as kind:
                found = self._clues.number(_number_check(schema), whole=kind == "integer")
            case _:
                pass
        return _MISSING if found is None else found

    def _object(self, schema: Schema, name: str, depth: int) -> dict[str, Any]:
        properties: dict[str, Schema] = schema.get("properties", {})
        required: list[str] = schema.get("required", [])
        made: dict[str, Any] = {}
        # What is required has the first pick of what the text offers.
        for key in required:
            made[key] = self.value(properties.get(key, {"type": "string"}), key, depth + 1)
        for key, below in properties.items():
            if key not in made:
                found = self._suggested(self._resolved(below), key)
                if found is not _MISSING:
                    made[key] = found
        return {key: made[key] for key in [*properties, *required] if key in made}

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        least = int(schema.get("minItems", 1))
        most = int(schema.get("maxItems", max(least, 1)))
        items: Schema = schema.get("items", {"type": "string"})
        singular = (
            name.removesuffix("ies") + "y" if name.endswith("ies") else name.removesuffix("s")
        )
        made: list[Any] = []
        for _ in range(_DEEPEST * max(least, 1)):
            if len(made) >= min(most, max(least, 1)):
                break
            item = self.value(items, singular, depth + 1)
            if not (schema.get("uniqueItems") and item in made):
                made.append(item)
        while "maxItems" not in schema or len(made) < most:
            found = self._suggested(self._resolved(items), singular)
            if (
                found is _MISSING
                or found in made
                or _type_of(items) not in ("string", "integer", "number")
            ):
                break
            made.append(found)
        return made

    def _string(self, schema: Schema, name: str, depth: int) -> str:
        format = schema.get("format", "")
        if format:
            return self._formatted(format)
        fits = _string_check(schema)
        if found := self._clues.any_string(fits):
            return found
        if "pattern" in schema:
            word = next(filter(fits, re.findall(r"\S+", self._clues.text)), None)
            if word is not None:
                return word
        text = self._random.choice(WORDS)
        while len(text) < int(schema.get("minLength", 0)):
            text += " " + self._random.choice(WORDS)
        return text[: int(schema.get("maxLength", len(text)))]

    def _formatted(self, format: str) -> str:
        random = self._random
        date = f"2025-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
        time = f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:00Z"
        word = random.choice(WORDS)
        digits = f"{random.getrandbits(128):032x}"
        uuid = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"
        made = {
            "date": date,
            "time": time,
            "date-time": f"{date}T{time}",
            "email": f"{word}@example.com",
            "hostname": f"{word}.example.com",
            "uri": f"https://example.com/{word}",
            "uuid": uuid,
            "ipv4": f"192.0.2.{random.randint(1, 254)}",
            "ipv6": f"2001:db8::{random.randint(1, 9999)}",
        }
        return made.get(format, word)

    def _boolean(self, schema: Schema, name: str, depth: int) -> bool:
        return self._random.choice((True, False))

    def _number(self, schema: Schema, name: str, depth: int) -> int | float:
        low, high = _bounds(schema)
        step = schema.get("multipleOf", 1)
        first, last = math.ceil(low / step), math.floor(high / step)
        if first <= last:
            number = self._random.randint(first, last) * step
        elif _type_of(schema) == "number":
            number = (low + high) / 2
        else:
            number = low
        return int(number) if float(number).is_integer() else number

    def _resolved(self, schema: Schema, depth: int = 0) -> Schema:
        """The schema without references and combinations."""
        if depth > _DEEPEST:
            return {}
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return self._resolved({**self._referred(schema["$ref"]), **rest}, depth + 1)
        if "allOf" in schema:
            merged = {key: value for key, value in schema.items() if key != "allOf"}
            for part in schema["allOf"]:
                merged = _merged(merged, self._resolved(part, depth + 1))
            return self._resolved(merged, depth + 1)
        branches: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or []
        if not branches:
            return schema
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf")}
        chosen = next((branch for branch in branches if branch.get("type") != "null"), branches[0])
        made = self._resolved({**rest, **chosen}, depth + 1)
        nullable = any(branch.get("type") == "null" for branch in branches)
        return {**made, "nullable": True} if nullable else made

    def _referred(self, pointer: str) -> Schema:
        value: Any = self._root
        for part in pointer.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            value = value.get(key, {}) if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _type_of(schema: Schema) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds: list[Any] = kind  # pyright: ignore[reportUnknownVariableType]
        kind = next((name for name in kinds if name != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _may_be_null(schema: Schema) -> bool:
    kind = schema.get("type")
    return bool(schema.get("nullable")) or (isinstance(kind, list) and "null" in kind)


def _merged(one: Schema, other: Schema) -> Schema:
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        both["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        both["required"] = [*one["required"], *other["required"]]
    return both


def _string_check(schema: Schema) -> Callable[[str], bool]:
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    pattern = schema.get("pattern")

    def fits(text: str) -> bool:
        return least <= len(text) <= most and (pattern is None or _matches(pattern, text))

    return fits


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # written for another dialect of regular expressions
        return False


def _number_check(schema: Schema) -> Callable[[int | float], bool]:
    step = schema.get("multipleOf")

    def fits(number: int | float) -> bool:
        return (
            schema.get("minimum", -math.inf) <= number <= schema.get("maximum", math.inf)
            and schema.get("exclusiveMinimum", -math.inf) < number
            and number < schema.get("exclusiveMaximum", math.inf)
            and (step is None or math.isclose(number / step, round(number / step)))
        )

    return fits


def _bounds(schema: Schema) -> tuple[int | float, int | float]:
    """The lowest and the highest number allowed; ten numbers' room where one end is open."""
    step = schema.get("multipleOf", 1)
    nudge = step if _type_of(schema) == "integer" else 1e-6
    lows = [schema["minimum"]] if "minimum" in schema else []
    lows += [schema["exclusiveMinimum"] + nudge] if "exclusiveMinimum" in schema else []
    highs = [schema["maximum"]] if "maximum" in schema else []
    highs += [schema["exclusiveMaximum"] - nudge] if "exclusiveMaximum" in schema else []
    low = max(lows, default=min(step, min(highs) - 9 * step if highs else step))
    return low, min(highs, default=low + 9 * step)
