"""JSON schemas, cut to what a provider takes.

Every provider holds its models to a subset of JSON schema of its own and refuses the rest. ``adapt``
rewrites a schema to such a subset (``SchemaLimits``) and says what it changed; a constraint that has
to go is told to the model in the description instead. What no rewriting can save, such as an object
of any keys, is the ``obstacle``: the caller then asks in a looser way.

Sources: "Structured model outputs", section "Supported schemas", in OpenAI's documentation;
"Structured outputs", section "JSON Schema limitations", in Anthropic's.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import msgspec

from polyvox import jsontext

Schema: TypeAlias = dict[str, Any]
Note: TypeAlias = tuple[str, str]
"""A place in a schema, such as "properties.age.minimum", and what became of it."""


class SchemaLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the schemas of a provider may hold.

    ``keywords``      constraints it takes; ``type``, ``enum``, ``properties`` and such are a matter
                      of course
    ``formats``       the values of ``format`` it takes
    ``all_required``  every property must be required; an optional one is made nullable instead
    ``least_items``   the highest ``minItems`` it takes, if not any
    ``recursion``     a definition may refer to itself
    ``refs``          definitions may be referred to; otherwise they are written out in place
    ``maps``          an object may have keys of any name; otherwise objects are closed
    """

    keywords: frozenset[str]
    formats: frozenset[str]
    all_required: bool = False
    least_items: int | None = None
    recursion: bool = True
    refs: bool = True
    maps: bool = False


class Adapted(msgspec.Struct, frozen=True):
    """A schema within limits, the notes on what was changed, and what could not be brought within."""

    schema: Schema
    notes: tuple[Note, ...] = ()
    obstacle: Note | None = None


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_FORMATS = _words("date-time time date duration email hostname ipv4 ipv6 uuid")

OPENAI_STRICT = SchemaLimits(
    keywords=_words(
        "pattern multipleOf minimum maximum exclusiveMinimum exclusiveMaximum minItems maxItems"
    ),
    formats=_FORMATS,
    all_required=True,
)
"""OpenAI's strict mode, and that of those who took it over."""

ANTHROPIC = SchemaLimits(
    keywords=_words("minItems"), formats=_FORMATS | {"uri"}, least_items=1, recursion=False
)
"""Anthropic's structured outputs, which know no looser mode."""

_PLAIN = _words("type enum const description")
# They tell a reader about the schema, not a model what to write.
_ANNOTATIONS = _words(
    "title default examples deprecated readOnly writeOnly discriminator definitions required"
    " additionalProperties $defs $schema $id $anchor $comment"
)
# Without them the rest of the schema would mean something else.
_STRUCTURE = _words("prefixItems patternProperties allOf")


def adapt(schema: Schema, limits: SchemaLimits) -> Adapted:
    """The schema within these limits; the same schema gives the same result.

    >>> adapt(
    ...     {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}, ANTHROPIC
    ... ).notes
    (('properties.n.minimum', "put into the description: it can't be enforced here"),)
    """
    walker = _Walker(schema, limits)
    try:
        adapted = walker.whole()
    except (AttributeError, KeyError, TypeError, ValueError):
        return Adapted(schema, obstacle=("", "is no JSON schema"))
    return Adapted(adapted, tuple(walker.notes), walker.obstacle)


def resolved(schema: Schema, root: Schema) -> Schema:
    """The schema itself, or the one of ``root`` that it refers to, with what stands beside it."""
    seen: set[str] = set()
    while (ref := schema.get("$ref")) is not None and ref not in seen:
        seen.add(ref)
        found = definition(ref, root)
        if found is None:
            break
        schema = {**found, **{key: schema[key] for key in schema if key != "$ref"}}
    return schema


def definition(ref: str, root: Schema) -> Schema | None:
    """The definition that a reference such as "#/$defs/Person" names; None if it leads elsewhere."""
    if ref == "#":
        return root
    start, _, name = ref.rpartition("/")
    if start not in ("#/$defs", "#/definitions"):
        return None
    name = name.replace("~1", "/").replace("~0", "~")
    return root.get(start[2:], {}).get(name)


class _Walker:
    """Rewrites one schema."""

    def __init__(self, root: Schema, limits: SchemaLimits) -> None:
        self.notes: list[Note] = []
        self.obstacle: Note | None = None
        self._root = root
        self._limits = limits
        self._kept: list[str] = []
        self._special: dict[str, Callable[[Any, str], Schema]] = {
            "properties": self._properties,
            "items": self._items,
            "anyOf": self._branches,
            "oneOf": self._branches,
        }

    def whole(self) -> Schema:
        """The root, with the definitions that are still referred to."""
        written = self._node(resolved(self._root, self._root), "")
        definitions: Schema = {}
        for ref in self._kept:  # grows while definitions refer to further ones
            where = ref.removeprefix("#/").replace("/", ".")
            definitions[ref.rpartition("/")[2]] = self._node(definition(ref, self._root), where)
        return {**written, "$defs": definitions} if definitions else written

    def _node(self, schema: Any, path: str) -> Schema:
        if not isinstance(schema, dict) or not schema.keys() - _ANNOTATIONS - {"description"}:  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            self._block(path, "may hold anything")
            return schema if isinstance(schema, dict) else {}  # pyright: ignore[reportUnknownVariableType]
        here: Schema = _merged(schema)  # pyright: ignore[reportUnknownArgumentType]
        if "$ref" in here:
            return self._reference(here, path)
        written = _type_of_values(here)
        lost: Schema = {}
        for key, value in here.items():
            if key in self._special:
                written.update(self._special[key](value, path))
            elif key in _PLAIN or self._takes(key, value):
                written[key] = value
            elif key in _STRUCTURE:
                self._block(_below(path, key), "can't be told")
            elif key not in _ANNOTATIONS:
                lost[key] = value
                self._note(_below(path, key), "put into the description: it can't be enforced here")
        if "object" in types_of(here) or "properties" in here:
            self._close(here, written, path)
        return _describing(written, lost)

    def _takes(self, key: str, value: Any) -> bool:
        if key == "format":
            return value in self._limits.formats
        if key == "minItems" and self._limits.least_items is not None:
            return value <= self._limits.least_items
        return key in self._limits.keywords

    def _properties(self, properties: Schema, path: str) -> Schema:
        where = _below(path, "properties")
        return {
            "properties": {
                name: self._node(below, _below(where, name)) for name, below in properties.items()
            }
        }

    def _items(self, items: Any, path: str) -> Schema:
        return {"items": self._node(items, _below(path, "items"))}

    def _branches(self, branches: list[Any], path: str) -> Schema:
        where = _below(path, "anyOf")
        return {"anyOf": [self._node(each, f"{where}[{n}]") for n, each in enumerate(branches)]}

    def _reference(self, schema: Schema, path: str) -> Schema:
        """A reference that is kept, or what it refers to in its place."""
        ref: str = schema["$ref"]
        if definition(ref, self._root) is None:
            self._block(path, f"refers to {ref}, which is not in the schema")
            return schema
        recursive = _reaches(ref, ref, self._root)
        if recursive and not (self._limits.recursion and self._limits.refs):
            self._block(path, "contains itself")
            return {"$ref": ref}
        if recursive or (self._limits.refs and len(schema) == 1):
            if ref != "#" and ref not in self._kept:
                self._kept.append(ref)
            # Definitions are gathered under one name, whichever they came from.
            return {"$ref": ref.replace("#/definitions/", "#/$defs/")}
        return self._node(resolved(schema, self._root), path)

    def _close(self, schema: Schema, written: Schema, path: str) -> None:
        """Settle which keys an object may and must have."""
        more = schema.get("additionalProperties", "properties" not in schema)
        if more is not False and self._limits.maps:
            below = _below(path, "additionalProperties")
            written["additionalProperties"] = self._node(more, below) if more is not True else True
        elif isinstance(more, dict) or (more and not schema.get("properties")):
            self._block(path, "is an object of any keys")
        else:
            if more is not False:
                self._note(
                    _below(path, "additionalProperties"), "not sent: objects are closed here"
                )
            written["additionalProperties"] = False
        required: list[str] = schema.get("required", [])
        if self._limits.all_required:
            self._require_all(written, required, path)
        elif "required" in schema:
            written["required"] = required

    def _require_all(self, written: Schema, required: list[str], path: str) -> None:
        properties: Schema = written.setdefault("properties", {})
        for name, below in properties.items():
            if name not in required:
                self._note(_below(path, f"properties.{name}"), "optional: asked for, or null")
                properties[name] = _nullable(below)
        written["required"] = list(properties)

    def _note(self, path: str, text: str) -> None:
        self.notes.append((path, text))

    def _block(self, path: str, text: str) -> None:
        self.obstacle = self.obstacle or (path, text)


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def types_of(schema: Schema) -> list[str]:
    """The types that a schema names."""
    named: Any = schema.get("type", [])
    return [named] if isinstance(named, str) else named


def _merged(schema: Schema) -> Schema:
    """Without an ``allOf`` of one part, which some generators wrap around a reference."""
    parts: Any = schema.get("allOf")
    if not isinstance(parts, list) or len(parts) != 1:  # pyright: ignore[reportUnknownArgumentType]
        return schema
    rest = {key: value for key, value in schema.items() if key != "allOf"}
    return {**parts[0], **rest}


_NAMES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def _type_of_values(schema: Schema) -> Schema:
    """The type that an ``enum`` or ``const`` without one means: strict modes want it said."""
    if "type" in schema or not ("enum" in schema or "const" in schema):
        return {}
    values: list[Any] = schema.get("enum", [schema.get("const")])
    names = list(dict.fromkeys(_NAMES.get(type(value), "") for value in values))  # pyright: ignore[reportUnknownArgumentType]
    if not names or "" in names:
        return {}
    return {"type": names[0] if len(names) == 1 else names}


def _nullable(schema: Schema) -> Schema:
    if allows_null(schema, schema):
        return schema
    outside = {key: schema[key] for key in ("description",) if key in schema}
    inside = {key: value for key, value in schema.items() if key not in outside}
    branches = inside["anyOf"] if inside.keys() == {"anyOf"} else [inside]
    return {**outside, "anyOf": [*branches, {"type": "null"}]}


def allows_null(schema: Schema, root: Schema) -> bool:
    """Whether null is a value of this schema, as far as its types tell."""
    schema = resolved(schema, root)
    if schema.get("const", 0) is None or None in schema.get("enum", ()):
        return True
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return "null" in types_of(schema) or any(allows_null(each, root) for each in branches)


def _describing(written: Schema, lost: Schema) -> Schema:
    """What can't be enforced is told in words."""
    if not lost:
        return written
    wishes = ", ".join(f"{key}: {jsontext.encode(value).decode()}" for key, value in lost.items())
    said = written.get("description")
    return {**written, "description": f"{said} ({wishes})" if said else f"({wishes})"}


def _reaches(start: str, goal: str, root: Schema) -> bool:
    """Whether the definition ``start`` leads to ``goal``, over others or directly."""
    waiting, seen = [start], set[str]()
    while waiting:
        for ref in _refs_in(definition(waiting.pop(), root)):
            if ref == goal:
                return True
            if ref not in seen:
                seen.add(ref)
                waiting.append(ref)
    return False


def _refs_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():  # pyright: ignore[reportUnknownVariableType]
            if key == "$ref" and isinstance(below, str):
                yield below
            elif key not in ("$defs", "definitions"):
                yield from _refs_in(below)
    elif isinstance(value, list):
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _refs_in(each)
